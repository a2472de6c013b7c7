"""The 512-byte header blocks of a tar archive: old v7, ustar (POSIX.1-1988), GNU and pax (POSIX.1-2001).

Every byte of a block is a field, padding that must be zero, or a :class:`Violation`. Python's :mod:`tarfile` is not used: it forgives too much.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple, Protocol

from reprove.archive.limits import ArchiveError
from reprove.archive.model import Code

BLOCK = 512
ZERO = bytes(BLOCK)
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
_USTAR, _GNU, _NONE = b"ustar\x0000", b"ustar  \0", bytes(8)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_CHECKSUM = slice(148, 156)
_WIDEST = 1 << 63
"""No reader holds a number beyond this."""
_NO_DEVICE = b"0000000\0" * 2
"""What GNU tar writes for a device that is none, also into an old header."""
_SPACES = sum(b" " * 8)


class TarError(ArchiveError):
    """The walk cannot go on: what follows is no tar, or is cut short."""

    def __init__(self, code: Code, detail: str, offset: int) -> None:
        super().__init__(detail, offset=offset)
        self.code = code


class Complain(Protocol):
    """Where violations go."""

    def __call__(self, code: Code, offset: int, detail: str) -> None: ...  # noqa: D102


class Header(NamedTuple):
    """One header block as it stands: texts without their zeros, numbers read; ``rest`` is bytes 345 to 500 (the prefix, but of the GNU dialect)."""

    block: bytes
    offset: int
    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    time: int
    kind: bytes
    link: bytes
    dialect: str
    user: bytes
    group: bytes
    major: int
    minor: int
    rest: bytes

    @property
    def full_name(self) -> bytes:
        """The name that the block alone gives."""
        if self.dialect != "ustar":
            return self.name
        prefix = self.rest.partition(b"\0")[0]
        return prefix + b"/" + self.name if prefix else self.name


def has_checksum(block: bytes) -> bool:
    """Whether a block looks like a header: its sum of unsigned bytes is the one that it declares."""
    found = _OCTAL.fullmatch(block[_CHECKSUM]) if len(block) == BLOCK else None
    return found is not None and int(found[1], 8) == sum(block) - sum(block[_CHECKSUM]) + _SPACES


def parse(block: bytes, offset: int, complain: Complain) -> Header:
    """Read one header block at ``offset``. Raises :class:`TarError` when its checksum or its size makes it none."""
    if not has_checksum(block):
        raise TarError(Code.CHECKSUM, "the checksum of a header is wrong", offset)
    name, mode, uid, gid, size, time, _, kind, link, magic, user, group, major, minor, rest, tail = _FIELDS.unpack(block)
    if magic == _USTAR:
        dialect = "ustar"
    elif magic == _GNU:
        dialect = "gnu"
    else:
        dialect = "v7"
        if magic != _NONE:
            complain(Code.SLACK, offset + 257, f"an unknown magic {magic!r}")
        elif any(block[265:329]) or any(block[345:]) or block[329:345] not in (bytes(16), _NO_DEVICE):
            complain(Code.SLACK, offset + 265, "bytes that the old header does not have")
    if dialect == "gnu":
        if kind != b"S" and (rest.strip(b"\0") or tail.strip(b"\0")):
            complain(Code.SLACK, offset + 345, "bytes after the device of a GNU header, which some readers take for a prefix")
    else:
        _text(rest, offset + 345, complain)
        if tail.strip(b"\0"):
            complain(Code.SLACK, offset + 500, "bytes in the padding of a header")
    return Header(
        block,
        offset,
        _text(name, offset, complain),
        _number(mode, offset + 100, complain),
        _number(uid, offset + 108, complain),
        _number(gid, offset + 116, complain),
        _size(size, offset + 124, kind, complain),
        _number(time, offset + 136, complain),
        kind,
        _text(link, offset + 157, complain),
        dialect,
        _text(user, offset + 265, complain),
        _text(group, offset + 297, complain),
        _number(major, offset + 329, complain),
        _number(minor, offset + 337, complain),
        rest,
    )


def _text(field: bytes, offset: int, complain: Complain) -> bytes:
    text, _, rest = field.partition(b"\0")
    if rest and rest.strip(b"\0"):
        complain(Code.SLACK, offset + len(text), "bytes after the end of a text")
    return text


def _number(field: bytes, offset: int, complain: Complain) -> int:
    value = number(field)
    if value is None:
        complain(Code.NUMBER, offset, f"{field!r} is no number that readers agree on")
        return 0
    return value


def _size(field: bytes, offset: int, kind: bytes, complain: Complain) -> int:
    value = number(field)
    if value is None or value < 0:
        raise TarError(Code.SIZE, f"{field!r} is no size", offset)
    if kind in b"0\x007" and not field.strip(b"\0"):
        complain(Code.NUMBER, offset, "a file without a size")
    return value


def number(field: bytes) -> int | None:
    """Read a number: octal, zeros for none, or GNU's base 256 (first bit set; 0xff begins a negative one). None for anything else."""
    found = _OCTAL.fullmatch(field)
    if found is not None:
        return int(found[1], 8)
    if not field.strip(b"\0"):
        return 0
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    elif field[0] == 0xFF:
        value = int.from_bytes(field, "big", signed=True)
    else:
        return None
    return value if -_WIDEST <= value < _WIDEST else None


def form(block: bytes) -> bytes:
    """How a header is written, whatever it says: its name, owners and digits blanked. What is left is how numbers are padded, and the rest."""
    out = bytearray(block)
    for start, stop in _NUMBERS:
        field = block[start:stop]
        out[start:stop] = field.translate(_DIGITS) if field[0] < 0x80 else field[:1] + bytes(stop - start - 1)
    for start, stop in ((0, 100), (265, 297), (297, 329)):
        out[start:stop] = bytes(stop - start)
    return bytes(out)


_NUMBERS = ((100, 108), (108, 116), (116, 124), (124, 136), (136, 148), (148, 156))
_DIGITS = bytes.maketrans(b"01234567", b"0" * 8)
