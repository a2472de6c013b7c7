"""Rows of the comparer's document, read as data of a hostile author: typed, bounded, one printable line each, or refused as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprove.compare.passes.registry import PASSES
from reprove.core.outcomes import LEVEL_ORDER, Finding, Level
from reprove.core.statements.codec import from_json
from reprove.core.statements.parts import MASKED, MAX_CAUSES, CauseHint, Difference, FindingRow, Pass, Stamp
from workers.steps import line, text_of

MAX_FINDINGS = 100
_MAX_WHOLE = 2**53 - 1
"""What signed JSON can hold."""
_KNOWN = {one.id: one for one in PASSES}


def findings(document: Mapping[str, object]) -> tuple[FindingRow, ...]:
    """The findings of the closed list; others are left out."""
    rows = document.get("findings")
    known = {item.value for item in Finding}
    found = []
    for row in rows[:MAX_FINDINGS] if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("code") in known:
            found.append(FindingRow(Finding(str(row["code"])), text_of(row, "path") or None, text_of(row, "detail") or None))
    return tuple(found)


def differences(document: Mapping[str, object]) -> tuple[tuple[Difference, ...], int]:
    """The differences that are listed, and how many there are in all."""
    rows = document.get("differences")
    listed = tuple(_difference(row) for row in (rows if isinstance(rows, list) else ()) if isinstance(row, Mapping))
    total = _whole(document.get("count"))
    return listed, len(listed) if total is None else max(total, len(listed))


def stamps(document: Mapping[str, object]) -> tuple[Stamp, ...]:
    """The list of stamps; the attester applies it and hashes. Raises ProblemError for a row of another shape."""
    return tuple(from_json(Stamp, row) for row in _listed(document, "stamps"))


def passes(document: Mapping[str, object], level: Level) -> tuple[Pass, ...] | None:
    """The passes that ``level`` rests on: each one of ours, at our version, the lowest of them at exactly that level; None where none belong.

    Raises ValueError or ProblemError for anything else: what we do not know is never equal.
    """
    found = tuple(_pass(row) for row in _listed(document, "passes"))
    if level not in MASKED:
        if found:
            raise ValueError(f"passes at level {level}")
        return None
    for one in found:
        if one.id not in _KNOWN or str(_KNOWN[one.id].version) != one.version:
            raise ValueError(f"pass {one.id} {one.version} is none of ours")
    if not found or max((_KNOWN[one.id].level for one in found), key=LEVEL_ORDER.index) is not level:
        raise ValueError(f"the passes do not make level {level}")
    return found


def causes(document: Mapping[str, object]) -> tuple[CauseHint, ...]:
    """The causes, as many as a statement carries. Raises ProblemError for a row of another shape."""
    return tuple(_cause(row) for row in _listed(document, "causes")[:MAX_CAUSES])


def plain(row: Difference) -> dict[str, object]:
    """A difference for the blob that lists all of them; absent sides are absent."""
    members = {"path": row.path, "field": row.field, "old": row.old, "new": row.new, "offset": row.offset}
    return {key: value for key, value in members.items() if value is not None}


def _listed(document: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    rows = document.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{key} is no list of objects")
    return rows


def _pass(row: Mapping[str, object]) -> Pass:
    if type(row.get("version")) is not int:
        raise ValueError("a pass without a version")
    return from_json(Pass, {**row, "version": str(row["version"])})


def _cause(row: Mapping[str, object]) -> CauseHint:
    read = from_json(CauseHint, row)
    return replace(read, fix=line(read.fix or "") or None, detail=line(read.detail or "") or None)


def _difference(row: Mapping[str, object]) -> Difference:
    return Difference(text_of(row, "path"), text_of(row, "field", limit=60), _side(row, "old"), _side(row, "new"), _whole(row.get("offset")))


def _side(row: Mapping[str, object], key: str) -> str | int | None:
    value = row.get(key)
    if isinstance(value, str):
        return text_of(row, key, limit=200)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_WHOLE else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_WHOLE else None
