"""The differences of two trees, member by member and field by field, each with its weight (docs/comparison.md, "Canonical form")."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reprove.archive.tree import NEST, Field, Kind, Member, Profile, Tree, Weight
from reprove.compare.result import Difference, cut

_FOLDERS_ARE_DATA = frozenset({Profile.DEB})


class Row(NamedTuple):
    """One difference and whether it counts below ``bitwise``; ``path`` and ``name`` are whole, the shown ones are cut."""

    path: str
    name: str
    weight: Weight
    shown: Difference


@dataclass(frozen=True, slots=True)
class Delta:
    """What differs between two trees but the bytes of contents: ``contents`` names the common files whose content is not the same."""

    rows: tuple[Row, ...]
    contents: tuple[tuple[Member, Member], ...]


def delta(old: Tree, new: Tree) -> Delta:
    """Compare two trees. Neither has to have passed lint: what differs is told either way."""
    theirs = {member.path: member for member in old.members}
    ours = {member.path: member for member in new.members}
    rows: list[Row] = []
    contents: list[tuple[Member, Member]] = []
    if old.profile is not new.profile:
        rows.append(_row("", "format", Weight.DATA, old.profile.value, new.profile.value))
    rows += _one_sided(old, theirs, ours, new)
    for path, member in theirs.items():
        other = ours.get(path)
        if other is None:
            continue
        if member.kind is not other.kind:
            rows.append(_row(path, "kind", Weight.DATA, member.kind.value, other.kind.value, member.offset))
        elif member.kind is Kind.FILE and (member.sha256 != other.sha256 or member.sha256 is None):
            contents.append((member, other))
        elif member.kind is Kind.CONTAINER and member.sha256 != other.sha256:
            rows.append(_row(path, "packed", Weight.NOISE, f"{member.size} bytes", f"{other.size} bytes", member.offset))
        if member.raw != other.raw:
            rows += list(_fields(path, old.details(member), new.details(other))) or [_unnamed(path, member, other)]
    rows += _order(theirs, ours, old.ordered | new.ordered)
    rows += _fields("", old.fields, new.fields)
    return Delta(tuple(rows), tuple(contents))


def _row(path: str, name: str, weight: Weight, old: str | int | None, new: str | int | None, offset: int | None = None) -> Row:
    shown = Difference(cut(path), cut(name), cut(old) if isinstance(old, str) else old, cut(new) if isinstance(new, str) else new, offset)
    return Row(path, name, weight, shown)


def _unnamed(path: str, member: Member, other: Member) -> Row:
    """Header bytes that no field tells of: those of a tar's own extension headers, which no reader looks at."""
    mine, theirs = (f"header bytes with CRC {zlib.crc32(side.raw):08x}" for side in (member, other))
    return _row(path, "header-form", Weight.NOISE, mine, theirs, member.offset)


def _one_sided(old: Tree, theirs: dict[str, Member], ours: dict[str, Member], new: Tree) -> Iterator[Row]:
    """Members that only one side has. An entry for a folder that has members anyway is noise, but where folders have owners and modes."""
    kept = _FOLDERS_ARE_DATA & {old.profile, new.profile}
    filled = frozenset() if kept else _filled(theirs) & _filled(ours)
    for path, member in theirs.items():
        if path not in ours:
            yield _row(path, "member", _entry_weight(old, member, filled), _describe(member), None, member.offset)
    for path, member in ours.items():
        if path not in theirs:
            yield _row(path, "member", _entry_weight(new, member, filled), None, _describe(member))


def _entry_weight(tree: Tree, member: Member, filled: frozenset[str]) -> Weight:
    """An entry for a folder that others lie in says nothing, unless it carries more than a plain folder has."""
    if member.kind is not Kind.FOLDER or member.path not in filled:
        return Weight.DATA
    plain = all(field.weight is Weight.NOISE or (field.name, field.value) == ("executable", "yes") for field in tree.details(member))
    return Weight.NOISE if plain else Weight.DATA


def _filled(members: Iterable[str]) -> frozenset[str]:
    """Every folder that some member lies in."""
    found: set[str] = set()
    for path in members:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(found)


def _describe(member: Member) -> str:
    return f"{member.size} bytes, sha256 {member.sha256 or 'unknown'}" if member.kind is Kind.FILE else member.kind.value


def _fields(path: str, old: tuple[Field, ...], new: tuple[Field, ...]) -> Iterator[Row]:
    """Fields that differ, and those that only one side has; either side's weight ``data`` makes the difference count."""
    if [field.name for field in old] == [field.name for field in new]:
        for field, other in zip(old, new, strict=True):
            if field.value != other.value:
                yield _changed(path, field, other)
        return
    mine = {field.name: field for field in old}
    theirs = {field.name: field for field in new}
    for name, field in mine.items():
        if name not in theirs:
            yield _row(path, name, field.weight, field.value, None, field.offset)
        elif field.value != theirs[name].value:
            yield _changed(path, field, theirs[name])
    for name, field in theirs.items():
        if name not in mine:
            yield _row(path, name, field.weight, None, field.value)


def _changed(path: str, field: Field, other: Field) -> Row:
    data = Weight.DATA in (field.weight, other.weight)
    return _row(path, field.name, Weight.DATA if data else Weight.NOISE, field.value, other.value, field.offset)


def _order(theirs: dict[str, Member], ours: dict[str, Member], ordered: frozenset[str]) -> Iterator[Row]:
    """One row for each container whose common members come in another order."""
    before, after = _by_container(path for path in theirs if path in ours), _by_container(path for path in ours if path in theirs)
    for container, paths in before.items():
        others = after[container]
        if paths != others:
            moved = next((pair for pair in zip(paths, others, strict=True) if pair[0] != pair[1]), ("", ""))
            weight = Weight.DATA if container in ordered else Weight.NOISE
            yield _row(container, "order", weight, moved[0], moved[1], theirs[moved[0]].offset if moved[0] in theirs else None)


def _by_container(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(path.rpartition(NEST)[0], []).append(path)
    return found
