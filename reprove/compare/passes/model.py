"""What a pass is: a small typed mask with a name and a version, applied to one side at a time, that reads nothing but the artifact.

Passes apply to members whose content or fields differ at ``canonical``. They are total (what they do not understand stays), idempotent, and
independent of their order: a mask drops or replaces named pieces, fields or members, and no two see each other's work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from reprove.archive.tree import Profile
from reprove.compare.pieces import Anatomy, Piece
from reprove.core.outcomes import Level


class Risk(StrEnum):
    """What a reader who accepts the pass gives up."""

    METADATA = "metadata"
    """Data about the build that nothing acts on."""
    SEMANTIC = "semantic"
    """Data that some program may act on."""


@dataclass(frozen=True, slots=True)
class PieceMask:
    """Drops or replaces pieces of contents: ``keep`` gives the piece to compare, or None. Pieces whose name is in ``unordered`` are sorted."""

    anatomy: Anatomy
    keep: Callable[[Piece], Piece | None]
    unordered: frozenset[str] = frozenset()

    def loose(self, name: str) -> bool:
        """Whether the order of pieces of this name is left out of account."""
        return name in self.unordered


@dataclass(frozen=True, slots=True)
class FieldMask:
    """Drops fields of members or of the archive, by name."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class MemberMask:
    """Drops whole members by path."""

    drops: Callable[[str], bool]
    among: Callable[[str, Collection[str]], bool] | None = None
    """Drops by the path and all paths of the same side, for a member that means something only beside another."""

    def drop(self, path: str, members: Collection[str]) -> bool:
        """Whether the member is dropped from a side that holds ``members``."""
        return self.drops(path) or (self.among is not None and self.among(path, members))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One named pass. ``profiles`` and ``paths`` (``fnmatch`` patterns, any of them) are its scope; ``level`` what it lowers a comparison to."""

    id: str
    version: int
    level: Level
    risk: Risk
    profiles: frozenset[Profile]
    paths: tuple[str, ...]
    reason: str
    mask: PieceMask | FieldMask | MemberMask
