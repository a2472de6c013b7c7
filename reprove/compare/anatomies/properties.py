"""Java property files (java.util.Properties.load)."""

from __future__ import annotations

from reprove.compare.anatomies.dates import is_java_date
from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 4 * 1024**2
_BLANK = b" \t\f"


def split(data: bytes) -> Pieces | None:
    """A piece ``date`` for each comment line that is one ``java.util.Date``, ``comment`` for others, ``property:<key>`` for each logical line.

    Each holds its line end, and a property its continuation lines. Keys with escapes count as ``property:`` without a name.
    """
    if len(data) > _MAX:
        return None
    pieces: list[Piece] = []
    lines = data.splitlines(keepends=True)
    at, number = 0, 0
    while number < len(lines):
        start = number
        bare = lines[number].lstrip(_BLANK)
        number += 1
        if bare[:1] in (b"#", b"!"):
            name = "date" if lines[start].startswith(b"#") and is_java_date(lines[start][1:].rstrip(b"\r\n")) else "comment"
        elif not bare.strip():
            name = "comment"
        else:
            while number < len(lines) and _continues(lines[number - 1]):
                number += 1
            name = f"property:{_key(bare)}"
        line = b"".join(lines[start:number])
        pieces.append(Piece(name, line, at))
        at += len(line)
    return tuple(pieces)


def _continues(line: bytes) -> bool:
    body = line.rstrip(b"\r\n")
    return body != line and (len(body) - len(body.rstrip(b"\\"))) % 2 == 1


def _key(line: bytes) -> str:
    for at, byte in enumerate(line):
        if byte in b"\\":
            return ""
        if byte in b"=: \t\f\r\n":
            return line[:at].decode("latin-1")
    return line.decode("latin-1")


PROPERTIES = Anatomy("properties", lambda path, _head: path.endswith(".properties"), split)
