"""Compare a published wheel with a rebuilt one: bitwise, times-stamped, or what differs (DESIGN sections 2 and 6). Nothing else is called equal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from reprove.archive.limits import CHUNK, ArchiveError, LimitError
from reprove.archive.model import Entry, Violation
from reprove.archive.sources import Source, dos_seconds
from reprove.archive.stamp import Stamp, StampRefusedError, Window, plan, stamped_sha256
from reprove.archive.zipfiles import OpenZip, open_zip
from reprove.compare import members
from reprove.compare.record import false_rows
from reprove.compare.result import MAX_DIFFERENCES, MAX_FINDINGS, Cause, Comparison, Difference, FindingRow, cut
from reprove.compare.sourced import SourceIndex, in_dist_info, kept_time
from reprove.core.digests import Sha256
from reprove.core.outcomes import Finding, Level, Outcome

ZONE_SLACK = 14 * 3600 + 2
"""Zip times have no zone; the widest is 14 h away from UTC."""
UPLOAD_SLACK = 12 * 3600 + ZONE_SLACK
"""A builder's clock may be ahead of the index's."""
_ZIP_EPOCH = 315532800
_PRIORITY = ("payload", "missing-member", "extra-member", "metadata", "mode", "times", "container")
_TIME_FIELDS = frozenset({"time", "local-time"})


def compare(original: Path, rebuilt: Path, source: Source | None, *, window: Window | None = None) -> Comparison:
    """Say whether ``rebuilt`` is the original, at which level, and if not, what differs.

    Without a ``source`` or a ``window`` nothing is stamped. Raises :class:`~reprove.archive.limits.LimitError` when an archive costs more to read
    than allowed; an archive that is malformed is an outcome (``ambiguous-archive``), not a fault.
    """
    old, new = file_sha256(original), file_sha256(rebuilt)
    try:
        with open_zip(original) as theirs, open_zip(rebuilt) as ours:
            return _compare(theirs, ours, SourceIndex(source) if source else None, window)
    except LimitError:
        raise
    except ArchiveError as error:
        side = "original" if _unreadable(original) else "rebuilt wheel"
        detail = cut(f"the {side} cannot be read as one archive: {error.detail}")
        if old == new:
            row = FindingRow(Finding.AMBIGUOUS_ARCHIVE, "", detail)
            return Comparison(outcome=Outcome.REPRODUCED, level=Level.BITWISE, original=old, rebuilt=new, findings=(row,))
        return Comparison(outcome=Outcome.AMBIGUOUS_ARCHIVE, cause=Cause("ambiguous-archive", detail), original=old, rebuilt=new)


def file_sha256(path: Path) -> Sha256:
    """The SHA-256 of a file, streamed."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return Sha256(digest.hexdigest())


def stamp_window(source: Source, uploaded: int) -> Window:
    """The times that generated members may have: from the source's oldest member to the upload (both seconds since 1970), with slack."""
    times = [member.mtime for member in source.members if member.mtime >= _ZIP_EPOCH]
    return Window(min(times, default=uploaded) - ZONE_SLACK, uploaded + UPLOAD_SLACK)


def _unreadable(path: Path) -> bool:
    try:
        with open_zip(path):
            return False
    except ArchiveError:
        return True


def _compare(original: OpenZip, rebuilt: OpenZip, index: SourceIndex | None, window: Window | None) -> Comparison:
    old, new = original.zip.sha256, rebuilt.zip.sha256
    findings = [*_lint_findings(original), *_manifest_findings(original)]
    if old == new:
        return Comparison(outcome=Outcome.REPRODUCED, level=Level.BITWISE, original=old, rebuilt=new, findings=_bounded(findings))
    if index is not None:
        findings += _unsourced(original, rebuilt, index)
    violation = _first_violation(original, rebuilt)
    found, count = _take(members.differences(original, rebuilt))
    if violation is not None:
        cause = Cause("ambiguous-archive", violation)
        return Comparison(
            outcome=Outcome.AMBIGUOUS_ARCHIVE, cause=cause, original=old, rebuilt=new, differences=found, count=count, findings=_bounded(findings)
        )
    refused = StampRefusedError("")
    if index is not None and window is not None:
        try:
            stamps = _stamps(original, rebuilt, index, window)
        except StampRefusedError as error:
            refused = error
        else:
            return Comparison(
                outcome=Outcome.REPRODUCED, level=Level.TIMES_STAMPED, original=old, rebuilt=new, stamps=stamps, findings=_bounded(findings)
            )
    return Comparison(
        outcome=Outcome.DIFFERS,
        cause=_cause(found, count, refused),
        original=old,
        rebuilt=new,
        differences=found,
        count=count,
        findings=_bounded(findings),
    )


def _stamps(original: OpenZip, rebuilt: OpenZip, index: SourceIndex, window: Window) -> tuple[Stamp, ...]:
    """The stamps that make the rebuilt bytes the original's. Raises :class:`StampRefusedError` when no allowed stamps do."""

    def generated(entry: Entry) -> bool:
        member = None if in_dist_info(entry.name) else index.same(entry.name, rebuilt.zip.digest(entry.name))
        if member is None:
            return True
        # a file that the build wrote again, with the same bytes, has the build's time on both headers; the build is after the upload
        seconds = dos_seconds(entry.central.time)
        return entry.local.time == entry.central.time and seconds > window.last - UPLOAD_SLACK and not kept_time(seconds, member.mtime)

    stamps = plan(original.zip, rebuilt.zip, generated, window)
    if stamped_sha256(rebuilt.view, stamps) != original.zip.sha256:
        raise StampRefusedError("the archives differ in more than times")
    return stamps


def _take(rows: Iterator[Difference]) -> tuple[tuple[Difference, ...], int]:
    """Keep the first rows and count them all."""
    kept: list[Difference] = []
    count = 0
    for row in rows:
        count += 1
        if len(kept) < MAX_DIFFERENCES:
            kept.append(row)
    return tuple(kept), count


def _first_violation(original: OpenZip, rebuilt: OpenZip) -> str | None:
    for side, archive in (("original", original), ("rebuilt wheel", rebuilt)):
        if archive.zip.violations:
            return cut(f"{side}: {_violation(archive.zip.violations[0])}")
    return None


def _violation(violation: Violation) -> str:
    where = f" at byte {violation.offset}"
    return f"{violation.code}{where}{f', {violation.path}' if violation.path else ''}: {violation.detail}"


def _lint_findings(archive: OpenZip) -> Iterator[FindingRow]:
    for violation in archive.zip.violations:
        yield FindingRow(Finding.AMBIGUOUS_ARCHIVE, cut(violation.path), cut(f"{violation.code}: {violation.detail}"))


def _manifest_findings(archive: OpenZip) -> Iterator[FindingRow]:
    for path, detail in false_rows(archive):
        yield FindingRow(Finding.FALSE_MANIFEST, cut(path), cut(detail))


def _unsourced(original: OpenZip, rebuilt: OpenZip, index: SourceIndex) -> Iterator[FindingRow]:
    """Members of the original that neither the source nor the rebuilt archive has."""
    for entry, digest in zip(original.zip.entries, original.zip.digests, strict=True):
        if entry.is_dir or entry.name in rebuilt.zip.named or index.same(entry.name, digest) is not None:
            continue
        yield FindingRow(Finding.UNSOURCED_MEMBERS, cut(entry.name), "in the original, in neither source nor rebuilt")


def _bounded(rows: Iterable[FindingRow]) -> tuple[FindingRow, ...]:
    """At most :data:`MAX_FINDINGS` rows, with at least one of every code that occurs."""
    listed = list(rows)
    first = {row.code: row for row in reversed(listed)}
    return (*first.values(), *(row for row in listed if row not in first.values()))[:MAX_FINDINGS]


def _cause(rows: tuple[Difference, ...], count: int, refused: StampRefusedError) -> Cause:
    """The gravest class among the differences, and the first row that shows it. Times that may be stamped are no cause beside anything else."""
    order = _PRIORITY if refused.member or not refused.detail else (*(name for name in _PRIORITY if name != "times"), "times")
    classed = [(_class(row), row) for row in rows]
    class_, row = min(classed, key=lambda pair: order.index(pair[0]), default=("container", Difference("", "bytes")))
    sides = ": ".join(part for part in (row.path, _sides(row)) if part)
    more = f" ({count - 1} more differences)" if count > 1 else ""
    why = f"; not stamped: {refused.member}: {refused.detail}".replace(": : ", ": ") if class_ == "times" and refused.detail else ""
    return Cause(class_, cut(f"{sides}{more}{why}", 400))


def _class(row: Difference) -> str:
    if row.field == "member":
        return "missing-member" if row.old is None else "extra-member"
    if row.field in ("content", "size"):
        return "metadata" if in_dist_info(row.path) else "payload"
    if row.field == "mode":
        return "mode"
    return "times" if row.field in _TIME_FIELDS else "container"


def _sides(row: Difference) -> str:
    if row.field == "member":
        return "only in the rebuilt wheel" if row.old is None else "only in the original"
    return f"{row.field} {row.old!s} in the original, {row.new!s} rebuilt"
