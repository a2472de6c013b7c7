"""The kept packages: every file under its SHA-256, so that an environment can be made again when the archive has moved on."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from reprove.core.digests import Sha256
from workers.environments.values import EnvironmentFaultError, Package


class PackageStore:
    """A folder ``sha256/ab/<hex>``. Files appear whole (temporary name, fsync, rename) and are never changed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: Sha256) -> Path:
        """Where a package is, or would be."""
        return self.root / "sha256" / digest[:2] / digest

    def has(self, package: Package) -> bool:
        """Whether the package is kept, at its full size."""
        try:
            return self.path(package.sha256).stat().st_size == package.size
        except FileNotFoundError:
            return False

    def add(self, source: Path, package: Package) -> None:
        """Keep a downloaded file after checking its digest; raises EnvironmentFaultError when it is another file."""
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != package.sha256:
            raise EnvironmentFaultError(f"{package.name} {package.version}: the download has SHA-256 {found}, the signed index says {package.sha256}")
        target = self.path(package.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{secrets.token_hex(8)}")
        try:
            with source.open("rb") as reader, temporary.open("xb") as writer:
                while chunk := reader.read(1024 * 1024):
                    writer.write(chunk)
                writer.flush()
                os.fsync(writer.fileno())
            temporary.chmod(0o644)
            # a crash before this leaves a dotted file that nothing reads; after it, the package is there whole
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def check(self, package: Package) -> Path:
        """Give the package's path after re-hashing it: a layer is made from what the lock names or not at all."""
        target = self.path(package.sha256)
        try:
            with target.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise EnvironmentFaultError(f"{package.name} {package.version} ({package.sha256[:12]}…) is not among the kept packages") from None
        if found != package.sha256:
            raise EnvironmentFaultError(f"the kept {package.name} {package.version} is damaged: it has SHA-256 {found}")
        return target
