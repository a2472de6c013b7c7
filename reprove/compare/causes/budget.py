"""How much one comparison may cost in causes: an artifact may have any number of contents that differ, and any of them may be hostile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """Bytes of both sides that may still be looked at: ``read`` by anatomies, ``text`` by lines and strings, ``masked`` by masks.

    Masks look at what differs only, and cost most. What is beyond a budget stays unexplained.
    """

    read: int = 192 * 1024**2
    text: int = 32 * 1024**2
    masked: int = 1024**2

    def reads(self, size: int) -> bool:
        """Whether so many bytes may be read."""
        self.read -= size
        return self.read >= 0

    def lines(self, size: int) -> bool:
        """Whether so many bytes may be split into lines."""
        self.text -= size
        return self.text >= 0

    def masks(self, size: int) -> bool:
        """Whether so many bytes may be masked."""
        self.masked -= size
        return self.masked >= 0
