"""Whole files: their digest, and whether two are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reprove.core.digests import Sha256

_CHUNK = 1024**2


def file_sha256(path: Path) -> Sha256:
    """The SHA-256 of a file, streamed."""
    with path.open("rb") as stream:
        return Sha256(hashlib.file_digest(stream, "sha256").hexdigest())


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes; the first difference ends the reading."""
    with first.open("rb", buffering=0) as left, second.open("rb", buffering=0) as right:
        while True:
            mine, theirs = left.read(_CHUNK), right.read(_CHUNK)
            if mine != theirs:
                return False
            if not mine:
                return True
