"""Compare an original artifact with a rebuilt one, inside the hardened container (contract: workers/drivers/README.md).

Reads ``/in/original``, ``/in/rebuilt``, ``/in/source`` and ``/in/facts.json`` (names, digests and upload times); writes one size-capped JSON,
``/out/result.json``: outcome, level, stamps, passes, differences, findings, causes. The worker and the attester find equality of bytes again.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

from reprove.archive.limits import ArchiveError, LimitError
from reprove.archive.sources import read_source
from reprove.compare.engine import compare_files
from reprove.compare.result import FindingRow
from reprove.compare.stamping import Origin, stamp_window
from reprove.core.outcomes import Finding

LATER_SECONDS = 3600
"""A source uploaded this much after its wheel was perhaps not what the wheel was made from."""


def main(argv: list[str]) -> int:
    """Write the verdict, or the limit that reading met."""
    inner = Path(argv[1] if len(argv) > 1 else "/in")
    outer = Path(argv[2] if len(argv) > 2 else "/out")
    try:
        result = judge(inner)
    except LimitError as error:
        cause = {"class": "output", "detail": error.detail[:400]}
        result = {"outcome": "limit-exceeded", "cause": cause, "findings": [], "differences": [], "count": 0}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        # a fault of ours or an archive that found one: never equal, and never a traceback in place of a verdict
        cause = {"class": "infrastructure", "detail": f"{type(error).__name__}: {error}"[:400]}
        result = {"outcome": "inconclusive", "cause": cause, "findings": [], "differences": [], "count": 0}
    draft = outer / ".result.json"
    draft.write_text(json.dumps(result), encoding="utf-8")
    draft.replace(outer / "result.json")
    return 0


def judge(inner: Path) -> dict:
    """Compare; a source that cannot be read means that nothing is stamped, never that something is equal."""
    facts = json.loads((inner / "facts.json").read_text(encoding="utf-8"))
    uploaded = moment(facts.get("original"))
    try:
        source = read_source(inner / "source") if (inner / "source").exists() else None
    except LimitError:
        raise
    except ArchiveError:
        source = None
    window = stamp_window(source, uploaded) if source is not None and uploaded is not None else None
    original = facts.get("original")
    name = str(original.get("name", "")) if isinstance(original, dict) else ""
    origin = Origin(source, window) if source is not None else None
    document = compare_files(inner / "original", inner / "rebuilt", names=(name, name), origin=origin).as_json()
    later = moment(facts.get("source"))
    if uploaded is not None and later is not None and later > uploaded + LATER_SECONDS:
        row = FindingRow(Finding.SDIST_LATER, "", f"the source was uploaded {(later - uploaded) // 3600} h after the wheel")
        document["findings"].append(row.as_json())
    return document


def moment(file: object) -> int | None:
    """When a file of the facts was uploaded, in seconds since 1970."""
    text = file.get("uploaded") if isinstance(file, dict) else None
    try:
        return int(datetime.fromisoformat(text).timestamp()) if isinstance(text, str) and text else None
    except ValueError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv))
