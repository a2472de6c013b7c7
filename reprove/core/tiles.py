"""Tiles and entry bundles of a log (C2SP tlog-tiles): their paths, their bytes, and nodes read from them.

A tile ``(level, n)`` holds up to 256 hashes of 32 bytes; hash ``i`` of it is node ``(8 * level, 256 * n + i)`` of the tree. The last
tile of a level may be partial and then has its width in its name, so no file ever changes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reprove.core.errors import ProblemError, Slug
from reprove.core.merkle import HASH_BYTES, MAX_SIZE, NodeReader, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535
"""Entries are prefixed with a 16-bit length."""

_LENGTH = struct.Struct(">H")
_PATH = re.compile(r"tile/([0-9]{1,2}|entries|envelopes)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)

TileReader = Callable[[int, int], bytes]
"""Gives the bytes of tile ``(level, n)``, full or as wide as the tree makes it."""


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a path names: a tile of a level, or (``level`` None) a bundle."""

    level: int | None
    n: int
    width: int


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Return ``tile/<level>/<n>[.p/<width>]``, with no leading slash."""
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"tile level {level}")
    return _path(str(level), n, width)


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of entry bundle ``n``."""
    return _path("entries", n, width)


def envelopes_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of envelope bundle ``n`` (INTERFACE section 5: the rules of entry bundles)."""
    return _path("envelopes", n, width)


def parse_tile_path(path: str) -> TilePath:
    """Read a tile's path; only the canonical form is accepted, else ProblemError ``not-found``."""
    return _parse(path, None)


def parse_entries_path(path: str) -> TilePath:
    """Read an entry bundle's path."""
    return _parse(path, "entries")


def parse_envelopes_path(path: str) -> TilePath:
    """Read an envelope bundle's path."""
    return _parse(path, "envelopes")


def tile_width(level: int, n: int, size: int) -> int:
    """How many hashes tile ``(level, n)`` has when the tree has ``size`` leaves: 0 (no such file) to 256."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH))


def partial_widths(size: int) -> tuple[tuple[int, int, int], ...]:
    """List the partial tiles of a tree of ``size`` leaves as ``(level, n, width)``, lowest level first; empty ones have no file."""
    found = []
    level, hashes = 0, size
    while hashes:
        n, width = divmod(hashes, TILE_WIDTH)
        if width:
            found.append((level, n, width))
        level, hashes = level + 1, n
    return tuple(found)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Join entries, each with its big-endian 16-bit length; ProblemError ``too-large`` above 65,535 bytes each."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ProblemError(Slug.TOO_LARGE, f"a log entry has at most {MAX_ENTRY_BYTES} bytes, this one {len(entry)}")
        parts.append(_LENGTH.pack(len(entry)))
        parts.append(entry)
    if len(parts) > 2 * TILE_WIDTH:
        raise ProblemError(Slug.INVALID_REQUEST, f"a bundle has at most {TILE_WIDTH} entries")
    return b"".join(parts)


def decode_bundle(data: bytes, width: int | None = None) -> tuple[bytes, ...]:
    """Split a bundle; with ``width``, exactly that many entries must be inside. Anything left over or cut short is a ProblemError."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data) or len(entries) == TILE_WIDTH:
            raise ProblemError(Slug.INVALID_REQUEST, "the entry bundle has bytes after its entries")
        (length,) = _LENGTH.unpack_from(data, at)
        at += 2
        if at + length > len(data):
            raise ProblemError(Slug.INVALID_REQUEST, "the entry bundle is cut short")
        entries.append(data[at : at + length])
        at += length
    if width is not None and len(entries) != width:
        raise ProblemError(Slug.INVALID_REQUEST, f"the entry bundle has {len(entries)} entries, not {width}")
    return tuple(entries)


def node_from_tiles(read_tile: TileReader) -> NodeReader:
    """Make a node reader for :mod:`reprove.core.merkle` that computes each node inside one tile.

    ``read_tile`` answers a tile that is at least as wide as the node needs; a shorter one is a ProblemError. Caching is its affair.
    """

    def read(level: int, index: int) -> bytes:
        height = level % TILE_HEIGHT
        first = index << height
        tile = read_tile(level // TILE_HEIGHT, first // TILE_WIDTH)
        start = first % TILE_WIDTH * HASH_BYTES
        hashes = tile[start : start + (HASH_BYTES << height)]
        if len(hashes) != HASH_BYTES << height:
            raise ProblemError(Slug.INVALID_REQUEST, f"tile {level // TILE_HEIGHT}/{first // TILE_WIDTH} is too short for node ({level}, {index})")
        row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    return read


def _path(kind: str, n: int, width: int) -> str:
    if not (1 <= width <= TILE_WIDTH and 0 <= n <= MAX_SIZE):
        raise ValueError(f"tile {n} of width {width}")
    digits = str(n)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{kind}/{name}" if width == TILE_WIDTH else f"tile/{kind}/{name}.p/{width}"


def _parse(path: str, kind: str | None) -> TilePath:
    match = _PATH.fullmatch(path)
    if match and (match[1] == kind if kind else match[1].isdigit()):
        level = None if kind else int(match[1])
        n = int(match[2].replace("x", "").replace("/", ""))
        width = int(match[3]) if match[3] else TILE_WIDTH
        fits = n <= MAX_SIZE and (level is None or level <= MAX_LEVEL) and 1 <= width < TILE_WIDTH + (match[3] is None)
        if fits and _path(match[1] if kind else str(level), n, width) == path:
            return TilePath(level, n, width)
    raise ProblemError(Slug.NOT_FOUND, "no such tile: paths are tile/<level>/<n>[.p/<width>] in their canonical form")
