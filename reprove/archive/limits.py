"""Caps on what a reader takes from a hostile archive, and the faults that end a reading."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core.errors import CallerError

CHUNK = 256 * 1024
"""Bytes that a reader asks for or inflates at once; what bounds its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one archive may cost. Sizes are bytes; ``ratio`` is inflated to stored bytes of the whole archive."""

    archive: int = 1024**3
    total: int = 4 * 1024**3
    directory: int = 64 * 1024**2
    entries: int = 100_000
    name: int = 1024
    ratio: int = 200
    ratio_free: int = 64 * 1024**2
    violations: int = 100
    header: int = 1024**2
    """One pax header, long name, sparse map or list of names, read whole."""
    records: int = 1_000_000
    """Records of all pax headers together."""
    window: int = 128 * 1024**2
    """What a decompressor may look back over, so what it may need at once."""


DEFAULT = Limits()


class ArchiveError(CallerError):
    """The bytes cannot be read as the archive that they should be; ``offset`` is where reading stopped making sense."""

    def __init__(self, detail: str, *, offset: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.offset = offset


class LimitError(ArchiveError):
    """The archive is larger, deeper or denser than :class:`Limits` allows; nothing is said about its content."""


class UnsafeSourceError(ArchiveError):
    """A source archive has a member or link that leaves its tree, or a device: it is refused whole."""
