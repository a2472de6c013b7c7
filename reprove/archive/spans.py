"""Bytes of a hostile file: positioned reads, spans, and a buffered feed of chunks.

Nothing is mapped: a file that is cut while it is read gives a fault and no signal, and what was read costs no memory afterwards.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reprove.archive.limits import CHUNK, ArchiveError, LimitError, Limits
from reprove.core.digests import Sha256


@dataclass(frozen=True, slots=True)
class Span:
    """``size`` bytes of an open file from ``start`` on. Reads are positioned, so two threads may share the file."""

    descriptor: int
    start: int
    size: int

    def read(self, at: int, size: int) -> bytes:
        """At most ``size`` bytes from ``at`` on, fewer only where the span ends. Raises :class:`ArchiveError` when the file was cut meanwhile."""
        wanted = max(0, min(size, self.size - at))
        data = os.pread(self.descriptor, wanted, self.start + at)
        while len(data) < wanted:
            more = os.pread(self.descriptor, wanted - len(data), self.start + at + len(data))
            if not more:
                raise ArchiveError("the file became shorter while it was read", offset=at)
            data += more
        return data

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in chunks."""
        end = self.size if stop is None else min(stop, self.size)
        for at in range(start, end, CHUNK):
            yield self.read(at, min(CHUNK, end - at))

    def part(self, start: int, size: int) -> Span:
        """A span of this span, cut where this one ends."""
        return Span(self.descriptor, self.start + start, max(0, min(size, self.size - start)))

    def sha256(self, start: int = 0, stop: int | None = None) -> Sha256:
        """The SHA-256 of the bytes from ``start`` to ``stop``."""
        digest = hashlib.sha256()
        for chunk in self.chunks(start, stop):
            digest.update(chunk)
        return Sha256(digest.hexdigest())


@contextmanager
def open_span(path: Path, limits: Limits) -> Iterator[Span]:
    """The whole file at ``path``, open inside the ``with``. Raises :class:`LimitError` when it is larger than an archive may be."""
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.archive:
            raise LimitError(f"an archive of {size} bytes is beyond the limit of {limits.archive}")
        yield Span(stream.fileno(), 0, size)


def allowance(stored: int, limits: Limits) -> int:
    """How many bytes ``stored`` ones may become."""
    return min(limits.total, max(limits.ratio_free, limits.ratio * stored))


class Feed:
    """Chunks read as one sequence of bytes: exact amounts, a position, and one look ahead. Holds one chunk."""

    __slots__ = ("_at", "_base", "_chunk", "_chunks")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0
        self._base = 0

    @property
    def offset(self) -> int:
        """How many bytes were taken."""
        return self._base + self._at

    def peek(self, size: int) -> bytes:
        """The next bytes, at most ``size`` (a small number), without taking them."""
        while len(self._chunk) - self._at < size:
            more = next(self._chunks, b"")
            if not more:
                break
            self._base += self._at
            self._chunk, self._at = self._chunk[self._at :] + more, 0
        return self._chunk[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Take ``size`` bytes (bounded by the caller), fewer only at the end."""
        stop = self._at + size
        if stop <= len(self._chunk):
            data = self._chunk[self._at : stop]
            self._at = stop
            return data
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        """Take ``size`` bytes in pieces of at most a chunk, fewer only at the end."""
        while size:
            if self._at >= len(self._chunk):
                self._base += len(self._chunk)
                self._chunk, self._at = next(self._chunks, b""), 0
                if not self._chunk:
                    return
            piece = self._chunk[self._at : self._at + size] if self._at or size < len(self._chunk) else self._chunk
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        """Take what is left."""
        if self._at < len(self._chunk):
            piece = self._chunk[self._at :]
            self._at = len(self._chunk)
            yield piece
        self._base += len(self._chunk)
        self._chunk, self._at = b"", 0
        for piece in self._chunks:
            self._base += len(piece)
            yield piece
