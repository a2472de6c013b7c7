"""A wheel's RECORD: path, hash and size of every member (PEP 376, PEP 427)."""

from __future__ import annotations

import csv

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 32 * 1024**2


def split(data: bytes) -> Pieces | None:
    """A piece ``hashed`` (path, hash and size) or ``unhashed`` for each row, and ``endings`` for the line ends of all.

    ``hashed`` rows say nothing that the members do not say: the lint recomputes them. Rows without a hash (of RECORD itself) say what they like.
    """
    if len(data) > _MAX or b"\0" in data:
        return None
    pieces: list[Piece] = []
    endings: list[bytes] = []
    at = 0
    try:
        for line in data.splitlines(keepends=True):
            row = line.rstrip(b"\r\n")
            columns = next(iter(csv.reader([row.decode("utf-8")], strict=True)), [])
            pieces.append(Piece("hashed" if len(columns) == 3 and columns[1] else "unhashed", row, at))
            endings.append(line[len(row) :])
            at += len(line)
    except (UnicodeDecodeError, csv.Error):
        return None
    return (*pieces, Piece("endings", b" ".join(endings), 0))


RECORD = Anatomy("record", lambda path, _head: path.endswith(".dist-info/RECORD"), split)
