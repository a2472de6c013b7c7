"""Masks that many passes share, and the scopes that they name."""

from __future__ import annotations

from collections.abc import Callable

from reprove.archive.tree import Profile
from reprove.compare.pieces import Piece

ANY = frozenset(Profile)
EVERYWHERE = ("*",)


def without(*names: str) -> Callable[[Piece], Piece | None]:
    """Drop the pieces of these names."""
    dropped = frozenset(names)
    return lambda piece: None if piece.name in dropped else piece


def without_kinds(*kinds: str) -> Callable[[Piece], Piece | None]:
    """Drop the pieces whose name up to its first colon is one of these."""
    dropped = frozenset(kinds)
    return lambda piece: None if piece.name.partition(":")[0] in dropped else piece


def without_header(name: str, is_form: Callable[[bytes], bool]) -> Callable[[Piece], Piece | None]:
    """Drop the header of this name (in any case), where its value has the form that tools write."""
    wanted = f"header:{name.lower()}"
    return lambda piece: None if piece.name.lower() == wanted and is_form(piece.data.strip()) else piece


def is_line(text: bytes) -> bool:
    """Whether the text is one short line."""
    return 0 < len(text) <= 200 and text.isascii() and text.decode("ascii").isprintable()
