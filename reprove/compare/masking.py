"""Which named passes make what still differs equal: the fewest, the narrowest first (docs/comparison.md, "Passes")."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from reprove.archive.limits import ArchiveError
from reprove.archive.tree import Content, Profile, Tree
from reprove.compare.delta import Row
from reprove.compare.passes.model import FieldMask, MemberMask, Pass, PieceMask
from reprove.compare.passes.registry import PASSES
from reprove.compare.pieces import Anatomy, Piece
from reprove.compare.result import PassUsed
from reprove.core.outcomes import LEVEL_ORDER, Level

_MAX_CONTENT = 64 * 1024**2
"""Bytes of a content that passes take apart; a larger one that differs stays different."""
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Masked:
    """The passes without which the artifacts would not be equal, and the level that they leave."""

    level: Level
    passes: tuple[PassUsed, ...]


def masked(old: Tree, new: Tree, rows: Sequence[Row], theirs: Mapping[str, Content], ours: Mapping[str, Content]) -> Masked | None:
    """Find passes under which every one of ``rows`` (what differs at ``canonical``) vanishes, or None where some row stays.

    ``theirs`` and ``ours`` are the contents of the old and the new tree that differ.
    """
    if old.profile is not new.profile:
        return None
    sides = [frozenset(member.path for member in tree.members) for tree in (old, new)]
    used: Counter[str] = Counter()
    for (path, content), group in groupby(sorted(rows, key=_unit), key=_unit):
        inside = applicable(old.profile, path)
        dropping = next((one for one in inside if _drops(one, path, sides)), None)
        if dropping is not None:
            used[dropping.id] += 1
            continue
        if content:
            found = content_passes(inside, path, theirs[path], ours[path]) if path in theirs and path in ours else None
        else:
            found = _fields(list(group), inside)
        if found is None:
            return None
        used.update(one.id for one in found)
    passes = [one for one in PASSES if one.id in used]
    level = max((one.level for one in passes), key=LEVEL_ORDER.index)
    return Masked(level, tuple(PassUsed(one.id, one.version, used[one.id]) for one in passes))


def applicable(profile: Profile, path: str) -> list[Pass]:
    """The passes whose scope a member lies in, narrowest first."""
    return [one for one in PASSES if profile in one.profiles and any(fnmatchcase(path, pattern) for pattern in one.paths)]


def _unit(row: Row) -> tuple[str, bool]:
    return row.path, row.name in ("content", "size")


def _drops(one: Pass, path: str, sides: list[frozenset[str]]) -> bool:
    """Whether a pass drops the member from every side that has it."""
    mask = one.mask
    return isinstance(mask, MemberMask) and any(path in side for side in sides) and all(mask.drop(path, side) for side in sides if path in side)


def _fields(rows: list[Row], passes: Sequence[Pass]) -> list[Pass] | None:
    """The passes that drop all of these fields of one member."""
    found: list[Pass] = []
    for row in rows:
        fitting = [one for one in passes if isinstance(one.mask, FieldMask) and row.name in one.mask.names]
        if not fitting:
            return None
        found.append(fitting[0])
    return list(dict.fromkeys(found))


def content_passes(passes: Sequence[Pass], path: str, left: Content, right: Content) -> list[Pass] | None:
    """The fewest passes under which two contents are equal, or None."""
    if max(left.size, right.size) > _MAX_CONTENT:
        return None
    try:
        heads = [next(content.chunks(), b"")[:_HEAD] for content in (left, right)]
        by_anatomy: dict[str, list[Pass]] = {}
        for one in passes:
            if isinstance(one.mask, PieceMask) and all(one.mask.anatomy.fits(path, head) for head in heads):
                by_anatomy.setdefault(one.mask.anatomy.name, []).append(one)
        for fitting in by_anatomy.values():
            found = _pieces(fitting, left, right)
            if found is not None:
                return found
    except ArchiveError:
        return None
    return None


def _pieces(passes: list[Pass], old: Content, new: Content) -> list[Pass] | None:
    anatomy = _mask(passes[0]).anatomy
    sides = _differing(anatomy, old, new)
    if sides is None or not _equal(passes, *sides):
        return None
    for level in (Level.NORMALIZED, Level.SEMANTIC):
        allowed = [one for one in passes if one.level.satisfies(level)]
        if _equal(allowed, *sides):
            return _fewest(allowed, *sides)
    return None


def _fewest(passes: list[Pass], old: tuple[Piece, ...], new: tuple[Piece, ...]) -> list[Pass]:
    """Leave out every pass that is not needed, the broadest (last in the registry) first."""
    kept = list(passes)
    for one in reversed(passes):
        without = [other for other in kept if other is not one]
        if _equal(without, old, new):
            kept = without
    return kept


def _differing(anatomy: Anatomy, old: Content, new: Content) -> tuple[tuple[Piece, ...], tuple[Piece, ...]] | None:
    """The pieces of both sides; those that are the same on both are kept as digests, so that memory holds one whole content at a time."""
    sides = []
    for content in (old, new):
        pieces = anatomy.split(content.read())
        if pieces is None:
            return None
        sides.append([(piece.name, hashlib.sha256(piece.data).digest()) for piece in pieces])
    same = set(sides[0]) & set(sides[1])
    kept = []
    for content, digests in zip((old, new), sides, strict=True):
        pieces = anatomy.split(content.read())
        if pieces is None or len(pieces) != len(digests):
            return None
        kept.append(
            tuple(
                piece if key not in same or len(piece.data) <= _HEAD else piece._replace(data=key[1])
                for piece, key in zip(pieces, digests, strict=True)
            )
        )
    return kept[0], kept[1]


def _equal(passes: Iterable[Pass], old: tuple[Piece, ...], new: tuple[Piece, ...]) -> bool:
    masks = [_mask(one) for one in passes]
    return reduced(masks, old) == reduced(masks, new)


def reduced(masks: Sequence[PieceMask], pieces: Iterable[Piece]) -> list[tuple[str, bytes]]:
    """What masks leave of a content's pieces: in their order, those of unordered names sorted behind."""
    ordered: list[tuple[str, bytes]] = []
    loose: list[tuple[str, bytes]] = []
    for piece in pieces:
        kept: Piece | None = piece
        for mask in masks:
            if kept is not None:
                kept = mask.keep(kept)
        if kept is not None:
            (loose if any(mask.loose(kept.name) for mask in masks) else ordered).append((kept.name, kept.data))
    return ordered + sorted(loose)


def _mask(one: Pass) -> PieceMask:
    assert isinstance(one.mask, PieceMask)
    return one.mask
