"""A content-addressed folder of inputs. A cache: what an attestation names is in the service's blob store (DESIGN section 5.8)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reprove.core.digests import Sha256, parse_sha256
from reprove.core.errors import ProblemError, Slug

STALE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Stored:
    """One file in the store; ``size`` in bytes."""

    sha256: Sha256
    size: int
    path: Path


class InputStore:
    """Files under ``<root>/sha256/ab/<hex>``, read-only, each visible only once it is whole.

    Its writers are processes of one user; readers may be others. A crash leaves at most a file in ``tmp/``, which a later start drops.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / "tmp"
        for folder in (root, self._temporary, root / "sha256"):
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):
                folder.chmod(0o755)

    def clean(self) -> None:
        """Drop what dead processes left half-written: what is younger than an hour may be another worker's, at this moment."""
        for path in self._temporary.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()

    def path(self, sha256: Sha256) -> Path:
        """Where the file is, or would be."""
        digest = parse_sha256(sha256)
        return self.root / "sha256" / digest[:2] / digest

    def has(self, sha256: Sha256) -> bool:
        """Say whether the file is here."""
        return self.path(sha256).is_file()

    def find(self, sha256: Sha256) -> Stored | None:
        """Return the file if it is here."""
        path = self.path(sha256)
        try:
            return Stored(sha256, path.stat().st_size, path)
        except FileNotFoundError:
            return None

    def put(self, data: bytes) -> Stored:
        """Store bytes under their own digest."""
        return self.put_stream((data,), max_bytes=len(data))

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int, sha256: Sha256 | None = None) -> Stored:
        """Store a stream. Raises ``too-large``, or ``digest-mismatch`` when ``sha256`` is given and the bytes are others; nothing is then kept."""
        with tempfile.NamedTemporaryFile(dir=self._temporary, delete=False) as file:
            try:
                hasher, size = hashlib.sha256(), 0
                for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise ProblemError(Slug.TOO_LARGE, f"more than {max_bytes} bytes")
                    hasher.update(chunk)
                    file.write(chunk)
                digest = Sha256(hasher.hexdigest())
                if sha256 is not None and digest != sha256:
                    raise ProblemError(Slug.DIGEST_MISMATCH, f"the bytes have sha256 {digest}, announced was {sha256}")
                file.flush()
                # A crash before this leaves a nameless file; after the rename the name never stands for fewer bytes.
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o444)
                return self._publish(Path(file.name), digest, size)
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _publish(self, temporary: Path, digest: Sha256, size: int) -> Stored:
        final = self.path(digest)
        if not final.parent.is_dir():
            final.parent.mkdir(exist_ok=True)
            final.parent.chmod(0o755)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, final)
        return Stored(digest, size, final)
