"""One file in gzip (RFC 1952) that is payload, such as a manual page."""

from __future__ import annotations

import struct
import zlib

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX_PAYLOAD = 64 * 1024**2
_MAX_RATIO, _RATIO_FREE = 100, 4 * 1024**2
"""Inflated to stored bytes, and the size up to which that does not matter."""
_HEADER_CRC, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_TEXT = 1


def split(data: bytes) -> Pieces | None:
    """``flags``, ``time``, ``effort``, ``os``, ``name``, ``packed`` (what inflates, and the trailer) and ``payload``.

    Strict: one member, nothing behind it, no extra field or comment, right checksums and length. Anything else is not taken apart.
    """
    if len(data) < 18 or data[:3] != b"\x1f\x8b\x08" or data[3] & ~(_TEXT | _HEADER_CRC | _NAME):
        return None
    flags, at, name = data[3], 10, b""
    if flags & _NAME:
        end = data.find(b"\0", at)
        if end < 0:
            return None
        name, at = data[at:end], end + 1
    if flags & _HEADER_CRC:
        if data[at : at + 2] != struct.pack("<H", zlib.crc32(data[:at]) & 0xFFFF):
            return None
        at += 2
    payload = _inflated(data, at)
    if payload is None:
        return None
    return (
        Piece("flags", data[3:4], 3),
        Piece("time", data[4:8], 4),
        Piece("effort", data[8:9], 8),
        Piece("os", data[9:10], 9),
        Piece("name", name, 10),
        Piece("packed", data[at:], at),
        Piece("payload", payload, 0),
    )


def _inflated(data: bytes, start: int) -> bytes | None:
    """The payload, if the stream from ``start`` ends exactly before the trailer and the trailer is true."""
    unpacker = zlib.decompressobj(-15)
    try:
        payload = unpacker.decompress(memoryview(data)[start:], min(_MAX_PAYLOAD, max(_RATIO_FREE, _MAX_RATIO * len(data))))
    except zlib.error:
        return None
    if not unpacker.eof or unpacker.unconsumed_tail:
        return None
    return payload if unpacker.unused_data == struct.pack("<LL", zlib.crc32(payload), len(payload) & 0xFFFFFFFF) else None


GZIP = Anatomy("gzip", lambda _path, head: head[:3] == b"\x1f\x8b\x08", split)
