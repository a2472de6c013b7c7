"""Source archives (tar, gzip, bzip2, xz, zip) as a list of members with digests, read in one bounded pass and never extracted.

A source with a member or link that leaves its tree, or a device, is refused whole (cause ``unsafe-source``).
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, cast

from reprove.archive.dostime import dos_seconds
from reprove.archive.limits import CHUNK, DEFAULT, ArchiveError, LimitError, Limits, UnsafeSourceError
from reprove.archive.names import complaint
from reprove.archive.zipfiles import OpenZip, open_zip
from reprove.core.digests import Sha256

_MAX_HEADER = 1024**2
"""A pax or GNU header is read whole by :mod:`tarfile`; one larger than this is refused."""
_KEPT = 256 * 1024
"""Largest member whose content is kept when a caller asks for it by name."""

TAR_FAULTS = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, struct.error, OverflowError, RecursionError)
"""What :mod:`tarfile` and the decompressors raise on damage."""


class Kind(StrEnum):
    """What a member of a source is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a source: ``path`` as archived; ``mtime`` in whole seconds UTC; ``sha256`` for files (a hard link has its target's)."""

    path: str
    kind: Kind
    size: int
    mode: int
    mtime: int
    sha256: Sha256 | None
    target: str | None = None

    @property
    def inner(self) -> str:
        """The path below the archive's top folder."""
        return self.path.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Source:
    """A source archive as read. ``top`` is its single top folder, or None; ``kept`` holds the small files that were asked for, by inner path."""

    size: int
    sha256: Sha256
    format: str
    members: tuple[Member, ...]
    top: str | None
    kept: dict[str, bytes]


Wanted = Callable[[str], bool]


def read_source(path: Path, *, wanted: Wanted = lambda _inner: False, limits: Limits = DEFAULT) -> Source:
    """Read a source archive of any known format; the format comes from its first bytes.

    Raises :class:`UnsafeSourceError`, :class:`LimitError`, or :class:`ArchiveError` when it cannot be read.
    """
    size = path.stat().st_size
    if size > limits.archive:
        raise LimitError(f"an archive of {size} bytes is beyond the limit of {limits.archive}")
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        head = stream.read(8)
        stream.seek(0)
        while chunk := stream.read(CHUNK):
            whole.update(chunk)
    kept: dict[str, bytes] = {}
    if head.startswith(b"PK"):
        with open_zip(path, limits) as archive:
            members = tuple(_zip_members(archive, wanted, kept))
        kind = "zip"
    else:
        kind, members = _read_tar(path, head, size, wanted, kept, limits)
    _refuse_unsafe_links(members)
    tops = {member.path.partition("/")[0] for member in members}
    top = tops.pop() if len(tops) == 1 and any("/" in member.path for member in members) else None
    return Source(size, Sha256(whole.hexdigest()), kind, members, top, kept)


def _zip_members(archive: OpenZip, wanted: Wanted, kept: dict[str, bytes]) -> Iterator[Member]:
    if archive.zip.violations:
        first = archive.zip.violations[0]
        raise UnsafeSourceError(f"the source archive is ambiguous: {first.code}: {first.path}: {first.detail}", offset=first.offset)
    for entry, digest in zip(archive.zip.entries, archive.zip.digests, strict=True):
        name = entry.name.removesuffix("/")
        if not entry.is_dir and entry.central.size <= _KEPT and wanted(name.partition("/")[2]):
            kept.setdefault(name.partition("/")[2], b"".join(archive.content(entry)))
        kind = Kind.FOLDER if entry.is_dir else Kind.FILE
        yield Member(name, kind, entry.central.size, entry.mode & 0o7777, dos_seconds(entry.central.time), None if entry.is_dir else digest)


class Capped(RawIOBase):
    """A decompressed stream that refuses more than its allowance, and any single huge read (tarfile reads headers whole). Seeks forward only."""

    def __init__(self, inner: BinaryIO, allowed: int) -> None:
        super().__init__()
        self._inner, self._allowed, self._spent = inner, allowed, 0

    def readable(self) -> bool:
        """Say that it is for reading."""
        return True

    def seekable(self) -> bool:
        """Say yes, for tarfile; see :meth:`seek`."""
        return True

    def tell(self) -> int:
        """Say how much was read."""
        return self._spent

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes, within the allowance."""
        if size < 0 or size > _MAX_HEADER:
            raise ArchiveError(f"a header of the source archive asks for {size} bytes", offset=self._spent)
        data = self._inner.read(size)
        self._spent += len(data)
        if self._spent > self._allowed:
            raise LimitError(f"the source archive inflates to more than {self._allowed} bytes", offset=self._spent)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Read on to ``offset``; going back is refused."""
        if whence != 0 or offset < self._spent:
            raise ArchiveError("the source archive points back into itself", offset=self._spent)
        while self._spent < offset:
            if not self.read(min(CHUNK, offset - self._spent)):
                break
        return self._spent


def open_tar(path: Path, head: bytes) -> tuple[str, BinaryIO]:
    """Open a tar, decompressed by what its first bytes say; returns the format and the stream."""
    if head.startswith(b"\x1f\x8b"):
        return "tar.gz", cast("BinaryIO", gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return "tar.bz2", cast("BinaryIO", bz2.open(path, "rb"))
    if head.startswith(b"\xfd7zXZ\x00"):
        return "tar.xz", cast("BinaryIO", lzma.open(path, "rb"))
    return "tar", path.open("rb")


def _read_tar(path: Path, head: bytes, size: int, wanted: Wanted, kept: dict[str, bytes], limits: Limits) -> tuple[str, tuple[Member, ...]]:
    allowed = min(limits.total, max(limits.ratio_free, limits.ratio * size))
    kind, opened = open_tar(path, head)
    members: list[Member] = []
    digests: dict[str, Member] = {}
    with opened:
        try:
            stream = Capped(opened, allowed)
            with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
                for info in tar:
                    if len(members) >= limits.entries:
                        raise LimitError(f"the source archive has more than {limits.entries} members")
                    member = _tar_member(tar, info, digests, wanted, kept, limits)
                    if member is not None:
                        members.append(member)
                        digests[member.path] = member
                    tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every header it has seen; a bomb of headers must not
            while stream.read(CHUNK):  # to its end, where the compressor's checksum is
                pass
        except TAR_FAULTS as error:
            raise ArchiveError(f"the source archive cannot be read: {type(error).__name__}: {error}") from None
    if not members:
        raise ArchiveError("the source archive is empty")
    return kind, tuple(members)


def _tar_member(
    tar: tarfile.TarFile, info: tarfile.TarInfo, seen: dict[str, Member], wanted: Wanted, kept: dict[str, bytes], limits: Limits
) -> Member | None:
    path = info.name.removeprefix("./").rstrip("/")
    if info.isdir() and path in ("", "."):
        return None
    wrong = complaint(path, limits.name)
    if wrong:
        raise UnsafeSourceError(f"{path[:200]!r}: {wrong}", offset=info.offset)
    facts = (info.size, info.mode & 0o7777, int(info.mtime))
    if info.isdir():
        return Member(path, Kind.FOLDER, 0, *facts[1:], None)
    if info.issym():
        return Member(path, Kind.SYMLINK, 0, *facts[1:], None, info.linkname)
    if info.islnk():
        target = seen.get(info.linkname.removeprefix("./"))
        if target is None or target.kind not in (Kind.FILE, Kind.HARDLINK):
            raise UnsafeSourceError(f"{path[:200]!r}: a hard link to what the archive does not hold before it", offset=info.offset)
        return Member(path, Kind.HARDLINK, target.size, *facts[1:], target.sha256, target.path)
    if not info.isreg() or info.issparse():
        raise UnsafeSourceError(f"{path[:200]!r}: a device, a sparse file or an unknown kind of member", offset=info.offset)
    digest = hashlib.sha256()
    parts: list[bytes] = []
    inner = path.partition("/")[2]
    keep = info.size <= _KEPT and wanted(inner) and inner not in kept
    stream = tar.extractfile(info)
    while stream is not None and (chunk := stream.read(CHUNK)):
        digest.update(chunk)
        if keep:
            parts.append(chunk)
    if keep:
        kept[inner] = b"".join(parts)
    return Member(path, Kind.FILE, *facts, Sha256(digest.hexdigest()))


def _refuse_unsafe_links(members: Iterable[Member]) -> None:
    """A symbolic link must stay below the top folder, and nothing may be written through one."""
    listed = list(members)
    links = {member.path for member in listed if member.kind is Kind.SYMLINK}
    for member in listed:
        at = member.path.rfind("/")
        while at > 0:
            if member.path[:at] in links:
                raise UnsafeSourceError(f"{member.path[:200]!r}: a member below a symbolic link")
            at = member.path.rfind("/", 0, at)
        if member.kind is not Kind.SYMLINK:
            continue
        target = member.target or ""
        parts = member.path.split("/")[:-1]
        for part in target.split("/"):
            if part == "..":
                if len(parts) <= 1:
                    raise UnsafeSourceError(f"{member.path[:200]!r}: a link that leaves the source")
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        if not target or target.startswith("/") or "\0" in target:
            raise UnsafeSourceError(f"{member.path[:200]!r}: a link that leaves the source")
