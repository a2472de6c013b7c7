"""A quick look at two zip archives: both central directories, and raw ranges of bytes. It can show a difference, never that there is none.

Nothing is linted, hashed or recomputed, and only the members that are known to differ are inflated, up to their first different byte.
Whatever calls two artifacts equal reads them with :mod:`reprove.archive.artifact`.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from reprove.archive.limits import CHUNK, DEFAULT, ArchiveError, Limits
from reprove.archive.names import decode
from reprove.archive.spans import open_span
from reprove.archive.structure import Directory, Notes, Record, central_records, read_directory
from reprove.archive.view import View
from reprove.archive.zipdigests import DEFLATED, STORED

_LOCAL = 30
"""Bytes of a local header before its name and extra field, whose lengths are its last two words (APPNOTE 4.3.7)."""
_SHOWN = 16
_MAX_HEX = 200
_MAX_INFLATED = 128 * 1024**2
"""Bytes that all members together may inflate to while their first different byte is looked for."""
_COUNTS = frozenset({"member", "kind", "size", "crc", "content", "executable", "comment"})


class Seen(NamedTuple):
    """One field that is not the same, in the words of :mod:`reprove.archive.tree`; ``offset`` is in the original, or in the content."""

    path: str
    field: str
    old: str | int | None
    new: str | int | None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class QuickLook:
    """What was seen. ``differs`` is True or nothing: True means that no sound reading finds them equal at ``canonical`` or better.

    None says nothing at all, also when there is no row: no value of this type means *equal*.
    """

    rows: tuple[Seen, ...]
    differs: Literal[True] | None


class _Side(NamedTuple):
    view: View
    directory: Directory
    records: dict[str, Record]


def structural(original: Path, rebuilt: Path, limits: Limits = DEFAULT) -> QuickLook:
    """Name the members whose stored bytes, sizes, CRC or headers differ, and the first different byte of their contents.

    May only ever support *differs*, never *equal*. Raises :class:`ArchiveError` where a central directory cannot be read.
    """
    with open_span(original, limits) as left, open_span(rebuilt, limits) as right:
        rows = tuple(_seen(_side(View(left), limits), _side(View(right), limits)))
    return QuickLook(rows, True if any(_counts(row) for row in rows) else None)


def _counts(row: Seen) -> bool:
    """Whether a difference is one of data; an entry for a folder may be noise."""
    return row.field in _COUNTS and not (row.field == "member" and row.path.endswith("/"))


def _side(view: View, limits: Limits) -> _Side:
    notes = Notes(0)
    try:
        directory = read_directory(view, notes, limits)
        records = central_records(view, directory, notes)
    except struct.error as error:
        raise ArchiveError(f"a header is cut short: {error}") from None
    return _Side(view, directory, {decode(record.header.raw_name, record.header.flags)[0]: record for record in records})


def _seen(old: _Side, new: _Side) -> Iterator[Seen]:
    if old.directory.comment != new.directory.comment:
        yield Seen("", "comment", _hex(old.directory.comment), _hex(new.directory.comment))
    alike = old.directory.offset == new.directory.offset and _same(old.view, 0, new.view, 0, old.directory.offset)
    budget = _Budget(_MAX_INFLATED)
    for path, mine in old.records.items():
        theirs = new.records.get(path)
        if theirs is None:
            yield Seen(path, "member", mine.header.size, None, mine.local_offset)
            continue
        if mine[1:5] != theirs[1:5] or mine.header[2:] != theirs.header[2:]:
            yield from _headers(path, mine, theirs)
        if alike and mine.local_offset == theirs.local_offset:
            continue
        yield from _bytes(path, old.view, mine, new.view, theirs, budget)
    for path, record in new.records.items():
        if path not in old.records:
            yield Seen(path, "member", None, record.header.size)


def _headers(path: str, mine: Record, theirs: Record) -> Iterator[Seen]:
    """The fields of two central headers that are not the same. ``stored`` and the CRC of a content that differs anyway are told with it."""
    one, two, at = mine.header, theirs.header, mine.header.offset
    for name, old, new in (
        ("extract-version", one.version, two.version),
        ("flags", f"{one.flags:04x}", f"{two.flags:04x}"),
        ("method", one.method, two.method),
        ("time", one.time.hex(), two.time.hex()),
        ("crc", f"{one.crc:08x}", f"{two.crc:08x}"),
        ("size", one.size, two.size),
        ("extra", one.extra, two.extra),
        ("create-system", mine.made_by >> 8, theirs.made_by >> 8),
        ("create-version", mine.made_by & 255, theirs.made_by & 255),
        ("internal-attributes", mine.internal, theirs.internal),
        ("dos-attributes", mine.external & 0xFFFF, theirs.external & 0xFFFF),
        ("mode", f"{mine.external >> 16:06o}", f"{theirs.external >> 16:06o}"),
        ("kind", _kind(mine), _kind(theirs)),
        ("executable", _executable(mine), _executable(theirs)),
        ("comment", mine.comment, theirs.comment),
    ):
        if old != new:
            yield Seen(path, name, _shown(old), _shown(new), at)


def _kind(record: Record) -> str:
    return "symlink" if stat.S_ISLNK(record.external >> 16) else "file"


def _executable(record: Record) -> str:
    return "yes" if record.external >> 16 & 0o111 else "no"


def _bytes(path: str, old: View, mine: Record, new: View, theirs: Record, budget: _Budget) -> Iterator[Seen]:
    """What differs in the local headers and the stored bytes; a content that is not the same is inflated to its first different byte."""
    one, two = _data(old, mine), _data(new, theirs)
    if one - mine.local_offset != two - theirs.local_offset or not _same(old, mine.local_offset, new, theirs.local_offset, one - mine.local_offset):
        yield Seen(path, "local-header", _hex(old[mine.local_offset : one]), _hex(new[theirs.local_offset : two]), mine.local_offset)
    same = _common(old, one, new, two, min(mine.header.stored, theirs.header.stored))
    if same == mine.header.stored == theirs.header.stored:
        return
    if (mine.header.crc, mine.header.size) == (theirs.header.crc, theirs.header.size):
        yield Seen(path, "deflate", f"{mine.header.stored} bytes", f"{theirs.header.stored} bytes", one + same)
        return
    parted = _parting(_Stream(old, one, mine), _Stream(new, two, theirs), same, budget)
    if parted is not None:
        yield Seen(path, "content", *parted)


def _data(view: View, record: Record) -> int:
    """Where the stored bytes of a member begin, by the lengths of its local header."""
    header = view[record.local_offset : record.local_offset + _LOCAL]
    if len(header) < _LOCAL:
        raise ArchiveError("a central header points at no local header", offset=record.local_offset)
    return record.local_offset + _LOCAL + int.from_bytes(header[-4:-2], "little") + int.from_bytes(header[-2:], "little")


@dataclass(slots=True)
class _Budget:
    """How many bytes may still be inflated."""

    left: int


class _Stream:
    """The content of one member, inflated in step with another's. ``at`` is the next stored byte."""

    def __init__(self, view: View, data: int, record: Record) -> None:
        self.view, self.at, self.stop = view, data, min(data + record.header.stored, len(view))
        self.method = record.header.method
        self.inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self.pending = b""

    def next(self, stop: int) -> bytes:
        """The next chunk of content that the stored bytes before ``stop`` give; empty when they give no more."""
        while True:
            if not self.pending and self.at < stop:
                self.pending = self.view[self.at : min(self.at + CHUNK, stop)]
                self.at += len(self.pending)
            if self.method == STORED:
                chunk, self.pending = self.pending, b""
                return chunk
            chunk = self.inflater.decompress(self.pending, CHUNK)
            self.pending = self.inflater.unconsumed_tail
            if chunk or self.inflater.eof or not (self.pending or self.at < stop):
                return chunk


def _parting(old: _Stream, new: _Stream, same: int, budget: _Budget) -> tuple[str, str, int] | None:
    """The first different byte of two contents: what stands there and its offset, or None where the budget ends before it.

    What both have stored alike (``same`` bytes) is inflated once: equal bytes leave two inflaters in the same state.
    """
    if old.method != new.method or old.method not in (STORED, DEFLATED):
        return None
    at, shared = 0, old.at + same
    try:
        while budget.left > 0 and (chunk := old.next(shared)):
            at += len(chunk)
            budget.left -= len(chunk)
        new.at, new.inflater = new.at + same, old.inflater.copy()
        one = two = b""
        while budget.left > 0:
            one, two = one or old.next(old.stop), two or new.next(new.stop)
            size = min(len(one), len(two))
            if size == 0 or one[:size] != two[:size]:
                found = _first(one, two)
                return None if one == two else (one[found : found + _SHOWN].hex(), two[found : found + _SHOWN].hex(), at + found)
            at, one, two = at + size, one[size:], two[size:]
            budget.left -= size
    except zlib.error:
        return None
    return None


def _same(old: View, at: int, new: View, other: int, size: int) -> bool:
    return all(old[at + step : at + min(step + CHUNK, size)] == new[other + step : other + min(step + CHUNK, size)] for step in range(0, size, CHUNK))


def _common(old: View, at: int, new: View, other: int, size: int) -> int:
    """How many of the next ``size`` bytes are the same."""
    for step in range(0, size, CHUNK):
        one, two = old[at + step : at + min(step + CHUNK, size)], new[other + step : other + min(step + CHUNK, size)]
        if one != two:
            return step + _first(one, two)
    return size


def _first(one: bytes, two: bytes) -> int:
    """Length of the common prefix, by halving."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == two[low:middle] else (low, middle - 1)
    return low


def _shown(value: str | int | bytes) -> str | int:
    return _hex(value) if isinstance(value, bytes) else value


def _hex(raw: bytes) -> str:
    """Bytes as hex digits, cut: a row is for a reader, the comparison is done."""
    return raw.hex() if len(raw) <= _MAX_HEX else raw[:_MAX_HEX].hex() + "..."
