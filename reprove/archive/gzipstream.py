"""The header and trailer of a gzip member (RFC 1952 section 2.3), and its deflate data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from reprove.archive.limits import CHUNK, ArchiveError, LimitError, Limits
from reprove.archive.model import Code
from reprove.archive.spans import Span
from reprove.archive.texts import as_text

MAGIC = b"\x1f\x8b"
TRAILER = 8
_FIXED = struct.Struct("<2sBBLBB")
_HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0

Complaint = tuple[Code, int, str]


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the deflate data: ``size`` bytes; ``facts`` are (name, value, offset)."""

    size: int
    facts: tuple[tuple[str, str | int, int], ...]
    complaints: tuple[Complaint, ...]


def read_header(span: Span, limits: Limits) -> Header:
    """Read the header at the start of ``span``. Raises :class:`ArchiveError` when it is no gzip or cut short."""
    start = span.read(0, _FIXED.size + 2 + 0xFFFF + 2 * limits.name + 4)
    if len(start) < _FIXED.size:
        raise ArchiveError("a gzip header is cut short", offset=len(start))
    magic, method, flags, time, effort, system = _FIXED.unpack_from(start)
    if magic != MAGIC or method != 8:
        raise ArchiveError(f"gzip method {method} is not deflate", offset=2)
    complaints: list[Complaint] = []
    at = _FIXED.size
    if flags & _EXTRA:
        complaints.append((Code.STREAM_HEADER, at, "an extra field, which readers skip"))
        at += 2 + int.from_bytes(start[at : at + 2], "little")
    name = None
    if flags & _NAME:
        name, at = _text(start, at, limits)
    if flags & _COMMENT:
        complaints.append((Code.STREAM_HEADER, at, "a comment, which readers skip"))
        _, at = _text(start, at, limits)
    if flags & _HEADER_CRC:
        if int.from_bytes(start[at : at + 2], "little") != zlib.crc32(start[:at]) & 0xFFFF:
            complaints.append((Code.STREAM_HEADER, at, "a false checksum of the header"))
        at += 2
    if at > len(start):
        raise ArchiveError("a gzip header is cut short", offset=len(start))
    if flags & _RESERVED:
        complaints.append((Code.STREAM_HEADER, 3, f"reserved flags {flags & _RESERVED:#04x}"))
    moment = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S") if time else "none"
    facts = (
        ("gzip:flags", f"{flags:#04x}", 3),
        ("gzip:time", moment, 4),
        ("gzip:effort", effort, 8),
        ("gzip:os", system, 9),
        ("gzip:name", "" if name is None else name, _FIXED.size),
    )
    return Header(at, facts, tuple(complaints))


def _text(start: bytes, at: int, limits: Limits) -> tuple[str, int]:
    end = start.find(b"\0", at, at + limits.name + 1)
    if end < 0:
        raise LimitError(f"a text in a gzip header is longer than {limits.name} bytes or has no end", offset=at)
    return as_text(start[at:end]), end + 1


def inflate(span: Span, at: int, ends: list[int]) -> Iterator[bytes]:
    """Yield the inflated content from ``at`` on; then ``ends`` holds where the data ends, the content's CRC and its size."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    pending, crc, size = b"", 0, 0
    while not stream.eof:
        if not pending:
            pending = span.read(at, CHUNK)
            at += len(pending)
        try:
            chunk = stream.decompress(pending, CHUNK)
        except zlib.error as error:
            raise ArchiveError(f"malformed deflate stream: {error}", offset=at - len(pending)) from None
        if not pending and not chunk and not stream.eof:
            raise ArchiveError("the deflate stream has no end", offset=at)
        pending = stream.unconsumed_tail
        if chunk:
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            yield chunk
    ends += [at - len(stream.unused_data), crc, size]


def trailer_complaints(span: Span, at: int, crc: int, size: int) -> Iterator[Complaint]:
    """Compare the trailer at ``at`` with the content."""
    trailer = span.read(at, TRAILER)
    if len(trailer) < TRAILER:
        raise ArchiveError("a gzip trailer is cut short", offset=at)
    claimed, length = struct.unpack("<LL", trailer)
    if claimed != crc:
        yield Code.CRC, at, f"declares CRC {claimed:08x} and has {crc:08x}"
    if length != size & 0xFFFFFFFF:
        yield Code.SIZE, at + 4, f"declares {length} bytes and holds {size}"
