"""``reprove compare``: two files, no service. Wheels and other zip archives are compared member by member, anything else byte by byte."""

from __future__ import annotations

from pathlib import Path

import click

from reprove.archive.limits import CHUNK, ArchiveError, LimitError
from reprove.cli import render
from reprove.cli.terminal import error_line, out, print_json, safe
from reprove.client import Json
from reprove.compare.wheels import compare, file_sha256
from reprove.core.outcomes import Level

EXIT_DIFFERS, EXIT_USAGE, EXIT_AMBIGUOUS, EXIT_FAULT = 1, 2, 3, 4
_ZIP = b"PK"


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
def command(original: Path, rebuilt: Path, *, level: str, as_json: bool) -> int:
    """Compare ORIGINAL with REBUILT: equal 0, differs 1, ambiguous archive 3."""
    try:
        document = compared(original, rebuilt)
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
        _show(document, level, equal=equal)
    if document["outcome"] == "ambiguous-archive":
        return EXIT_AMBIGUOUS
    return 0 if equal else EXIT_DIFFERS


def compared(original: Path, rebuilt: Path) -> Json:
    """The result as ``{outcome, level, differences, findings, causes, original, rebuilt, cause?}``; ``level`` is null unless they are equal."""
    if _head(original) == _ZIP and _head(rebuilt) == _ZIP:
        document = dict(compare(original, rebuilt, None).as_json())
        document.setdefault("level", None)
        return document
    old, new = file_sha256(original), file_sha256(rebuilt)
    equal = old == new
    rows = [] if equal else [_first_byte(original, rebuilt)]
    return {
        "outcome": "reproduced" if equal else "differs",
        "level": Level.BITWISE.value if equal else None,
        "original": {"sha256": old},
        "rebuilt": {"sha256": new},
        "differences": rows,
        "count": len(rows),
        "findings": [],
        "causes": [],
    }


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(2)


def _first_byte(original: Path, rebuilt: Path) -> Json:
    """Where two files that are no archives part, or that one of them ends."""
    offset = 0
    with original.open("rb") as old, rebuilt.open("rb") as new:
        while True:
            left, right = old.read(CHUNK), new.read(CHUNK)
            if left != right:
                at = next((index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
                sides = {"old": left[at : at + 8].hex() or None, "new": right[at : at + 8].hex() or None}
                return {"path": "", "field": "content", **{key: value for key, value in sides.items() if value}, "offset": offset + at}
            offset += len(left)


def _show(document: Json, level: str, *, equal: bool) -> None:
    reached = document["level"]
    word = "EQUAL" if equal else "AMBIGUOUS" if document["outcome"] == "ambiguous-archive" else "DIFFERS"
    out(f"{word}{f', {reached}' if reached else ''}", render.style_of("reproduced" if equal else "differs"))
    out(f"  original   sha256:{document['original']['sha256']}")
    out(f"  rebuilt    sha256:{document['rebuilt']['sha256']}")
    if reached and not equal:
        out(f"  equal only at {reached}; {level} was asked for")
    cause = document.get("cause")
    if cause:
        out(f"  cause      {safe(cause['class'])}: {safe(cause['detail'])}")
    render.differences(document["differences"])
    for row in document["findings"]:
        out(f"  {safe(row['code']):<24} {safe(row['path'])}  {safe(row['detail'])}")
