"""Members of an ar archive: GNU and BSD long names, symbol tables; static libraries as trees (ar(5), deb(5)).

Who made it decides date, owners and modes, and no reader acts on them. The order of members decides what a linker takes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.model import Code
from reprove.archive.names import complaint
from reprove.archive.spans import Span
from reprove.archive.structure import Notes
from reprove.archive.tarfields import moment
from reprove.archive.texts import as_text
from reprove.archive.tree import Field, Kind, Member, Weight

MAGIC = b"!<arch>\n"
_HEADER = struct.Struct("16s12s6s6s8s10s2s")
_END = b"`\n"
_DECIMAL = re.compile(rb"([0-9]+) *")
_BSD_NAME = re.compile(rb"#1/([0-9]{1,6}) *")
_GNU_NAME = re.compile(rb"/([0-9]{1,10}) *")
_TABLE, _SYMBOLS = b"//", frozenset({b"/", b"/SYM64/"})


class Part(NamedTuple):
    """One member as it stands: ``header`` is every header byte, a BSD name included; ``plain`` whether the name is in the header itself."""

    name: str
    plain: bool
    header: bytes
    offset: int
    data: int
    size: int


@dataclass(slots=True)
class Ar:
    """An ar archive as read: its parts in order, and the table of long names, where there is one, as a field."""

    parts: list[Part]
    fields: list[Field]


class _Table:
    """GNU's table of long names: every line must be some member's name, or it hides bytes."""

    def __init__(self, data: bytes, offset: int, notes: Notes, limit: int) -> None:
        self._data, self._offset, self._notes, self._limit = data, offset, notes, limit
        self._used: set[int] = set()

    def name(self, at: int, offset: int) -> bytes:
        end = self._data.find(b"/\n", at)
        if end < 0 or (at and self._data[at - 1 : at] != b"\n"):
            raise ArchiveError("a long name that the table of names does not have", offset=offset)
        if end - at > self._limit:
            raise LimitError(f"a name of {end - at} bytes is beyond the limit", offset=offset)
        self._used.add(at)
        return self._data[at:end]

    def finish(self) -> None:
        at = 0
        while at < len(self._data):
            end = self._data.find(b"/\n", at)
            if at not in self._used and self._data[at:].strip(b"\n"):
                self._notes.add(Code.LONG_NAME, "//", self._offset + at, "a long name that no member has")
                return
            at = len(self._data) if end < 0 else end + 2


def read_ar(span: Span, limits: Limits, notes: Notes) -> Ar:
    """Walk the headers. Raises :class:`ArchiveError` where what stands there is none."""
    found = Ar([], [])
    table = _Table(b"", 0, notes, limits.name)
    tables = 0
    at = len(MAGIC)
    while at < span.size:
        raw = span.read(at, _HEADER.size)
        if len(raw) < _HEADER.size or not raw.endswith(_END):
            raise ArchiveError("no ar header stands where one should", offset=at)
        name, date, uid, gid, mode, length, _ = _HEADER.unpack(raw)
        for value, blank_ok in ((date, True), (uid, True), (gid, True), (mode, True), (length, False)):
            if not _DECIMAL.fullmatch(value) and not (blank_ok and not value.strip()):
                raise ArchiveError(f"{value!r} is no number", offset=at)
        size, data = int(length), at + _HEADER.size
        if data + size > span.size:
            raise ArchiveError("a member leaves the archive", offset=at)
        if len(found.parts) >= limits.entries:
            raise LimitError(f"the archive has more than {limits.entries} members", offset=at)
        end = data + size
        short = name.rstrip(b" ")
        if short == _TABLE:
            tables += 1
            if tables > 1:
                notes.add(Code.LONG_NAME, "//", at, "two tables of names")
            table.finish()
            table = _Table(_read(span, data, size, limits.header), data, notes, limits.name)
            found.fields.append(Field("long-names", f"{size} bytes, sha256 {span.sha256(data, end)}, {as_text(raw)}", Weight.NOISE, at))
        else:
            found.parts.append(_part(span, raw, at, size, table, limits, notes))
        if size % 2:
            pad = span.read(end, 1)
            if pad != b"\n":
                notes.add(Code.PADDING, as_text(short), end, "the byte behind a member of odd size is no line break")
            end += 1
        at = end
    table.finish()
    return found


def _part(span: Span, raw: bytes, at: int, size: int, table: _Table, limits: Limits, notes: Notes) -> Part:
    name = raw[:16]
    data, short, plain = at + _HEADER.size, name.rstrip(b" "), True
    if short in _SYMBOLS:
        return Part(short.decode(), True, raw, at, data, size)
    bsd, gnu = _BSD_NAME.fullmatch(name), _GNU_NAME.fullmatch(name)
    if bsd:
        length = int(bsd[1])
        if length > size:
            raise ArchiveError("a name longer than its member", offset=at)
        area = _read(span, data, length, limits.name)
        raw, data, size, plain = raw + area, data + length, size - length, False
        text, _, rest = area.partition(b"\0")
        if rest.strip(b"\0"):
            notes.add(Code.SLACK, as_text(text), data, "bytes behind the end of a name")
    elif gnu:
        text, plain = table.name(int(gnu[1]), at), False
    else:
        text = short.removesuffix(b"/")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
        notes.add(Code.NAME_ENCODING, decoded, at, "a name that is not UTF-8")
    wrong = complaint(decoded, limits.name)
    if wrong or decoded.endswith("/"):
        notes.add(Code.BAD_NAME, decoded, at, wrong or "a name that ends in a slash")
    return Part(decoded, plain, raw, at, data, size)


def _read(span: Span, at: int, size: int, limit: int) -> bytes:
    if size > limit:
        raise LimitError(f"names of {size} bytes are beyond the limit of {limit}", offset=at)
    return span.read(at, size)


def library(span: Span, found: Ar, notes: Notes) -> tuple[Member, ...]:
    """The members of a static library. It may hold one name twice, which a linker takes in order: ``name#2`` is the second one."""
    seen: dict[str, int] = {}
    members: list[Member] = []
    taken: set[str] = set()
    for part in found.parts:
        seen[part.name] = count = seen.get(part.name, 0) + 1
        path = part.name if count == 1 else f"{part.name}#{count}"
        if path in taken:
            notes.add(Code.DUPLICATE, path, part.offset, "a name that looks like a second member of another name")
        taken.add(path)
        digest = span.sha256(part.data, part.data + part.size)
        members.append(Member(path, Kind.FILE, part.size, digest, part.header, part.offset, part.data))
    return tuple(members)


def details(member: Member) -> tuple[Field, ...]:
    """The fields of an ar header: all of them noise."""
    name, date, uid, gid, mode, _, _ = _HEADER.unpack(member.raw[: _HEADER.size])
    at = member.offset
    return (
        Field("mode", as_text(mode.rstrip()), Weight.NOISE, at + 40),
        Field("time", moment(int(date)) if date.strip() else "", Weight.NOISE, at + 16),
        Field("uid", as_text(uid.rstrip()), Weight.NOISE, at + 28),
        Field("gid", as_text(gid.rstrip()), Weight.NOISE, at + 34),
        Field("header-form", as_text(name), Weight.NOISE, at),
    )
