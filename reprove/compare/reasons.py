"""One line for why two artifacts are not equal, and the causes of the catalogue that explain it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reprove.archive.stamp import StampRefusedError
from reprove.archive.tree import Content, Profile
from reprove.compare.causes.model import Case, Sides
from reprove.compare.delta import Row
from reprove.compare.result import Cause, Difference, Explained, cut
from reprove.compare.sourced import in_dist_info

_PRIORITY = ("payload", "missing-member", "extra-member", "metadata", "mode", "times", "container")
_MODES = frozenset({"mode", "executable", "uid", "gid", "user", "group"})
_PAYLOAD = frozenset({"kind", "target", "device", "format"})
_MAX_CAUSES = 20
_MAX_EXPLAINED = 50_000
"""Differences that the causes look at; beyond, they are counted and not explained."""
_MAX_SIDE = 32 * 1024**2
"""Bytes of one content that causes take apart."""


def cause_of(rows: Sequence[Row], refused: StampRefusedError) -> Cause:
    """The gravest class among the differences that count, and the first row that shows it."""
    row = min(rows, key=lambda row: _PRIORITY.index(_class(row)))
    sides = ": ".join(part for part in (row.shown.path, _sides(row.shown)) if part)
    more = f" ({len(rows) - 1} more differences)" if len(rows) > 1 else ""
    class_ = _class(row)
    why = f"; not stamped: {refused.member}: {refused.detail}".replace(": : ", ": ") if class_ == "times" and refused.detail else ""
    return Cause(class_, cut(f"{sides}{more}{why}", 400))


def _class(row: Row) -> str:
    if row.name == "member":
        return "missing-member" if row.shown.old is None else "extra-member"
    if row.name in ("content", "size"):
        return "metadata" if in_dist_info(row.path) else "payload"
    if row.name in _PAYLOAD:
        return "payload"
    if row.name in _MODES or row.name.startswith("xattr:"):
        return "mode"
    return "times" if row.name.endswith("time") else "container"


def _sides(row: Difference) -> str:
    if row.field == "member":
        return "only in the rebuilt artifact" if row.old is None else "only in the original"
    return f"{row.field} {row.old!s} in the original, {row.new!s} rebuilt"


def explained(profile: Profile, rows: Sequence[Row], old: Mapping[str, Content], new: Mapping[str, Content], *, lying: bool) -> tuple[Explained, ...]:
    """The causes of the differences, most important first; ``lying`` says that an artifact's own list of digests is false."""
    from reprove.compare.causes.explain import explain  # takes time to load

    looked = rows[:_MAX_EXPLAINED]
    contents = _Contents([row.path for row in looked if row.name == "content"], old, new)
    found = explain(Case(profile, tuple(row.shown for row in looked), contents, lying))
    return tuple(
        Explained(id=one.id, certainty=one.certainty, fix=cut(one.fix, 400), detail=cut(one.detail), count=len(one.claims))
        for one in found[:_MAX_CAUSES]
    )


class _Contents(Mapping[str, Sides]):
    """Both contents of each file that differs, read when a cause asks, so that memory holds one pair at a time."""

    def __init__(self, paths: Sequence[str], old: Mapping[str, Content], new: Mapping[str, Content]) -> None:
        self._paths = {path for path in paths if path in old and path in new and max(old[path].size, new[path].size) <= _MAX_SIDE}
        self._old, self._new = old, new

    def __getitem__(self, path: str) -> Sides:
        if path not in self._paths:
            raise KeyError(path)
        return Sides(path, self._old[path].read(), self._new[path].read())

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
