"""Compare two artifacts of any format: which level they reach, or what differs and why (DESIGN sections 2 and 6; docs/comparison.md).

The order of the verdict: equal bytes are ``bitwise`` whatever they look like; a structural violation on either side is ``ambiguous-archive``;
then stamps, then the canonical form, then named passes; what is left ``differs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from reprove.archive.artifact import open_artifact, open_pair
from reprove.archive.limits import DEFAULT, ArchiveError, LimitError, Limits
from reprove.archive.stamp import StampRefusedError
from reprove.archive.tree import Tree, Weight
from reprove.compare.claims import false_claims
from reprove.compare.delta import delta
from reprove.compare.files import file_sha256, same_bytes
from reprove.compare.reasons import cause_of, explained
from reprove.compare.result import MAX_DIFFERENCES, MAX_FINDINGS, Cause, Comparison, FindingRow, cut
from reprove.compare.shown import content_rows
from reprove.core.outcomes import Finding, Level, Outcome

if TYPE_CHECKING:
    from reprove.compare.stamping import Origin  # whoever has a source has loaded what reads it; two files alone need none of it

_BUDGET = 256 * 1024**2
"""Bytes of differing contents that one side may keep at hand; what does not fit is unequal and unexplained."""


def compare_files(
    original: Path, rebuilt: Path, *, names: tuple[str, str] = ("", ""), origin: Origin | None = None, limits: Limits = DEFAULT
) -> Comparison:
    """Say whether ``rebuilt`` is the original, at which level, and if not, what differs.

    ``names`` are the file names that the artifacts are known by, if any. Raises :class:`~reprove.archive.limits.LimitError` when an archive costs
    more to read than allowed and the bytes differ; an archive that is malformed is an outcome (``ambiguous-archive``), not a fault.
    """
    if same_bytes(original, rebuilt):
        return _bitwise(original, names[0], limits)
    try:
        with open_pair(original, rebuilt, names=names, limits=limits) as (old, new):
            return _judge(old, new, origin)
    except LimitError:
        raise
    except ArchiveError:
        side, error = _unreadable(original, rebuilt, names, limits)
        detail = cut(f"the {side} cannot be read as one archive: {error.detail}")
        cause = Cause("ambiguous-archive", detail)
        return Comparison(outcome=Outcome.AMBIGUOUS_ARCHIVE, cause=cause, original=file_sha256(original), rebuilt=file_sha256(rebuilt))


def _bitwise(path: Path, name: str, limits: Limits) -> Comparison:
    try:
        with open_artifact(path, name=name, limits=limits) as tree:
            digest = tree.sha256
            findings = bounded(_findings(tree, false_claims(tree)))
    except ArchiveError as error:
        digest = file_sha256(path)
        # also where a limit ended the reading: the bytes are equal, and what was not looked at is not called sound
        findings = (FindingRow(Finding.AMBIGUOUS_ARCHIVE, "", cut(f"cannot be read as one archive: {error.detail}")),)
    return Comparison(outcome=Outcome.REPRODUCED, level=Level.BITWISE, original=digest, rebuilt=digest, findings=findings)


def _unreadable(original: Path, rebuilt: Path, names: tuple[str, str], limits: Limits) -> tuple[str, ArchiveError]:
    """Which side it was, and why."""
    for side, path, name in (("original", original, names[0]), ("rebuilt artifact", rebuilt, names[1])):
        try:
            with open_artifact(path, name=name, limits=limits):
                pass
        except ArchiveError as error:
            return side, error
    raise AssertionError("a pair that cannot be read has a side that cannot be read")


def _judge(old: Tree, new: Tree, origin: Origin | None) -> Comparison:
    lies = [list(islice(false_claims(tree), MAX_FINDINGS)) for tree in (old, new)]
    findings = [*_findings(old, lies[0]), *(origin.unsourced(old, new) if origin else ())]
    base = Comparison(outcome=Outcome.DIFFERS, original=old.sha256, rebuilt=new.sha256, findings=bounded(findings))
    found = delta(old, new)
    paths = {member.path for member, _ in found.contents}
    with old.contents(paths, _BUDGET) as theirs, new.contents(paths, _BUDGET) as ours:
        rows = [*found.rows, *content_rows(found.contents, theirs, ours)]
        rows.sort(key=lambda row: row.weight is Weight.NOISE)  # stable: what counts comes first, in archive order
        shown = replace(base, differences=tuple(row.shown for row in rows[:MAX_DIFFERENCES]), count=len(rows))
        violation = _first_violation(old, new)
        if violation is not None:
            return replace(shown, outcome=Outcome.AMBIGUOUS_ARCHIVE, cause=Cause("ambiguous-archive", violation))
        refused = StampRefusedError("")
        if origin is not None:
            try:
                stamps = origin.stamps(old, new)
            except StampRefusedError as error:
                refused = error
                shown = replace(shown, unstamped=cut(f"{error.member}: {error.detail}" if error.member else error.detail))
            else:
                return replace(base, outcome=Outcome.REPRODUCED, level=Level.TIMES_STAMPED, stamps=stamps)
        shown = replace(shown, causes=explained(old.profile, rows, theirs, ours, lying=any(lies)))
        counting = [row for row in rows if row.weight is Weight.DATA]
        if any(lies):
            # an artifact that says something false of itself is never equal by anything but its bytes
            return replace(shown, cause=cause_of(counting, refused) if counting else _lie(lies))
        if not counting:
            return replace(shown, outcome=Outcome.REPRODUCED, level=Level.CANONICAL)
        from reprove.compare.masking import masked  # the passes take time to load, and most pairs need none

        used = masked(old, new, counting, theirs, ours)
        if used is not None:
            return replace(shown, outcome=Outcome.REPRODUCED, level=used.level, passes=used.passes)
        return replace(shown, cause=cause_of(counting, refused))


def _lie(lies: list[list[tuple[str, str]]]) -> Cause:
    side, (path, detail) = next((side, rows[0]) for side, rows in zip(("original", "rebuilt"), lies, strict=True) if rows)
    return Cause("metadata", cut(f"{path}: {detail} ({side}); the rest is equal"))


def _findings(tree: Tree, lies: Iterable[tuple[str, str]]) -> Iterator[FindingRow]:
    for violation in tree.violations:
        yield FindingRow(Finding.AMBIGUOUS_ARCHIVE, cut(violation.path), cut(f"{violation.code}: {violation.detail}"))
    for path, detail in lies:
        yield FindingRow(Finding.FALSE_MANIFEST, cut(path), cut(detail))


def _first_violation(old: Tree, new: Tree) -> str | None:
    for side, tree in (("original", old), ("rebuilt", new)):
        if tree.violations:
            first = tree.violations[0]
            where = f" at byte {first.offset}{f', {first.path}' if first.path else ''}"
            return cut(f"{side}: {first.code}{where}: {first.detail}")
    return None


def bounded(rows: Iterable[FindingRow]) -> tuple[FindingRow, ...]:
    """At most :data:`MAX_FINDINGS` rows, with at least one of every code that occurs."""
    listed = list(islice(rows, 100 * MAX_FINDINGS))
    first = {row.code: row for row in reversed(listed)}
    return (*first.values(), *(row for row in listed if row not in first.values()))[:MAX_FINDINGS]
