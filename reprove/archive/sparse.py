"""Sparse files in tar: GNU's old header (type ``S``), and its pax formats 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files").

A map says which parts of the file are stored; the rest is zeros. All formats become one tuple of (offset, length).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reprove.archive.limits import CHUNK, LimitError, Limits
from reprove.archive.model import Code
from reprove.archive.pax import Records
from reprove.archive.spans import Feed
from reprove.archive.tarblocks import BLOCK, Complain, TarError, number

Extents = tuple[tuple[int, int], ...]
_OLD_FIRST, _OLD_MORE = 4, 21
_PAIR = 24
_FORMS = {
    b"GNU.sparse.major": frozenset({b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize"}),
    b"GNU.sparse.map": frozenset({b"GNU.sparse.map", b"GNU.sparse.size", b"GNU.sparse.numblocks", b"GNU.sparse.name"}),
    b"GNU.sparse.offset": frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.size", b"GNU.sparse.numblocks"}),
}
"""The keys of the pax formats 1.0, 0.1 and 0.0, each by the key that tells it. Readers pick any where two are mixed."""


class Sparse(NamedTuple):
    """The map of a sparse file: what is stored where, the whole size, and the header bytes that said so beyond the header block."""

    extents: Extents
    size: int
    raw: bytes

    @property
    def stored(self) -> int:
        """How many bytes of content follow in the archive."""
        return sum(length for _, length in self.extents)

    @property
    def text(self) -> str:
        """The map as text."""
        return ",".join(f"{offset}+{length}" for offset, length in self.extents) + f" of {self.size}"


def old_map(block: bytes, offset: int, feed: Feed, limits: Limits, complain: Complain) -> Sparse:
    """Read the map of a GNU ``S`` header and the blocks that extend it."""
    pairs = _pairs(block[386 : 386 + _OLD_FIRST * _PAIR], offset + 386)
    size = number(block[483:495])
    if size is None or size < 0:
        raise TarError(Code.SIZE, "a sparse file without its size", offset + 483)
    if block[345:386].strip(b"\0") or block[495:].strip(b"\0"):
        complain(Code.SLACK, offset + 345, "bytes in the unused fields of a sparse header")
    more, raw = block[482], b""
    while more:
        at = feed.offset
        extension = feed.take(BLOCK)
        raw += extension
        if len(extension) < BLOCK:
            raise TarError(Code.TRUNCATED, "a sparse map is cut short", at)
        if len(raw) > limits.header:
            raise LimitError(f"a sparse map of more than {limits.header} bytes", offset=at)
        pairs += _pairs(extension[: _OLD_MORE * _PAIR], at)
        more = extension[_OLD_MORE * _PAIR]
        if extension[_OLD_MORE * _PAIR + 1 :].strip(b"\0"):
            complain(Code.SLACK, at + 505, "bytes in the padding of a sparse map")
    return _checked(pairs, size, raw, offset)


def _pairs(area: bytes, offset: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at in range(0, len(area), _PAIR):
        if not area[at : at + _PAIR].strip(b"\0"):
            if area[at:].strip(b"\0"):
                raise TarError(Code.SPARSE, "a sparse map with a gap in it", offset + at)
            break
        start, length = number(area[at : at + 12]), number(area[at + 12 : at + _PAIR])
        if start is None or length is None:
            raise TarError(Code.SPARSE, "a sparse map that holds no numbers", offset + at)
        found.append((start, length))
    return found


def pax_map(found: Records, feed: Feed, stored: int, limits: Limits, complain: Complain) -> Sparse | None:
    """Read the map that pax records announce, or None where they announce none. ``stored`` is the size that the header gives."""
    at = feed.offset
    keys = {key for key in found if key.startswith(b"GNU.sparse.")}
    if keys and not any(keys <= form for form in _FORMS.values()):
        complain(Code.SPARSE, at, "records of a sparse file in two formats, or in none that is known")
    try:
        if b"GNU.sparse.major" in found:
            if (found[b"GNU.sparse.major"], found.get(b"GNU.sparse.minor")) != (b"1", b"0"):
                raise TarError(Code.SPARSE, "an unknown version of sparse file", at)
            values, raw = _leading_map(feed, stored, limits)
            size = int(found[b"GNU.sparse.realsize"])
        elif b"GNU.sparse.map" in found:
            values, raw = [int(value) for value in found[b"GNU.sparse.map"].split(b",") if value], b""
            size = int(found[b"GNU.sparse.size"])
        elif b"GNU.sparse.offset" in found:
            starts, lengths = found[b"GNU.sparse.offset"].split(), found.get(b"GNU.sparse.numbytes", b"").split()
            values, raw = [int(value) for pair in zip(starts, lengths, strict=True) for value in pair], b""
            size = int(found[b"GNU.sparse.size"])
        elif keys:
            raise TarError(Code.SPARSE, "records of a sparse file without its map", at)
        else:
            return None
        if not raw and len(values) != 2 * int(found[b"GNU.sparse.numblocks"]):
            complain(Code.SPARSE, at, "a sparse map of another length than declared")
        pairs = list(zip(values[::2], values[1::2], strict=True))
    except (KeyError, ValueError):
        raise TarError(Code.SPARSE, "a sparse map that cannot be read", at) from None
    return _checked(pairs, size, raw, at)


def _leading_map(feed: Feed, stored: int, limits: Limits) -> tuple[list[int], bytes]:
    """Format 1.0: decimal lines before the content (the number of pairs first), zeros up to the next block."""
    start, blocks, lines, wanted = feed.offset, list[bytes](), 0, 0
    while not wanted or lines < wanted:
        block = feed.take(BLOCK)
        blocks.append(block)
        lines += block.count(b"\n")
        if len(block) < BLOCK or len(blocks) * BLOCK > stored:
            raise TarError(Code.TRUNCATED, "a sparse map is cut short", start)
        if len(blocks) * BLOCK > limits.header:
            raise LimitError(f"a sparse map of more than {limits.header} bytes", offset=start)
        if not wanted:
            wanted = 1 + 2 * _decimal(block.partition(b"\n")[0])
    raw = b"".join(blocks)
    parts = raw.split(b"\n", wanted)
    if parts[-1].strip(b"\0") or len(parts[-1]) >= BLOCK:
        raise TarError(Code.SPARSE, "bytes in the padding of a sparse map", start)
    return [_decimal(line) for line in parts[1:-1]], raw


def _decimal(line: bytes) -> int:
    if not line.isdigit() or len(line) > 20:
        raise ValueError
    return int(line)


def _checked(pairs: list[tuple[int, int]], size: int, raw: bytes, offset: int) -> Sparse:
    """Parts must follow one another inside the file: readers differ on anything else. Behind the last one are zeros."""
    at = 0
    for start, length in pairs:
        if start < at or length < 0 or start + length > size:
            raise TarError(Code.SPARSE, "a sparse map whose parts overlap or leave the file", offset)
        at = start + length
    return Sparse(tuple(pairs), size, raw)


def expanded(sparse: Sparse, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the whole content from the stored ``pieces``, zeros for the holes."""
    at, pending = 0, b""
    for start, length in (*sparse.extents, (sparse.size, 0)):
        while at < start:
            hole = min(CHUNK, start - at)
            yield bytes(hole)
            at += hole
        stop = start + length
        while at < stop:
            pending = pending or next(pieces, b"")
            if not pending:
                return
            piece, pending = pending[: stop - at], pending[stop - at :]
            yield piece
            at += len(piece)
