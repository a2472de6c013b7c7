"""``reprove compare``: two files of any format, no service: equal or not, at which level, what differs, why, and what would remove it."""

from __future__ import annotations

from pathlib import Path

import click

from reprove.archive.limits import ArchiveError, LimitError
from reprove.cli import comparison
from reprove.cli.bounded import bounded
from reprove.cli.terminal import error_line, print_json
from reprove.core.outcomes import Level
from reprove.problems import Json

EXIT_DIFFERS, EXIT_USAGE, EXIT_AMBIGUOUS, EXIT_FAULT = 1, 2, 3, 4
SECONDS = 20.0
MEMORY = 512 * 1024**2


@click.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("rebuilt", type=click.Path(path_type=Path))
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level]),
    default=Level.CANONICAL.value,
    show_default=True,
    help="Lowest level that counts as equal.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--explain", is_flag=True, help="Show every difference that is kept, with both sides, after the causes.")
@click.option(
    "--quick", is_flag=True, help="Of two zips, say that they differ from their directories alone where those decide it; then nothing is checked."
)
@click.option("--timeout", type=click.FloatRange(1, 3600), default=SECONDS, show_default=True, help="Seconds that comparing may take.")
def command(original: Path, rebuilt: Path, *, level: str, as_json: bool, explain: bool, quick: bool, timeout: float) -> int:
    """Compare ORIGINAL with REBUILT: equal 0, differs 1, ambiguous archive 3, beyond a limit 4."""
    try:
        document = bounded(lambda: (quickly(original, rebuilt) if quick else None) or compared(original, rebuilt), seconds=timeout, memory=MEMORY)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None
    except LimitError as error:
        error_line(f"cannot compare within limits: {error.detail}")
        return EXIT_FAULT
    except ArchiveError as error:
        error_line(f"unreadable archive: {error.detail}")
        return EXIT_USAGE
    reached = document["level"]
    equal = reached is not None and Level(reached).satisfies(Level(level))
    if as_json:
        print_json({"kind": "comparison", **document})
    else:
        comparison.show(document, level, equal=equal, explain=explain)
    if document["outcome"] == "ambiguous-archive":
        return EXIT_AMBIGUOUS
    return 0 if equal else EXIT_DIFFERS


def quickly(original: Path, rebuilt: Path) -> Json | None:
    """The result where the directories of two zips show that members or contents differ, else None."""
    from reprove.compare.files import file_sha256
    from reprove.compare.quick import differs

    found = differs(original, rebuilt)
    if found is None:
        return None
    first = found.differences[0]
    class_ = "payload" if first.field == "content" else "extra-member" if first.new is None else "missing-member"
    return {
        "outcome": "differs",
        "level": None,
        "cause": {"class": class_, "detail": f"{first.path}: {first.field}; by the directories alone, nothing else was checked"},
        "original": {"sha256": file_sha256(original)},
        "rebuilt": {"sha256": file_sha256(rebuilt)},
        "differences": [row.as_json() for row in found.differences],
        "count": found.total,
        "findings": [],
        "causes": [],
    }


def compared(original: Path, rebuilt: Path) -> Json:
    """The result as JSON; ``level`` is the highest at which they are equal, or null."""
    from reprove.compare.engine import compare_files

    document = dict(compare_files(original, rebuilt, names=(original.name, rebuilt.name)).as_json())
    document.setdefault("level", None)
    return document
