"""What a cause is, and what it looks at: the differences of one comparison and both contents of the members that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reprove.archive.tree import Profile
from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """One row of the catalogue. ``id`` is frozen (docs/comparison.md); ``fix`` is what to show a user; ``debian`` an issue id of Debian's notes."""

    id: str
    title: str
    fix: str
    debian: str | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """Both contents of one file that differs: the original's and the rebuilt one's."""

    path: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison, as the causes see it. ``contents`` holds what fitted into the budget, by path.

    ``lying`` says that a list of digests inside either side is false, so that nothing follows from it.
    """

    profile: Profile
    differences: tuple[Difference, ...]
    contents: Mapping[str, Sides]
    lying: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseFound:
    """A cause and the differences that it claims (indices into ``differences``); no difference is claimed twice.

    ``certainty`` is *proved* when the sides are equal once exactly this cause is masked. ``detail`` is the line or bytes that show it.
    """

    id: str
    certainty: Certainty
    fix: str
    detail: str
    claims: tuple[int, ...]
