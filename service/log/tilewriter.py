"""From leaves to files: the right edge of the tree in memory, and what one batch adds to it. Pure; nothing here touches a disk.

The edge is what ``tlog-tiles`` calls the partial tiles: for each tile level the hashes of its last, not yet full tile, and the entries of
the last bundle. A batch turns an edge into a :class:`Plan`: the files to create, the new root, and the next edge.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from reprove.core import merkle, tiles
from reprove.core.merkle import HASH_BYTES
from reprove.core.tiles import TILE_HEIGHT, TILE_WIDTH
from service.log.errors import FatalError

_TILE_BYTES = TILE_WIDTH * HASH_BYTES
_LENGTH = struct.Struct(">H")

ReadFile = Callable[[str], bytes | None]
"""Gives the bytes of a file of the log by its path, or None."""


class Nodes:
    """Hashes of complete subtrees of the tree of ``size`` leaves, from tiles, each computed once.

    ``read_tile(level, n)`` must give at least the width that the tree of ``size`` makes it. May be shared by threads: a lost race only
    computes the same hash again.
    """

    def __init__(self, size: int, read_tile: tiles.TileReader) -> None:
        self.size = size
        self._read_tile = read_tile
        self._known: dict[tuple[int, int], bytes] = {}
        self._right: dict[int, bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of node ``(level, index)``."""
        known = self._known.get((level, index))
        if known is not None:
            return known
        if level % TILE_HEIGHT:
            value = sha256(b"\x01" + self(level - 1, 2 * index) + self(level - 1, 2 * index + 1)).digest()
        else:
            tile = self._read_tile(level // TILE_HEIGHT, index // TILE_WIDTH)
            start = index % TILE_WIDTH * HASH_BYTES
            value = tile[start : start + HASH_BYTES]
            if len(value) != HASH_BYTES:
                raise FatalError(f"tile {level // TILE_HEIGHT}/{index // TILE_WIDTH} is too short for a tree of {self.size}")
        self._known[level, index] = value
        return value

    def root(self) -> bytes:
        """The root of the tree."""
        return self._range(0) if self.size else merkle.EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of leaf ``index``: :func:`merkle.inclusion_path`, with the part to the right of it computed once for all leaves."""
        inner = (index ^ (self.size - 1)).bit_length()
        path = [self(at, (index >> at) ^ 1) for at in range(inner - 1)]
        if inner:
            path.append(self._range(((index >> (inner - 1)) ^ 1) << (inner - 1)))
        path.extend(self(at, (index >> at) - 1) for at in range(inner, index.bit_length()) if index >> at & 1)
        return path

    def _range(self, start: int) -> bytes:
        """The root of the leaves from ``start`` to the end."""
        known = self._right.get(start)
        if known is None:
            level = (self.size - start).bit_length() - 1
            if start:
                level = min(level, (start & -start).bit_length() - 1)
            left = self(level, start >> level)
            rest = start + (1 << level)
            known = left if rest == self.size else sha256(b"\x01" + left + self._range(rest)).digest()
            self._right[start] = known
        return known


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree of ``size`` leaves: per level the bytes of the partial tile (empty when the last one is full), and the open bundle."""

    size: int = 0
    partial: tuple[bytes, ...] = ()
    bundle: bytes = b""

    def nodes(self) -> Nodes:
        """The nodes that the edge itself gives: enough for the root."""
        return Nodes(self.size, self._tile)

    def _tile(self, level: int, n: int) -> bytes:
        if n != (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH:
            raise FatalError(f"tile {level}/{n} is not on the right edge of {self.size}")
        return self.partial[level]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch does: files to create, the tiles it touched (for proofs), the root, and the edge after it."""

    start: int
    root: bytes
    edge: Edge
    nodes: Nodes
    files: dict[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """The tree's size after the batch."""
        return self.edge.size


def extend(edge: Edge, leaves: Sequence[bytes], read: ReadFile) -> Plan:
    """Append ``leaves`` (entry bytes) to the tree. The same edge and leaves give the same files, byte for byte: recovery rests on it.

    ``read`` serves only the plan's ``nodes``, for those of older tiles; it is not called here.
    """
    files: dict[str, bytes] = {}
    touched: dict[tuple[int, int], bytes] = {}
    bundle = _bundles(edge, leaves, files)
    partial: list[bytes] = []
    carry = b"".join([sha256(b"\x00" + leaf).digest() for leaf in leaves])
    level, hashes = 0, edge.size
    while carry or level < len(edge.partial):
        before = edge.partial[level] if level < len(edge.partial) else b""
        n = hashes // TILE_WIDTH
        content, changed, carry = before + carry, bool(carry), b""
        full, rest = divmod(len(content), _TILE_BYTES)
        for at in range(full):
            tile = content[at * _TILE_BYTES : (at + 1) * _TILE_BYTES]
            files[tiles.tile_path(level, n + at)] = touched[level, n + at] = tile
            carry += _tile_root(tile)
        last = content[full * _TILE_BYTES :]
        touched[level, n + full] = last
        if last and changed:
            files[tiles.tile_path(level, n + full, rest // HASH_BYTES)] = last
        partial.append(last)
        level, hashes = level + 1, n
    after = Edge(edge.size + len(leaves), tuple(partial), bundle)
    older = _tile_reader(read, after.size)
    nodes = Nodes(after.size, lambda at, n: touched[at, n] if (at, n) in touched else older(at, n))
    return Plan(edge.size, nodes.root(), after, nodes, files)


def load_edge(read: ReadFile, size: int, root: bytes) -> Edge:
    """Read the right edge of a published tree and check it against its root and the last bundle's bytes; FatalError when it does not fit."""
    partial = []
    for level in range(64):
        hashes = size >> (TILE_HEIGHT * level)
        if not hashes:
            break
        n, width = divmod(hashes, TILE_WIDTH)
        partial.append(_required(read, tiles.tile_path(level, n, width)) if width else b"")
    n, width = divmod(size, TILE_WIDTH)
    bundle = _required(read, tiles.entries_path(n, width)) if width else b""
    edge = Edge(size, tuple(partial), bundle)
    if edge.nodes().root() != root:
        raise FatalError(f"the tiles of the right edge do not give the root of the tree of {size} that log.db signed")
    if width:
        entries = tiles.decode_bundle(bundle, width)
        if b"".join(merkle.leaf_hash(entry) for entry in entries) != partial[0]:
            raise FatalError("the last entry bundle does not fit the last tile")
    return edge


def stored_nodes(read: ReadFile, size: int) -> Nodes:
    """Nodes of any published tree, from files: the partial tile of that size, or the full one that replaced it."""
    return Nodes(size, _tile_reader(read, size))


def _tile_reader(read: ReadFile, size: int) -> tiles.TileReader:
    cache: dict[tuple[int, int], bytes] = {}

    def read_tile(level: int, n: int) -> bytes:
        if (level, n) not in cache:
            full = tiles.tile_path(level, n)
            width = tiles.tile_width(level, n, size)
            data = read(full) if width == TILE_WIDTH else read(tiles.tile_path(level, n, width)) or read(full)
            if data is None:
                raise FatalError(f"{full} is missing for a tree of {size}")
            cache[level, n] = data
        return cache[level, n]

    return read_tile


def stored_entry(read: ReadFile, index: int, size: int) -> bytes:
    """The bytes of entry ``index`` of a published tree of ``size``."""
    n, at = divmod(index, TILE_WIDTH)
    width = min(TILE_WIDTH, size - n * TILE_WIDTH)
    full = tiles.entries_path(n)
    data = read(full) if width == TILE_WIDTH else read(tiles.entries_path(n, width)) or read(full)
    if data is None:
        raise FatalError(f"{full} is missing for a tree of {size}")
    return tiles.decode_bundle(data)[at]


def _bundles(edge: Edge, leaves: Sequence[bytes], files: dict[str, bytes]) -> bytes:
    """Add the bundles that the batch fills or extends to ``files`` and return the open one."""
    parts = [edge.bundle]
    n, width = divmod(edge.size, TILE_WIDTH)
    for leaf in leaves:
        parts += (_LENGTH.pack(len(leaf)), leaf)
        width += 1
        if width == TILE_WIDTH:
            files[tiles.entries_path(n)] = b"".join(parts)
            parts, n, width = [], n + 1, 0
    bundle = b"".join(parts)
    if width and leaves:
        files[tiles.entries_path(n, width)] = bundle
    return bundle


def _tile_root(tile: bytes) -> bytes:
    row = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
    while len(row) > 1:
        row = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
    return row[0]


def _required(read: ReadFile, name: str) -> bytes:
    data = read(name)
    if data is None:
        raise FatalError(f"{name} is missing")
    return data
