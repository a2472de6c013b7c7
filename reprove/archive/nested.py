"""Look for exact bytes inside an archive and the archives in it: how a source that hides the original is noticed (DESIGN section 6, "Echo builds").

An author who encodes the artifact in some way of his own is outside what this finds, and the README says so.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from reprove.archive.limits import CHUNK, ArchiveError, LimitError, Limits
from reprove.archive.sources import TAR_FAULTS, Capped, open_tar
from reprove.archive.zipfiles import open_zip
from reprove.core.digests import Sha256

DEPTH = 3
"""Archives in archives that are opened, the outermost included."""
_BUDGET = Limits(total=1024**3, entries=50_000)
_HEAD = 6
_MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


@dataclass(slots=True)
class _Spent:
    """What the search has read so far; hostile nesting multiplies, so one budget covers all depths."""

    bytes: int = 0
    members: int = 0

    def add(self, size: int) -> None:
        self.bytes += size
        if self.bytes > _BUDGET.total or self.members > _BUDGET.entries:
            raise LimitError("the archives inside the source are too large to search")


def find(path: Path, digest: Sha256) -> Iterator[str]:
    """Yield the path (nested with ``!/``) of every copy of the bytes called ``digest`` inside the archive at ``path``.

    Members that are no archive, or a damaged one, are only hashed. Raises :class:`LimitError` when there is too much to search.
    """
    spent = _Spent()
    yield from _search(path, digest, "", DEPTH, spent)


def _search(path: Path, digest: Sha256, prefix: str, depth: int, spent: _Spent) -> Iterator[str]:
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    try:
        if head.startswith(b"PK"):
            yield from _zip(path, digest, prefix, depth, spent)
        else:
            yield from _tar(path, head, digest, prefix, depth, spent)
    except LimitError:
        raise
    except (ArchiveError, *TAR_FAULTS):
        return  # damaged further in: what could be read was searched


def _zip(path: Path, digest: Sha256, prefix: str, depth: int, spent: _Spent) -> Iterator[str]:
    with open_zip(path, _BUDGET) as archive:
        for entry in archive.zip.entries:
            try:
                yield from _member(archive.content(entry), prefix + entry.name, digest, depth, spent)
            except LimitError:
                raise
            except ArchiveError:
                continue


def _tar(path: Path, head: bytes, digest: Sha256, prefix: str, depth: int, spent: _Spent) -> Iterator[str]:
    if head.startswith(_MAGIC):
        hashed = hashlib.sha256()
        with open_tar(path, head)[1] as plain:
            for chunk in _chunks(plain):
                spent.add(len(chunk))
                hashed.update(chunk)
        if hashed.hexdigest() == digest:
            yield f"{prefix}content"
            return
    with (
        open_tar(path, head)[1] as opened,
        tarfile.open(fileobj=cast("BinaryIO", Capped(opened, _BUDGET.total)), mode="r:", errors="surrogateescape") as tar,
    ):
        for info in tar:
            stream = tar.extractfile(info) if info.isreg() else None
            if stream is not None:
                yield from _member(_chunks(stream), prefix + info.name, digest, depth, spent)
            tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every header it has seen


def _keep(spool: IO[bytes] | None, chunk: bytes) -> None:
    """Spool a chunk. A full disk is a limit: taken for damage, it would hide what was not searched."""
    if spool is None:
        return
    try:
        spool.write(chunk)
        spool.flush()
    except OSError as error:
        raise LimitError(f"no room to search the archives inside the source: {error.strerror}") from None


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _member(chunks: Iterator[bytes], name: str, digest: Sha256, depth: int, spent: _Spent) -> Iterator[str]:
    """Hash one member; an archive is spooled to a file on the way and searched in turn."""
    spent.members += 1
    first = next(chunks, b"")
    hashed = hashlib.sha256(first)
    spent.add(len(first))
    nested = depth > 1 and (first.startswith(_MAGIC) or first[257:262] == b"ustar")
    with tempfile.TemporaryFile() if nested else nullcontext() as spool:
        _keep(spool, first)
        for chunk in chunks:
            spent.add(len(chunk))
            hashed.update(chunk)
            _keep(spool, chunk)
        if hashed.hexdigest() == digest:
            yield name
        elif spool is not None:
            yield from _search(Path(f"/proc/self/fd/{spool.fileno()}"), digest, name + "!/", depth - 1, spent)
