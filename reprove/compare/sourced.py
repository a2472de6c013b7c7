"""Which members of a wheel come from its source: the same bytes under the same path, whatever folder the source keeps its code in."""

from __future__ import annotations

from collections import defaultdict

from reprove.archive.sources import Kind, Member, Source
from reprove.core.digests import Sha256

_QUARTER = 900
_WIDEST_ZONE = 14 * 3600
_DOS_STEP = 2


class SourceIndex:
    """A source archive, looked up by the paths that a wheel gives its files.

    A wheel's ``pkg/mod.py`` may be ``src/pkg/mod.py``, ``lib/pkg/mod.py`` or any other folder's in the source: a path matches when it is the
    end of a source path, at a slash.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._by_digest: dict[Sha256, list[Member]] = defaultdict(list)
        self._by_base: dict[str, list[Member]] = defaultdict(list)
        for member in source.members:
            if member.sha256 is not None:
                self._by_digest[member.sha256].append(member)
            if member.kind is not Kind.FOLDER:
                self._by_base[member.path.rpartition("/")[2]].append(member)

    def same(self, path: str, digest: Sha256 | None) -> Member | None:
        """The member that has this path and these bytes, the shortest path first, or None."""
        inner = install_path(path)
        fitting = [member for member in self._by_digest.get(digest or Sha256(""), ()) if _ends(member.path, inner)]
        return min(fitting, key=lambda member: len(member.path), default=None)

    def named(self, path: str) -> Member | None:
        """The member that has this path, whatever its bytes, the shortest path first, or None."""
        inner = install_path(path)
        return min(
            (member for member in self._by_base.get(inner.rpartition("/")[2], ()) if _ends(member.path, inner)),
            key=lambda member: len(member.path),
            default=None,
        )


def install_path(path: str) -> str:
    """What a wheel's member is called where it is installed: ``x.data/<scheme>/`` is not part of it (PEP 427)."""
    top, _, rest = path.partition("/")
    if top.endswith(".data") and "/" in rest:
        return rest.partition("/")[2]
    return path


def in_dist_info(path: str) -> bool:
    """Whether a member lies in the wheel's own ``dist-info``."""
    top, slash, _ = path.partition("/")
    return bool(slash) and top.endswith(".dist-info")


def kept_time(seconds: int, mtime: int) -> bool:
    """Whether a zip time (read as UTC) is the source's time in some time zone: a whole number of quarter hours away, less the zip's 2 s."""
    away = seconds - mtime
    if abs(away) > _WIDEST_ZONE + _DOS_STEP:
        return False
    return min(away % _QUARTER, -away % _QUARTER) < _DOS_STEP


def _ends(path: str, inner: str) -> bool:
    return path == inner or path.endswith("/" + inner)
