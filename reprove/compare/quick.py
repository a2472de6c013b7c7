"""A first look at two zips: their directories alone may already decide that they differ. It never says that they are equal, and checks nothing else.

Structure is not linted and contents are not hashed: where the directories do not decide, or look odd, the whole comparison has to be made.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reprove.archive.limits import CHUNK, DEFAULT, ArchiveError, LimitError, Limits
from reprove.archive.model import Header
from reprove.archive.profiles import is_zip
from reprove.archive.spans import open_span
from reprove.archive.structure import Notes, Record, central_records, local_header, read_directory
from reprove.archive.view import View
from reprove.archive.zipdigests import DEFLATED
from reprove.compare import elf_locate
from reprove.compare.content import common_prefix, parting
from reprove.compare.result import MAX_DIFFERENCES, Difference, cut

if TYPE_CHECKING:
    from zlib import _Decompress as Inflater  # typeshed's name; the module has none

_MAX_SHOWN = 64 * 1024**2
"""Bytes of a content that is inflated to say where it differs."""


class Decided(NamedTuple):
    """They differ in what they hold: the first member whose content does, located, and every member that only one side has or that differs."""

    differences: tuple[Difference, ...]
    total: int


class _Side(NamedTuple):
    view: View
    records: dict[bytes, Record]


def differs(original: Path, rebuilt: Path, limits: Limits = DEFAULT) -> Decided | None:
    """Say that two zips differ in members or contents, from their directories; None where that is not decided by them."""
    with ExitStack() as stack:
        try:
            views = [View(stack.enter_context(open_span(path, limits))) for path in (original, rebuilt)]
            sides = [_directory(view, limits) for view in views]
        except (ArchiveError, LimitError):
            return None
        old, new = sides
        if old is None or new is None:
            return None
        rows = list(_rows(old, new))
        return Decided(tuple(rows[:MAX_DIFFERENCES]), len(rows)) if rows else None


def _directory(view: View, limits: Limits) -> _Side | None:
    if not is_zip(view[0:4], ""):
        return None
    notes = Notes(1)
    records = central_records(view, read_directory(view, notes, limits), notes)
    by_name = {record.header.raw_name: record for record in records}
    return None if notes.found or len(by_name) != len(records) else _Side(view, by_name)


def _rows(old: _Side, new: _Side) -> list[Difference]:
    rows: list[Difference] = []
    located = False
    for raw, record in old.records.items():
        name = cut(raw.decode("utf-8", "replace"))
        other = new.records.get(raw)
        if other is None:
            if not raw.endswith(b"/"):
                rows.append(Difference(name, "member", f"{record.header.size} bytes", None, record.header.offset))
        elif (record.header.crc, record.header.size) != (other.header.crc, other.header.size):
            rows.append(
                Difference(name, "content", f"crc {record.header.crc:08x}", f"crc {other.header.crc:08x}")
                if located
                else _located(name, old, new, raw)
            )
            located = True
    for raw, record in new.records.items():
        if raw not in old.records and not raw.endswith(b"/"):
            rows.append(Difference(cut(raw.decode("utf-8", "replace")), "member", None, f"{record.header.size} bytes"))
    return rows


def _located(name: str, old: _Side, new: _Side, raw: bytes) -> Difference:
    mine, theirs = old.records[raw], new.records[raw]
    plain = Difference(name, "content", f"crc {mine.header.crc:08x}", f"crc {theirs.header.crc:08x}")
    if {mine.header.method, theirs.header.method} != {DEFLATED} or max(mine.header.size, theirs.header.size) > _MAX_SHOWN:
        return plain
    try:
        starts = [local_header(side.view, record.local_offset, Notes(1))[1] for side, record in ((old, mine), (new, theirs))]
        whole, tail_at, tail = _inflated(old.view, new.view, starts, (mine.header, theirs.header))
    except (ArchiveError, zlib.error):
        return plain
    found = parting(iter((whole[tail_at:],)), iter((tail,)))
    offset = tail_at + found.offset
    place = elf_locate.place(whole, offset) if whole.startswith(b"\x7fELF") else None
    sides = [side if place is None or side is None else cut(f"{place}: {side}") for side in (found.old, found.new)]
    return Difference(name, "content", sides[0], sides[1], offset)


def _inflated(old: View, new: View, starts: list[int], headers: tuple[Header, Header]) -> tuple[bytes, int, bytes]:
    """The original's content, and from some offset on the rebuilt one's, far enough to hold the first difference.

    Equal compressed bytes leave a decompressor in the same state: it is copied where the streams part, so that what is before is inflated once.
    Raises :class:`ArchiveError` where a content is larger than its directory says.
    """
    mine, theirs = headers
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    same = _alike(old, new, starts, min(mine.stored, theirs.stored))
    parts = list(_pieces(stream, old, starts[0], starts[0] + same, mine.size))
    other = stream.copy()
    before = sum(map(len, parts))
    rest = b"".join(_pieces(stream, old, starts[0] + same, starts[0] + mine.stored, mine.size - before))
    tail = bytearray()
    for piece in _pieces(other, new, starts[1] + same, starts[1] + theirs.stored, theirs.size - before):
        alike = piece == rest[len(tail) : len(tail) + len(piece)]
        tail += piece
        if not alike:
            break
    return b"".join(parts) + rest, before, bytes(tail)


def _alike(old: View, new: View, starts: list[int], size: int) -> int:
    """How many of the next ``size`` stored bytes are the same on both sides."""
    for at in range(0, size, CHUNK):
        mine, theirs = (view[start + at : start + min(at + CHUNK, size)] for view, start in zip((old, new), starts, strict=True))
        if mine != theirs:
            return at + common_prefix(mine, theirs)
    return size


def _pieces(stream: Inflater, view: View, start: int, stop: int, allowed: int) -> Iterator[bytes]:
    """Inflate the stored bytes from ``start`` to ``stop``, which may give ``allowed`` bytes."""
    for at in range(start, stop, CHUNK):
        pending = view[at : min(at + CHUNK, stop)]
        while piece := stream.decompress(pending, CHUNK):  # once more when nothing is pending: it may have held back what was beyond the chunk
            pending = stream.unconsumed_tail
            allowed -= len(piece)
            if allowed < 0:
                raise ArchiveError("a content is larger than its directory says", offset=at)
            yield piece
