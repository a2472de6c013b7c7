"""What content splitters, passes and causes share: a file taken apart into named pieces that lose no byte.

A splitter is total and lossless: it returns None for content that is not its format (or damaged), and two contents with equal pieces are equal.
So a pass that drops or replaces named pieces says exactly what it does not look at, and passes over one splitter are order-independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Piece(NamedTuple):
    """One named piece of a content: ``offset`` is where it stands in the file, in bytes; pieces of one name keep their order."""

    name: str
    data: bytes
    offset: int


Pieces = tuple[Piece, ...]
Splitter = Callable[[bytes], Pieces | None]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A content format that can be taken apart: ``split`` as above, ``fits`` a cheap look at the path and the first bytes."""

    name: str
    fits: Callable[[str, bytes], bool]
    split: Splitter
