"""The raw structures of a zip file (APPNOTE 6.3.10): end records, central and local headers, extra fields. Positions only, no content.

Nothing here decides what an archive means: whatever is odd becomes a :class:`Violation` and reading goes on while it makes sense.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.model import Code, Header, Violation
from reprove.archive.view import View

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s4H4s3L5H2L")
_LOCAL = struct.Struct("<4s3H4s3L2H")
_END_SIGNATURE = b"PK\x05\x06"
_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_MAX_FIELDS = 32
"""Extra fields of one header. Real ones have five or fewer, and hostile ones cost time."""
ZIP64_ID = 0x0001
UNICODE_PATH_ID = 0x7075
UNICODE_COMMENT_ID = 0x6375
PADDING_ID = 0x0000
"""What zeros for alignment look like when they are read as fields."""


@dataclass(slots=True)
class Notes:
    """Violations found so far, bounded: a hostile archive must not grow the list without end."""

    limit: int
    found: list[Violation] = field(default_factory=list)

    def add(self, code: Code, path: str, offset: int, detail: str) -> None:
        """Keep one violation, or drop it when the list is full (one is as bad as a hundred)."""
        if len(self.found) < self.limit:
            self.found.append(Violation(code, path, offset, detail))


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory and everything after it stand. ``tail`` is where the end records begin, ``comment`` the archive's.

    ``wide`` is what the zip64 end record says and nothing has to agree with: its two versions.
    """

    offset: int
    size: int
    entries: int
    tail: int
    comment: bytes
    wide: bytes = b""


class Record(NamedTuple):
    """One central header with the fields that only it has. ``raw`` are its bytes but for the name and the position of the local header."""

    header: Header
    made_by: int
    internal: int
    external: int
    comment: bytes
    local_offset: int
    raw: bytes


def read_directory(view: View, notes: Notes, limits: Limits) -> Directory:
    """Find the one end record that reaches the end of the file, and what it says. Raises :class:`ArchiveError` when there is none."""
    size = len(view)
    at = size - _END.size
    if at < 0 or view[at : at + 4] != _END_SIGNATURE or view[size - 2 : size] != b"\0\0":
        at = _last_end(view, notes)
    (_, disk, start_disk, here, entries, length, offset, comment_size) = _END.unpack(view[at : at + _END.size])
    comment = view[at + _END.size : at + _END.size + comment_size]
    if at + _END.size + comment_size < size:
        notes.add(Code.SUFFIX, "", at + _END.size + comment_size, f"{size - at - _END.size - comment_size} bytes after the end record")
    if _END_SIGNATURE in comment or b"PK\x06\x07" in comment:
        notes.add(Code.END_RECORD, "", at, "the archive's comment holds an end record")
    if disk or start_disk or here != entries:
        notes.add(Code.DISK, "", at, "the archive claims to span disks")
    tail, wide = at, b""
    if at >= _LOCATOR.size and view[at - _LOCATOR.size : at - _LOCATOR.size + 4] == b"PK\x06\x07":
        entries, length, offset, tail = _end64(view, at, (entries, length, offset), notes)
        wide = view[tail + 12 : tail + 16]
    elif entries == _FULL16 or _FULL32 in (length, offset):
        notes.add(Code.ZIP64, "", at, "a sentinel stands in the end record and there is no zip64 end record")
    if offset + length > size or entries * _CENTRAL.size > length:
        raise ArchiveError(f"a central directory of {entries} entries in {length} bytes at {offset} does not fit the file", offset=at)
    if length > limits.directory or entries > limits.entries:
        raise LimitError(f"a central directory of {entries} entries and {length} bytes is beyond the limit", offset=at)
    if offset + length != tail:
        code = Code.PREFIX if offset + length < tail else Code.OVERLAP
        notes.add(code, "", tail, f"the central directory should end at {offset + length} and the end record starts at {tail}")
    return Directory(offset, length, entries, tail, comment, wide)


def _last_end(view: View, notes: Notes) -> int:
    """The last end record in the last 64 KiB whose comment fits; one that only nearly fits leaves a suffix behind."""
    at = view.rfind(_END_SIGNATURE, max(0, len(view) - _FULL16 - _END.size))
    if at < 0 or at + _END.size > len(view):
        raise ArchiveError("not a zip archive: no end record in the last 64 KiB", offset=len(view))
    (comment_size,) = struct.unpack("<H", view[at + 20 : at + 22])
    if at + _END.size + comment_size > len(view):
        notes.add(Code.END_RECORD, "", at, "the end record's comment is longer than what follows")
    return at


def _end64(view: View, at: int, plain: tuple[int, int, int], notes: Notes) -> tuple[int, int, int, int]:
    """Read the zip64 end record before ``at``; readers differ on when they believe it, so both must say the same."""
    (_, disk, where, disks) = _LOCATOR.unpack(view[at - _LOCATOR.size : at])
    if where + _END64.size > at - _LOCATOR.size or view[where : where + 4] != b"PK\x06\x06":
        raise ArchiveError("the zip64 locator points at no zip64 end record", offset=at - _LOCATOR.size)
    fields = _END64.unpack(view[where : where + _END64.size])
    if fields[1] != _END64.size - 12 or where + _END64.size != at - _LOCATOR.size:
        notes.add(Code.ZIP64, "", where, "the zip64 end record has unknown data or is not followed by its locator")
    if disk or disks != 1 or fields[4] or fields[5] or fields[6] != fields[7]:
        notes.add(Code.DISK, "", where, "the archive claims to span disks")
    wide = (fields[7], fields[8], fields[9])
    for low, high, full in zip(plain, wide, (_FULL16, _FULL32, _FULL32), strict=True):
        if low not in (full, high):
            notes.add(Code.ZIP64, "", where, f"the end record says {low} and the zip64 end record {high}")
    return (*wide, where)


def central_records(view: View, directory: Directory, notes: Notes) -> list[Record]:
    """Read the central headers one after another. Bytes of the directory that are no header are a gap."""
    base, end = directory.offset, directory.size
    block = view[base : base + directory.size]
    found: list[Record] = []
    at = 0
    for _ in range(directory.entries):
        if at + _CENTRAL.size > end or block[at : at + 4] != b"PK\x01\x02":
            raise ArchiveError("the central directory is cut short or holds something else", offset=base + at)
        fields = _CENTRAL.unpack_from(block, at)
        (_, made_by, version, flags, method, time, crc, stored, size, names, extras, comments, disk, internal, external, local) = fields
        start = at + _CENTRAL.size
        stop = start + names + extras + comments
        if stop > end:
            raise ArchiveError("a central header leaves the central directory", offset=base + at)
        extra = block[start + names : start + names + extras]
        if extras or _FULL32 in (size, stored, local) or disk:
            wide = _Wide(extra, base + at, notes)
            size = wide.take(size, "Q", _FULL32)
            stored = wide.take(stored, "Q", _FULL32)
            local = wide.take(local, "Q", _FULL32)
            disk = wide.take(disk, "L", _FULL16)
            wide.finish()
            if disk:
                notes.add(Code.DISK, "", base + at, "a member claims another disk")
        header = Header(base + at, block[start : start + names], version, flags, method, time, crc, stored, size, extra)
        comment = block[start + names + extras : stop] if comments else b""
        raw = block[at + 4 : at + 42] + block[start + names : stop]
        found.append(Record(header, made_by, internal, external, comment, local, raw))
        at = stop
    if at != end:
        notes.add(Code.GAP, "", base + at, f"{end - at} bytes of the central directory belong to no header")
    return found


def local_header(view: View, offset: int, notes: Notes) -> tuple[Header, int, bytes]:
    """Read the local header at ``offset``, say where its data starts, and give its bytes but for the name."""
    block, at = view.around(offset, _LOCAL.size)
    if len(block) - at < _LOCAL.size or block[at : at + 4] != b"PK\x03\x04":
        raise ArchiveError("a central header points at no local header", offset=offset)
    (_, version, flags, method, time, crc, stored, size, names, extras) = _LOCAL.unpack_from(block, at)
    start = at + _LOCAL.size
    data, fixed = offset + _LOCAL.size + names + extras, block[at + 4 : start]
    if data > len(view):
        raise ArchiveError("a local header leaves the file", offset=offset)
    if start + names + extras > len(block):
        block, start = view.around(offset + _LOCAL.size, names + extras)
    extra = block[start + names : start + names + extras]
    if extras or _FULL32 in (size, stored):
        wide = _Wide(extra, offset, notes)
        # Python before 3.11.4 repeats the plain sizes when told to write zip64: both say the same, so nothing is ambiguous
        repeated = struct.pack("<QQ", size, stored)
        size = wide.take(size, "Q", _FULL32)
        stored = wide.take(stored, "Q", _FULL32)
        wide.finish(repeated)
    header = Header(offset, block[start : start + names], version, flags, method, time, crc, stored, size, extra)
    return header, data, fixed + extra


def extra_fields(extra: bytes) -> list[tuple[int, bytes]]:
    """Split an extra field into (id, data); zeros to its end are one field of id 0.

    Raises ``ValueError`` when its lengths do not add up, or an id occurs twice: readers differ on which of the two they believe.
    """
    found: dict[int, bytes] = {}
    at, zeros = 0, len(extra.rstrip(b"\0"))
    while at < len(extra):
        if at >= zeros:
            ident, length, data = PADDING_ID, len(extra) - at, extra[at:]
        elif at + 4 > len(extra):
            raise ValueError("an extra field is cut short")
        else:
            ident, length = struct.unpack_from("<HH", extra, at)
            at += 4
            data = extra[at : at + length]
        if len(data) < length:
            raise ValueError("an extra field leaves its header")
        if ident in found:
            raise ValueError("the same extra field twice in one header")
        if len(found) == _MAX_FIELDS:
            raise ValueError(f"more than {_MAX_FIELDS} extra fields in one header")
        found[ident] = data
        at += length
    return list(found.items())


class _Wide:
    """The zip64 extra field of one header: holds a value for each sentinel of the header, in order, and nothing else (APPNOTE 4.5.3)."""

    def __init__(self, extra: bytes, offset: int, notes: Notes) -> None:
        self._offset, self._notes = offset, notes
        try:
            self._data = dict(extra_fields(extra)).get(ZIP64_ID, b"")
        except ValueError as error:
            notes.add(Code.EXTRA, "", offset, str(error))
            self._data = b""

    def take(self, value: int, form: str, sentinel: int) -> int:
        """The wide value when ``value`` is the sentinel, else ``value``."""
        if value != sentinel:
            return value
        width = struct.calcsize("<" + form)
        if len(self._data) < width:
            self._notes.add(Code.ZIP64, "", self._offset, "a sentinel without its zip64 value")
            return value
        (wide,) = struct.unpack_from("<" + form, self._data)
        self._data = self._data[width:]
        return int(wide)

    def finish(self, harmless: bytes = b"") -> None:
        """Note what no sentinel asked for: readers differ on whether they believe it."""
        if self._data not in (b"", harmless):
            self._notes.add(Code.ZIP64, "", self._offset, "a zip64 value without its sentinel")
