"""An archive that is payload, by its canonical form (docs/comparison.md, "Canonical form")."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from reprove.archive.limits import ArchiveError, Limits
from reprove.archive.tree import NEST, Kind, Member, Profile, Tree, Weight
from reprove.compare.pieces import Anatomy, Piece, Pieces

_LIMITS = Limits(archive=64 * 1024**2, total=256 * 1024**2, entries=20_000, ratio=20, ratio_free=4 * 1024**2)
"""Tighter than for an artifact: one may hold many archives."""
_MAGIC = (b"PK\3\4", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"!<arch>\n")
_TAR_MAGIC = slice(257, 262)


def split(data: bytes) -> Pieces | None:
    """``packed`` (all of its bytes), ``packing`` (its magic), ``format``, ``field:<name>``, ``member:<path>`` and ``order:<container>``.

    A member is its kind, its content and its fields that count. None for what is no archive, has a structural violation, or costs too much to read.
    """
    from reprove.archive.artifact import open_artifact

    try:
        with tempfile.TemporaryDirectory(prefix="reprove-") as folder:
            path = Path(folder) / "archive"
            path.write_bytes(data)
            with open_artifact(path, name="", limits=_LIMITS) as tree:
                if tree.violations or tree.profile is Profile.BYTES:
                    return None
                return (Piece("packed", data, 0), Piece("packing", _packing(data), 0), *_canonical(tree))
    except (ArchiveError, OSError):
        return None


def _packing(data: bytes) -> bytes:
    """What compresses it, if anything: tools choose by it, so another is no choice of the packer's alone."""
    return next((magic for magic in _MAGIC if data.startswith(magic)), b"")


def _canonical(tree: Tree) -> Iterator[Piece]:
    yield Piece("format", tree.profile.value.encode(), 0)
    yield from (Piece(f"field:{one.name}", repr(one.value).encode(), 0) for one in tree.fields if one.weight is Weight.DATA)
    filled = _filled(tree) if tree.profile is not Profile.DEB else frozenset()
    orders: dict[str, list[str]] = {container: [] for container in sorted(tree.ordered)}
    for member in sorted(tree.members, key=lambda one: one.path):
        facts = [(one.name, one.value) for one in tree.details(member) if one.weight is Weight.DATA]
        if member.kind is Kind.FOLDER and member.path in filled and set(facts) <= {("executable", "yes")}:
            continue  # says nothing that its members do not say
        if member.kind is Kind.FILE and member.sha256 is None:
            raise ArchiveError("a content that cannot be read")
        yield Piece(f"member:{member.path}", repr((member.kind.value, _content(member), facts)).encode(), member.offset)
    for member in tree.members:
        if (container := member.path.rpartition(NEST)[0]) in orders:
            orders[container].append(member.path)
    for container, paths in orders.items():
        yield Piece(f"order:{container}", repr(paths).encode(), 0)


def _content(member: Member) -> tuple[int, str | None] | None:
    """Size and digest of a file. A container is its members: how it is packed is noise."""
    return (member.size, member.sha256) if member.kind is Kind.FILE else None


def _filled(tree: Tree) -> frozenset[str]:
    """Every folder that some member lies in."""
    found: set[str] = set()
    for member in tree.members:
        parent = member.path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(found)


def _fits(_path: str, head: bytes) -> bool:
    return head.startswith(_MAGIC) or head[_TAR_MAGIC] == b"ustar"


ARCHIVE = Anatomy("archive", _fits, split)
