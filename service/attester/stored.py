"""Blobs as the attester reads them: every digest computed again, nothing believed because a row or a file name says so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from reprove.core.digests import Sha256
from reprove.core.errors import ProblemError
from reprove.core.statements.parts import Stamp

CHUNK = 1024 * 1024
MAX_MEMORY_OF_DIGESTS = 4096


class Blobs(Protocol):
    """The blob store as far as it is needed here."""

    def path(self, sha256: str) -> Path:
        """Where a blob is or would be."""

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob; raises ``not-found``."""


class Stored:
    """Digests are remembered per file identity (inode, size, change time, which nobody can set), so that an input of many rebuilds is hashed once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._known: dict[Sha256, tuple[int, int, int]] = {}

    def fault(self, digest: Sha256) -> str | None:
        """Say what is wrong with a blob ("is missing", "is damaged"), or None after hashing it."""
        try:
            facts = self._blobs.path(digest).stat()
        except OSError:
            return "is missing"
        stamp = (facts.st_ino, facts.st_size, facts.st_ctime_ns)
        if self._known.get(digest) == stamp:
            return None
        hasher = hashlib.sha256()
        try:
            with self._blobs.open(digest) as file:
                while chunk := file.read(CHUNK):
                    hasher.update(chunk)
        except (OSError, ProblemError):
            return "cannot be read"
        if hasher.hexdigest() != digest:
            return "is damaged: its bytes have another digest"
        if len(self._known) >= MAX_MEMORY_OF_DIGESTS:
            self._known.clear()
        self._known[digest] = stamp
        return None

    def size(self, digest: Sha256) -> int:
        """The blob's size in bytes; -1 when it is missing."""
        try:
            return self._blobs.path(digest).stat().st_size
        except OSError:
            return -1

    def read(self, digest: Sha256, max_bytes: int) -> bytes:
        """Read a small blob; at most ``max_bytes + 1`` bytes are read, and the caller refuses more."""
        with self._blobs.open(digest) as file:
            return file.read(max_bytes + 1)

    def stamped(self, digest: Sha256, stamps: Iterable[Stamp]) -> str | None:
        """SHA-256 of the blob with the stamps applied, or None when one does not find its ``old`` bytes or leaves the file.

        The bytes that are read here are hashed here: None also when they are not the blob's any more.
        """
        plain, stamped = hashlib.sha256(), hashlib.sha256()
        with self._blobs.open(digest) as file:
            position = 0
            for stamp in sorted(stamps, key=lambda each: each.offset):
                if not _copy(file, (plain, stamped), stamp.offset - position) or (old := file.read(4)) != bytes.fromhex(stamp.old):
                    return None
                plain.update(old)
                stamped.update(bytes.fromhex(stamp.new))
                position = stamp.offset + 4
            while chunk := file.read(CHUNK):
                plain.update(chunk)
                stamped.update(chunk)
        return stamped.hexdigest() if plain.hexdigest() == digest else None


def _copy(file: BinaryIO, hashers: Iterable[hashlib._Hash], count: int) -> bool:
    """Hash ``count`` bytes; False when the file ends before."""
    while count > 0:
        chunk = file.read(min(count, CHUNK))
        if not chunk:
            return False
        for hasher in hashers:
            hasher.update(chunk)
        count -= len(chunk)
    return count == 0
