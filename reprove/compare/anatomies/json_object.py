"""A JSON object by its top-level members (RFC 8259)."""

from __future__ import annotations

import json
from json.decoder import JSONDecoder
from typing import NoReturn

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 4 * 1024**2
_BLANK = " \t\n\r"


def split(data: bytes) -> Pieces | None:
    """A piece ``member:<key>`` each, with the value as it is written, and ``layout`` for the white space around them.

    None for anything but one object, for keys that are doubled at any depth or written with escapes, and for numbers that are not plain integers:
    readers disagree on those.
    """
    if len(data) > _MAX:
        return None
    try:
        text = data.decode("utf-8")
        return _pieces(text)
    except (ValueError, RecursionError):
        return None


def _pieces(text: str) -> Pieces:
    decoder = JSONDecoder(object_pairs_hook=_unique, parse_float=_refused, parse_constant=_refused, parse_int=_integer)
    pieces: list[Piece] = []
    layout: list[str] = []
    at = counted = offset = 0

    def blank() -> None:
        nonlocal at
        start = at
        while at < len(text) and text[at] in _BLANK:
            at += 1
        layout.append(text[start:at])

    def taken(mark: str) -> bool:
        nonlocal at
        blank()
        if text[at : at + 1] not in mark or at >= len(text):
            raise ValueError("not an object")
        at += 1
        return text[at - 1] == mark[0]

    taken("{")
    more = True
    while more:
        blank()
        if text[at : at + 1] == "}" and not pieces:
            at += 1
            break
        key, end = _key(text, at)
        at = end
        taken(":")
        blank()
        start = at
        _, at = decoder.raw_decode(text, at)
        offset += len(text[counted:start].encode())
        counted = start
        pieces.append(Piece(f"member:{key}", text[start:at].encode(), offset))
        more = taken(",}")
    blank()
    if at != len(text) or len({piece.name for piece in pieces}) != len(pieces):
        raise ValueError("more than one object, or a key twice")
    return (*pieces, Piece("layout", "|".join(layout).encode(), 0))


def _key(text: str, at: int) -> tuple[str, int]:
    end = text.find('"', at + 1)
    key = text[at + 1 : end]
    if text[at : at + 1] != '"' or end < 0 or "\\" in key or not key.isprintable():
        raise ValueError("a key that is no plain string")
    return key, end + 1


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refused(number: str) -> NoReturn:
    raise ValueError(f"{number[:20]} has more than one reading")


def _integer(number: str) -> int:
    if number == "-0" or len(number) > 17:
        _refused(number)
    return int(number)


def value(data: bytes) -> object:
    """The value of a piece of this anatomy."""
    return json.loads(data)


JSON = Anatomy("json", lambda path, _head: path.endswith(".json"), split)
