"""Rows that show where contents differ: the line or bytes, an ELF section and symbol, and what differs inside an archive that is payload."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reprove.archive.artifact import open_pair
from reprove.archive.limits import CHUNK, ArchiveError, Limits
from reprove.archive.tree import NEST, Content, Member, Profile, Weight
from reprove.compare import elf_locate
from reprove.compare.content import parting
from reprove.compare.delta import Row, delta
from reprove.compare.result import Difference, cut

_LOCATED = 1000
"""Contents whose first difference is looked for; beyond, only that they differ is told."""
_ELF = b"\x7fELF"
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"!<arch>\n")
_USTAR_AT = 257
_MAX_ELF = 64 * 1024**2
_DEPTH = 2
"""Archives in archives that are opened to explain a difference."""
_OPENED = 8
"""Archives that are payload and opened, at each depth."""
_MAX_OPENED = 32 * 1024**2
_INNER = Limits(archive=_MAX_OPENED, total=256 * 1024**2, entries=20_000)
_BUDGET = 64 * 1024**2


def content_rows(
    pairs: Sequence[tuple[Member, Member]], old: Mapping[str, Content], new: Mapping[str, Content], depth: int = _DEPTH
) -> Iterator[Row]:
    """A row for each content that differs, and rows of weight ``noise`` for what differs inside archives: they explain, and decide nothing."""
    opened = 0
    for number, (theirs, ours) in enumerate(pairs):
        path = theirs.path
        left, right = old.get(path), new.get(path)
        if left is None or right is None or number >= _LOCATED:
            yield Row(path, "content", Weight.DATA, Difference(cut(path), "content", f"sha256 {theirs.sha256}", f"sha256 {ours.sha256}"))
        else:
            yield _located(path, left, right)
        if theirs.size != ours.size:
            yield Row(path, "size", Weight.DATA, Difference(cut(path), "size", theirs.size, ours.size, theirs.offset))
        if left is not None and right is not None and depth and opened < _OPENED and _both_packed(left, right):
            inner = list(_inside(path, left, right, depth - 1))
            opened += bool(inner)
            yield from inner


def _located(path: str, old: Content, new: Content) -> Row:
    """Where two contents part. Of an ELF file the original is held, so that section and symbol can be named; the other side is read up to there."""
    try:
        whole = old.read() if old.size <= _MAX_ELF and next(old.chunks(), b"").startswith(_ELF) else None
        found = parting(old.chunks() if whole is None else _slices(whole), new.chunks())
    except ArchiveError as error:
        return Row(path, "content", Weight.DATA, Difference(cut(path), "content", cut(error.detail), None, 0))
    place = None if whole is None else elf_locate.place(whole, found.offset)
    sides = [side if place is None or side is None else cut(f"{place}: {side}") for side in (found.old, found.new)]
    return Row(path, "content", Weight.DATA, Difference(cut(path), "content", sides[0], sides[1], found.offset))


def _both_packed(old: Content, new: Content) -> bool:
    """Whether both look like archives of a size that is opened."""
    for content in (old, new):
        try:
            head = next(content.chunks(), b"") if content.size <= _MAX_OPENED else b""
        except ArchiveError:
            return False
        if not head.startswith(_PACKED) and head[_USTAR_AT : _USTAR_AT + 5] != b"ustar":
            return False
    return True


def _slices(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


def _inside(path: str, old: Content, new: Content, depth: int) -> Iterator[Row]:
    """What differs inside two archives that are payload, or nothing where either is none."""
    with tempfile.TemporaryDirectory(prefix="reprove-") as folder:
        files = []
        for name, content in (("original", old), ("rebuilt", new)):
            files.append(Path(folder) / name)
            with files[-1].open("wb") as spool:
                spool.writelines(content.chunks())
        try:
            with open_pair(*files, names=(path, path), limits=_INNER) as (theirs, ours):
                if Profile.BYTES in (theirs.profile, ours.profile):
                    return
                found = delta(theirs, ours)
                wanted = {member.path for member, _ in found.contents}
                with theirs.contents(wanted, _BUDGET) as left, ours.contents(wanted, _BUDGET) as right:
                    for row in (*found.rows, *content_rows(found.contents, left, right, depth)):
                        inner = path + NEST + row.path if row.path else path
                        shown = Difference(cut(inner), row.shown.field, row.shown.old, row.shown.new, row.shown.offset)
                        yield Row(inner, row.name, Weight.NOISE, shown)
        except (ArchiveError, OSError):
            return
