"""The bytes of blobs: files named by their SHA-256 under ``blobs/sha256/ab/<hex>``, visible only once their digest holds.

A blob is written to a temporary file, hashed, synced, and linked to its name without overwriting; then its folder is synced. A crash before the
link leaves a temporary file that nobody can name (``sweep`` removes it), after it a whole blob.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from reprove.core.digests import Sha256, parse_sha256
from reprove.core.errors import ProblemError, Slug
from reprove.crashpoints import crash_point

CHUNK = 256 * 1024
STALE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Put:
    """How a put ended: the size, and whether the blob was new."""

    size: int
    created: bool


class BlobStore:
    """A folder of blobs. ``min_free`` bytes of its disk are never used: below that, writes answer ``storage-full``."""

    def __init__(self, root: Path, *, min_free: int = 0) -> None:
        self.root = root
        self._min_free = min_free

    def path(self, sha256: str) -> Path:
        """Where the blob is or would be. Raises ``invalid-request`` for anything that is not 64 hex characters."""
        digest = parse_sha256(sha256)
        return self.root / "sha256" / digest[:2] / digest

    def has(self, sha256: str) -> bool:
        """Say whether the blob is visible."""
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """The blob's size in bytes. Raises ``not-found``."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            raise ProblemError(Slug.NOT_FOUND, f"no blob sha256:{sha256}") from None

    def open(self, sha256: str) -> BinaryIO:
        """Open the blob for reading. Raises ``not-found``, also for what is no plain file: others write here, and a fifo would hang us."""
        try:
            descriptor = os.open(self.path(sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                raise
            raise ProblemError(Slug.NOT_FOUND, f"no blob sha256:{sha256}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ProblemError(Slug.NOT_FOUND, f"no blob sha256:{sha256}")
        return os.fdopen(descriptor, "rb")

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """Read a small blob whole, checking its digest. Raises ``not-found``, ``too-large``, ``digest-mismatch``."""
        with self.open(sha256) as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ProblemError(Slug.TOO_LARGE, f"blob sha256:{sha256} is larger than {max_bytes} bytes")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ProblemError(Slug.DIGEST_MISMATCH, f"blob sha256:{sha256} is damaged on disk")
        return data

    def put_bytes(self, data: bytes) -> Sha256:
        """Store bytes under their own digest, durably."""
        digest = Sha256(hashlib.sha256(data).hexdigest())
        self._store((data,), digest, len(data), None)
        return digest

    def put(self, stream: BinaryIO, sha256: str, max_bytes: int, *, charge: Callable[[int], None] | None = None) -> Put:
        """Store a stream under the digest that it must have, durably; storing it again reads the stream and changes nothing.

        ``charge`` is told of each chunk's size and may raise (a quota). Raises ``digest-mismatch``, ``too-large``, ``storage-full``:
        nothing stays then.
        """
        return self._store(iter(lambda: stream.read(CHUNK), b""), parse_sha256(sha256), max_bytes, charge)

    def remove(self, sha256: str) -> None:
        """Remove a blob that nothing refers to; a missing one is fine."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[tuple[str, float]]:
        """The blobs whose digest starts with two hex digits, each with the Unix time at which it was written."""
        folder = self.root / "sha256" / prefix
        if not folder.is_dir():
            return []
        with os.scandir(folder) as found:
            return [(each.name, each.stat().st_mtime) for each in found]

    def sweep(self, *, older_than: float = STALE_SECONDS) -> int:
        """Remove temporary files that crashes left; returns how many."""
        removed = 0
        for file in self.root.glob(".put-*"):
            try:
                if time.time() - file.stat().st_mtime > older_than:
                    file.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed

    def _store(self, chunks: Iterable[bytes], digest: Sha256, max_bytes: int, charge: Callable[[int], None] | None) -> Put:
        self._refuse_full()
        temporary = self.root / f".put-{secrets.token_hex(8)}"
        try:
            size = self._write(temporary, chunks, digest, max_bytes, charge)
            created = self._link(temporary, digest)
        except OSError as error:
            _translate(error)
        finally:
            temporary.unlink(missing_ok=True)
        # a crash here leaves a blob without a reference: it expires like any other that nobody names
        crash_point("blob.linked")
        return Put(size, created)

    def _write(self, temporary: Path, chunks: Iterable[bytes], digest: Sha256, max_bytes: int, charge: Callable[[int], None] | None) -> int:
        hasher = hashlib.sha256()
        size = 0
        with temporary.open("xb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise ProblemError(Slug.TOO_LARGE, f"the blob is larger than {max_bytes} bytes")
                if charge is not None:
                    charge(len(chunk))
                hasher.update(chunk)
                file.write(chunk)
            if hasher.hexdigest() != digest:
                raise ProblemError(Slug.DIGEST_MISMATCH, f"the bytes have SHA-256 {hasher.hexdigest()}, not {digest}")
            file.flush()
            os.fchmod(file.fileno(), 0o640)
            os.fsync(file.fileno())
        return size

    def _link(self, temporary: Path, digest: Sha256) -> bool:
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o2770, exist_ok=True)
            _sync_folder(target.parent.parent)
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        _sync_folder(target.parent)
        return True

    def _refuse_full(self) -> None:
        if self._min_free and shutil.disk_usage(self.root).free < self._min_free:
            raise ProblemError(Slug.STORAGE_FULL, f"the blob store's disk has less than {self._min_free} bytes free: nothing was stored")


def open_store(home: Path, *, min_free: int = 0) -> BlobStore:
    """The instance's store, ``blobs/`` below its state folder."""
    root = home / "blobs"
    (root / "sha256").mkdir(parents=True, exist_ok=True)
    return BlobStore(root, min_free=min_free)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translate(error: OSError) -> NoReturn:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise ProblemError(Slug.STORAGE_FULL, "the blob store's disk is full: nothing was stored") from error
    raise error
