"""The command group: names what exists, loads a sub-command when it is called, turns every fault into one line and an exit code.

Sub-commands of this package stand in :data:`BUILT_IN`; those of the service and the workers are entry points of the group
``reprove.commands``, so that a reader's laptop needs neither.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from reprove.cli.terminal import error_line, safe
from reprove.core.errors import BuilderError, CallerError, OwnError, ProblemError, ReproveError, UpstreamError, VerificationError
from reprove.problems import ServiceError, UnreachableError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN = ("rebuild", "show", "search", "logs", "cancel", "evidence", "verify", "trust", "gate", "compare", "corpus")
EXIT_USAGE = 2
EXIT_INFRASTRUCTURE = 4
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose sub-commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Every name, alphabetically; nothing is imported."""
        return sorted({*BUILT_IN, *_extensions()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one sub-command; one that cannot be imported (its room is not installed) says so when it is called."""
        try:
            if cmd_name in BUILT_IN:
                return _checked(importlib.import_module(f"reprove.cli.{cmd_name}").command)
            extension = _extensions().get(cmd_name)
            return None if extension is None else _checked(extension.load())
        except ImportError as error:
            if ctx.resilient_parsing:
                return None
            raise click.ClickException(f"the command {cmd_name!r} is not usable here: {error}") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the names with their summaries; a command that does not import is listed without one."""
        rows = []
        for name in self.list_commands(ctx):
            try:
                command = self.get_command(ctx, name)
            except click.ClickException:
                command = None
            rows.append((name, "" if command is None else command.get_short_help_str(90)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reprove")
def main() -> None:
    """Rebuild published artifacts, compare, and check the signed proof of every outcome.

    The service is REPROVE_URL (default http://127.0.0.1:8710), the access token REPROVE_TOKEN, what you believe REPROVE_TRUST.
    """


def run(arguments: list[str] | None = None) -> None:
    """Entry point of the ``reprove`` script; ends the process with an exit code, never with a traceback."""
    sys.exit(exit_code_of(arguments))


def exit_code_of(arguments: list[str] | None = None) -> int:
    """Run the command line and give its exit code (INTERFACE section 2)."""
    try:
        return _result(main.main(arguments, prog_name="reprove", standalone_mode=False))
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _usage(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away; nothing may be written any more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INFRASTRUCTURE
    except ReproveError as error:
        return _fault(error)
    except OSError as error:
        error_line(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return EXIT_USAGE
    except Exception as error:  # the last resort of a command that promises never to show a traceback
        if os.environ.get("REPROVE_DEBUG"):
            raise
        error_line(f"a fault of this program ({type(error).__name__}: {error}); REPROVE_DEBUG=1 shows where")
        return EXIT_INFRASTRUCTURE


def _result(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and context is not None:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    hint = f" ({context.command_path} --help)" if isinstance(context, click.Context) else ""
    error_line(f"{error.format_message()}{hint}")
    return EXIT_USAGE


def _fault(error: ReproveError) -> int:
    """One line and the exit code of whose fault it is."""
    if isinstance(error, VerificationError):
        error_line(error.detail, error.reason.value)
        return error.reason.exit_code
    if isinstance(error, ProblemError):
        problem = error.problem
        where = "".join(f":{part}" for part in (problem.line, problem.column) if part is not None)
        error_line(f"{problem.detail}{f' (at {where[1:]})' if where else ''}", problem.slug.value)
        return EXIT_USAGE
    if isinstance(error, ServiceError):
        error_line(str(error), error.problem.slug.value if error.problem else "")
        return EXIT_INFRASTRUCTURE if error.status >= 500 or error.status == 429 else EXIT_USAGE
    if isinstance(error, UnreachableError):
        error_line(str(error))
        return EXIT_INFRASTRUCTURE
    error_line(safe(str(error)))
    return EXIT_USAGE if isinstance(error, CallerError) else EXIT_INFRASTRUCTURE if isinstance(error, (UpstreamError, BuilderError, OwnError)) else 1


def _extensions() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="reprove.commands")}


def _checked(command: object) -> click.Command:
    if not isinstance(command, click.Command):
        raise ImportError("it has no click command")
    return command


if __name__ == "__main__":
    run()
