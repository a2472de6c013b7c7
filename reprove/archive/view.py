"""A file as slices of bytes, with one block kept: headers that follow each other cost one read together, and a large file costs no memory."""

from __future__ import annotations

from reprove.archive.spans import Span

_BLOCK = 256 * 1024


class View:
    """Slices of a :class:`Span`. Threads may share it: the kept block is replaced as a whole."""

    __slots__ = ("_kept", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._kept: tuple[int, bytes] = (0, b"")

    def __len__(self) -> int:
        return self.span.size

    def __getitem__(self, key: slice) -> bytes:
        """The bytes of a slice with plain bounds, cut where the file ends."""
        start = key.start or 0
        stop = max(start, self.span.size if key.stop is None else min(key.stop, self.span.size))
        at, block = self._kept
        if at <= start and stop <= at + len(block):
            return block[start - at : stop - at]
        if stop - start >= _BLOCK // 2:
            return self.span.read(start, stop - start)
        block = self.span.read(start, _BLOCK)
        self._kept = (start, block)
        return block[: max(0, stop - start)]

    def around(self, start: int, size: int) -> tuple[bytes, int]:
        """A block and the place of ``start`` in it: at least ``size`` bytes follow there (fewer where the file ends), and nothing is copied."""
        at, block = self._kept
        stop = min(start + size, self.span.size)
        if not (at <= start and stop <= at + len(block)):
            at, block = start, self.span.read(start, max(_BLOCK, size))
            self._kept = (at, block)
        return block, start - at

    def rfind(self, needle: bytes, start: int) -> int:
        """The last place of ``needle`` from ``start`` on, or -1; the caller keeps the stretch small."""
        found = self[start : len(self)].rfind(needle)
        return found if found < 0 else start + found
