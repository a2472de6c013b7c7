"""A text of one name a line, such as the lists in ``.egg-info``."""

from __future__ import annotations

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 16 * 1024**2


def split(data: bytes) -> Pieces | None:
    """A piece ``line`` each, without its end. None for other line ends than the line feed, and for a last line without one."""
    if len(data) > _MAX or not data.endswith(b"\n") or b"\r" in data or b"\0" in data:
        return None
    pieces: list[Piece] = []
    at = 0
    for line in data[:-1].split(b"\n"):
        pieces.append(Piece("line", line, at))
        at += len(line) + 1
    return tuple(pieces)


LINES = Anatomy("lines", lambda path, _head: path.endswith(".txt"), split)
