"""Compiled Python modules (PEP 552; ``importlib._bootstrap_external``)."""

from __future__ import annotations

from reprove.compare.pieces import Anatomy, Piece, Pieces

_WITH_FLAGS = range(3392, 4000)
"""Magic numbers of Python 3.7 (PEP 552) and later: a word of flags follows. Earlier formats are not taken apart."""
_BY_TIME, _BY_HASH = (0,), (1, 3)


def split(data: bytes) -> Pieces | None:
    """``magic``, ``flags``, then ``mtime`` and ``size`` of the source, or ``hash`` of it, and ``code``."""
    if len(data) < 16 or data[2:4] != b"\r\n" or int.from_bytes(data[:2], "little") not in _WITH_FLAGS:
        return None
    head = (Piece("magic", data[:4], 0), Piece("flags", data[4:8], 4))
    flags, code = int.from_bytes(data[4:8], "little"), Piece("code", data[16:], 16)
    if flags in _BY_TIME:
        return (*head, Piece("mtime", data[8:12], 8), Piece("size", data[12:16], 12), code)
    if flags in _BY_HASH:
        return (*head, Piece("hash", data[8:16], 8), code)
    return None


PYC = Anatomy("pyc", lambda path, head: path.endswith(".pyc") and head[2:4] == b"\r\n", split)
