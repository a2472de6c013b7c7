"""Message catalogues of gettext: the header entry of ``.po``, ``.pot`` and ``.mo`` files (GNU gettext manual, "Header Entry", "MO Files")."""

from __future__ import annotations

from typing import Literal

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 64 * 1024**2
_MAGIC: dict[bytes, Literal["little", "big"]] = {b"\xde\x12\x04\x95": "little", b"\x95\x04\x12\xde": "big"}
_MAX_HEADER = 64 * 1024


def split(data: bytes) -> Pieces | None:
    """``header:<Name>`` for each line of the header entry, ``before`` and ``after`` for the rest of the file. None where there is no header."""
    if len(data) > _MAX:
        return None
    return _binary(data) if data[:4] in _MAGIC else _text(data)


def _binary(data: bytes) -> Pieces | None:
    order = _MAGIC[data[:4]]

    def word(at: int) -> int:
        return int.from_bytes(data[at : at + 4], order) if at + 4 <= len(data) else -1

    count, originals, translations = word(8), word(12), word(16)
    if count < 1 or min(originals, translations) < 20 or word(originals) != 0:
        return None  # the first string is the empty one when there is a header: strings are sorted
    size, start = word(translations), word(translations + 4)
    if not 0 < size <= _MAX_HEADER or start < translations + 8 * count or start + size >= len(data) or data[start + size] != 0:
        return None
    return _headed(data, start, data[start : start + size].splitlines(keepends=True), start + size, b"", b"\n")


def _text(data: bytes) -> Pieces | None:
    """The header is the first entry of the file: ``msgid ""``, ``msgstr ""`` and a quoted line each."""
    lines = data.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith(b"#")), 0)
    if [line.rstrip() for line in lines[first : first + 2]] != [b'msgid ""', b'msgstr ""']:
        return None
    at = sum(map(len, lines[: first + 2]))
    rows = []
    for line in lines[first + 2 : first + 2 + 1000]:
        if not line.startswith(b'"'):
            break
        rows.append(line)
    return _headed(data, at, rows, at + sum(map(len, rows)), b'"', b'\\n"\n') if rows else None


def _headed(data: bytes, start: int, rows: list[bytes], end: int, opening: bytes, ending: bytes) -> Pieces:
    """``opening`` and ``ending`` stand around each header line; a line of any other form stays as it is."""
    pieces = [Piece("before", data[:start], 0)]
    at = start
    for row in rows:
        name, colon, value = row.removeprefix(opening).partition(b": ")
        if colon and row.startswith(opening) and value.endswith(ending) and name.replace(b"-", b"").isalpha():
            pieces.append(Piece(f"header:{name.decode('ascii')}", value.removesuffix(ending), at + len(opening) + len(name) + 2))
        else:
            pieces.append(Piece("line", row, at))
        at += len(row)
    pieces.append(Piece("after", data[end:], end))
    return tuple(pieces)


CATALOGUE = Anatomy("gettext", lambda path, _head: path.endswith((".po", ".pot", ".mo", ".gmo")), split)
