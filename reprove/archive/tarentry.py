"""One member's headers put together: extended headers, long names, the header block, a sparse map; what they disagree on is a violation.

Readers that know no pax or GNU extension still exist, so what an extension says must be what the plain header says, as far as that has room for it.
"""

from __future__ import annotations

from typing import NamedTuple

from reprove.archive import pax
from reprove.archive.limits import LimitError, Limits
from reprove.archive.model import Code
from reprove.archive.spans import Feed
from reprove.archive.sparse import Sparse, old_map, pax_map
from reprove.archive.tarblocks import BLOCK, ZERO, Complain, Header, TarError, parse

_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
_MAX_OCTAL = 0o7777777
_MAX_SIZE = 0o77777777777
_NAME_ROOM, _OWNER_ROOM = 100, 31
_STAND_IN = b"GNUSparseFile."
_PLACEHOLDERS = frozenset({b"././@LongSymLink", b"././@LongHardLink"})
"""What libarchive writes for the target of a link that is too long."""


class Extension(NamedTuple):
    """One extension header with its payload, both as they stand."""

    kind: bytes
    offset: int
    raw: bytes
    payload: bytes


class Entry(NamedTuple):
    """One member's headers. ``path`` and ``link`` are bytes as spelled; ``stored`` bytes of content follow and stand for ``size``."""

    header: Header
    extensions: tuple[Extension, ...]
    records: pax.Records
    path: bytes
    link: bytes
    uid: int
    gid: int
    user: bytes
    group: bytes
    stored: int
    size: int
    sparse: Sparse | None

    @property
    def raw(self) -> bytes:
        """Every header byte of the member."""
        blocks = b"".join(extension.raw for extension in self.extensions) + self.header.block
        return blocks if self.sparse is None else blocks + self.sparse.raw


def read_entry(feed: Feed, limits: Limits, complain: Complain) -> tuple[Entry | None, list[Extension]]:
    """Read up to the next member's content; also the global headers on the way. The entry is None at a zero block (taken) or at the end.

    Raises :class:`TarError` where what stands there is no header.
    """
    extensions: list[Extension] = []
    globals_: list[Extension] = []
    while True:
        at = feed.offset
        block = feed.take(BLOCK)
        if block == ZERO or not block:
            if extensions:
                complain(Code.PAX, extensions[0].offset, "an extension header without its member")
            if not block:
                raise TarError(Code.TRUNCATED, "the archive ends without its end blocks", at)
            return None, globals_
        if len(block) < BLOCK:
            raise TarError(Code.TRUNCATED, "a header is cut short", at)
        header = parse(block, at, complain)
        if header.kind not in _EXTENSIONS:
            return _entry(header, tuple(extensions), feed, limits, complain), globals_
        extension = _extension(header, feed, limits, complain)
        if header.kind == b"g":
            globals_.append(extension)
            if extensions:
                complain(Code.PAX, at, "a global header between a member's own headers")
            continue
        if any(other.kind == header.kind for other in extensions):
            complain(Code.PAX if header.kind == b"x" else Code.LONG_NAME, at, "the same extension header twice for one member")
        extensions.append(extension)
        if len(extensions) > len(_EXTENSIONS):
            raise TarError(Code.PAX, "extension headers without end", at)


def _extension(header: Header, feed: Feed, limits: Limits, complain: Complain) -> Extension:
    if header.size > limits.header:
        raise LimitError(f"an extension header of {header.size} bytes is beyond the limit of {limits.header}", offset=header.offset)
    if header.link and header.kind in b"xg":  # libarchive repeats the target in GNU's own
        complain(Code.SLACK, header.offset + 157, "a link target on a pax header")
    at = feed.offset
    padded = -(-header.size // BLOCK) * BLOCK
    area = feed.take(padded)
    if len(area) < padded:
        raise TarError(Code.TRUNCATED, "an extension header is cut short", at)
    if area[header.size :].strip(b"\0"):
        complain(Code.PADDING, at + header.size, "bytes in the padding of an extension header")
    return Extension(header.kind, header.offset, header.block + area, area[: header.size])


def _entry(header: Header, extensions: tuple[Extension, ...], feed: Feed, limits: Limits, complain: Complain) -> Entry:
    if not extensions:
        sparse = old_map(header.block, header.offset, feed, limits, complain) if header.kind == b"S" else None
        if sparse is not None and sparse.stored != header.size:
            complain(Code.SIZE, header.offset + 124, "a sparse map of another size than the header's")
        size = header.size if sparse is None else sparse.size
        owners = (header.uid, header.gid, header.user, header.group)
        return Entry(header, (), {}, header.full_name, header.link, *owners, header.size, size, sparse)
    records: pax.Records = {}
    long: dict[bytes, bytes] = {}
    for extension in extensions:
        if extension.kind == b"x":
            records = pax.records(extension.payload, extension.offset + BLOCK, complain)
        else:
            long[extension.kind] = _long(extension, complain)
    chosen = _Chosen(header, records, complain)
    path = chosen.name(b"path", long.get(b"L"), header.full_name)
    link = chosen.name(b"linkpath", long.get(b"K"), header.link)
    uid, gid = chosen.number(b"uid", header.uid, _MAX_OCTAL), chosen.number(b"gid", header.gid, _MAX_OCTAL)
    user, group = chosen.owner(b"uname", header.user), chosen.owner(b"gname", header.group)
    stored = size = chosen.number(b"size", header.size, _MAX_SIZE)
    if header.kind == b"S":
        sparse = old_map(header.block, header.offset, feed, limits, complain)
        if any(key.startswith(b"GNU.sparse.") for key in records):
            complain(Code.SPARSE, header.offset, "a sparse file described by its header and by pax records")
    else:
        sparse = pax_map(records, feed, stored, limits, complain)
    if sparse is not None:
        if sparse.stored + (len(sparse.raw) if header.kind != b"S" else 0) != stored:
            complain(Code.SIZE, header.offset + 124, "a sparse map of another size than the header's")
        stored -= len(sparse.raw) if header.kind != b"S" else 0
        size, path = sparse.size, chosen.sparse_name(path, alone=b"path" not in records and not long)
    return Entry(header, extensions, records, path, link, uid, gid, user, group, stored, size, sparse)


def _long(extension: Extension, complain: Complain) -> bytes:
    """A GNU long name: the name and one NUL."""
    name = extension.payload.removesuffix(b"\0")
    if not name or b"\0" in name:
        complain(Code.LONG_NAME, extension.offset + BLOCK, "a long name that is empty or holds a NUL")
    return name.partition(b"\0")[0]


class _Chosen(NamedTuple):
    """What an extension says of a field, held against the plain header."""

    header: Header
    records: pax.Records
    complain: Complain

    def name(self, key: bytes, long: bytes | None, plain: bytes) -> bytes:
        wide = self.records.get(key)
        if wide is not None and long is not None and wide != long:
            self.complain(Code.PAX, self.header.offset, f"the pax {key.decode()} and the GNU long name disagree")
        value = wide if wide is not None else long
        if value is None:
            return plain
        fits = value.isascii() and len(value) < _NAME_ROOM
        placed = plain in _PLACEHOLDERS and key == b"linkpath" and not fits
        if value != plain and not placed and (fits or not _abbreviates(plain, value)):
            code = Code.PAX if wide is not None else Code.LONG_NAME
            self.complain(code, self.header.offset, f"a long name says {value[:80]!r} and the header {plain[:80]!r}")
        return value

    def sparse_name(self, path: bytes, *, alone: bool) -> bytes:
        """The name of a sparse file: GNU tar gives it apart, and a stand-in for readers that know no better; with a third name they pick any."""
        value = self.records.get(b"GNU.sparse.name", path)
        if value != path and not (alone and _STAND_IN in path):
            self.complain(Code.PAX, self.header.offset, f"a sparse file is called {value[:80]!r} and {path[:80]!r}")
        return value

    def number(self, key: bytes, plain: int, largest: int) -> int:
        value = self.records.get(key)
        if value is None or not value.isdigit() or len(value) > 20:
            return plain
        wide = int(value)
        if wide != plain and wide <= largest:
            code = Code.SIZE if key == b"size" else Code.PAX
            self.complain(code, self.header.offset, f"{key.decode()} is {wide} in the pax header and {plain} in the plain one")
        return wide

    def owner(self, key: bytes, plain: bytes) -> bytes:
        value = self.records.get(key)
        if value is None:
            return plain
        if value != plain and value.isascii() and len(value) <= _OWNER_ROOM:
            self.complain(Code.PAX, self.header.offset, f"{key.decode()} is {value[:80]!r} in the pax header and {plain[:80]!r} in the plain one")
        return value


def _abbreviates(short: bytes, full: bytes) -> bool:
    """Whether a header's name is the full one with characters left out or replaced: writers cut, drop what is not ASCII, or write ``?`` for it."""
    replaced = sum(map(_stands_for_another, short))
    if replaced > sum(map(_stands_for_another, full)):
        return False  # more of them than the full name has characters to replace: they would hide bytes
    rest = iter(full)
    return all(byte in rest for byte in short if not _stands_for_another(byte))


def _stands_for_another(byte: int) -> bool:
    return byte >= 0x80 or byte == 0x3F
