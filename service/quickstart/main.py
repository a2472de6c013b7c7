"""The command line of the quickstart; ``deploy/quickstart`` has installed everything that this imports."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path

import click

from reprove import __version__
from reprove import settings as settings_module
from reprove.core.errors import CallerError, ReproveError
from reprove.core.purls import parse_purl
from reprove.settings import Settings
from service.quickstart import environments, job, start, supervise
from service.quickstart.screen import Screen
from service.setup import instance

DEFAULT_TARGET = "pkg:pypi/idna@3.10"
EXIT_USAGE = 2
EXIT_INFRASTRUCTURE = 4


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("target", required=False)
@click.option("--serve", "action", flag_value="serve", help="Start without a job; every environment is made in the background.")
@click.option("--status", "action", flag_value="status", help="Show what runs.")
@click.option("--stop", "action", flag_value="stop", help="Stop what it started.")
@click.option("--env", "action", flag_value="env", help="Print export lines for this instance.")
@click.option("--home", type=click.Path(path_type=Path), help="State folder.")
@click.option("--port", type=click.IntRange(1, 65533), help="Public port.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.version_option(__version__, prog_name="Reprove")
def command(*, target: str | None, action: str | None, home: Path | None, port: int | None, as_json: bool) -> int:
    """Rebuild TARGET (default pkg:pypi/idna@3.10) on this machine and show the proof."""
    home = (home or Path(os.environ.get("REPROVE_HOME", "/var/lib/reprove"))).absolute()
    settings = settings_module.load(home=home, port=port)
    screen = Screen(quiet=as_json)
    if action == "status":
        return _status(settings, as_json=as_json)
    if action == "stop":
        return _stop(settings, screen)
    if action == "env":
        return _env(settings)
    purl = str(parse_purl(target or DEFAULT_TARGET))
    settings = start.bring_up(settings, screen)
    if action == "serve":
        environments.make_in_background(settings)
        _say_served(settings, screen, as_json=as_json)
        return 0
    environments.make(settings, environments.FIRST, screen)
    environments.make_in_background(settings)
    return job.run(settings, purl, screen, as_json=as_json)


def run() -> None:
    """Run the command; every bad end is one line and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_INFRASTRUCTURE))
    try:
        code = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except click.Abort:
        click.echo("\nInterrupted; everything that is finished stays. Run deploy/quickstart again to go on.", err=True)
        code = EXIT_INFRASTRUCTURE
    except KeyboardInterrupt:
        click.echo("\nInterrupted; everything that is finished stays. Run deploy/quickstart again to go on.", err=True)
        code = EXIT_INFRASTRUCTURE
    except ReproveError as error:
        click.echo(error, err=True)
        code = EXIT_USAGE if isinstance(error, CallerError) else EXIT_INFRASTRUCTURE
    sys.exit(code)


def _status(settings: Settings, *, as_json: bool) -> int:
    rows = supervise.status(settings)
    if as_json:
        processes = [{"name": row.name, "state": row.state, "pid": row.pid} for row in rows]
        click.echo(json.dumps({"home": str(settings.home), "url": start.url_of(settings), "processes": processes}))
    elif not rows:
        click.echo(f"Nothing of {settings.home} runs.")
    else:
        click.echo(f"{start.url_of(settings)}   state in {settings.home}")
        for row in rows:
            click.echo(f"  {row.name:<12} {row.state:<10} {row.pid or ''}")
    return 0


def _stop(settings: Settings, screen: Screen) -> int:
    count = supervise.stop(settings)
    environments.stop_background(settings)
    if count:
        screen.line(f"Stopped {count} processes of {settings.home}. The Docker engine is left running; the state is kept.")
    else:
        screen.line(f"Nothing of {settings.home} runs.")
    return 0


def _env(settings: Settings) -> int:
    if not instance.exists(settings.home):
        raise CallerError(f"There is no instance in {settings.home}; deploy/quickstart makes one.")
    token = (settings.home / "secrets" / "client.token").read_text().strip()
    home, trust = shlex.quote(str(settings.home)), shlex.quote(str(settings.home / "trust.json"))
    click.echo(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH" REPROVE_HOME={home} REPROVE_URL={start.url_of(settings)}')
    click.echo(f"export REPROVE_TOKEN={token} REPROVE_TRUST={trust}")
    return 0


def _say_served(settings: Settings, screen: Screen, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(start.facts(settings)))
    screen.line()
    screen.line(f"Serving on {start.url_of(settings)}; environments are being made in the background (reprove env list).")
    screen.line('  eval "$(deploy/quickstart --env)" to use it; deploy/quickstart --stop to end it')
