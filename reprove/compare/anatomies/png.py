"""Portable Network Graphics by chunk (PNG specification, section 5)."""

from __future__ import annotations

import zlib

from reprove.compare.pieces import Anatomy, Piece, Pieces

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000


def split(data: bytes) -> Pieces | None:
    """A piece ``chunk:<type>`` each, and ``text:<keyword>`` for plain text chunks. Length and checksum have to be true; nothing may follow IEND."""
    if not data.startswith(_SIGNATURE):
        return None
    pieces: list[Piece] = []
    at = len(_SIGNATURE)
    while at < len(data) and len(pieces) < _MAX_CHUNKS:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + size
        if end + 4 > len(data) or not kind.isalpha() or zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return None
        pieces.append(_piece(kind, data[at + 8 : end], at + 8))
        at = end + 4
        if kind == b"IEND":
            return tuple(pieces) if at == len(data) else None
    return None


def _piece(kind: bytes, content: bytes, offset: int) -> Piece:
    keyword, zero, text = content.partition(b"\0")
    if kind == b"tEXt" and zero and len(keyword) < 80:
        return Piece(f"text:{keyword.decode('latin-1')}", text, offset + len(keyword) + 1)
    return Piece(f"chunk:{kind.decode()}", content, offset)


PNG = Anatomy("png", lambda _path, head: head.startswith(_SIGNATURE), split)
