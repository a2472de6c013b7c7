"""The state folder's ``environments/``: locks and images by digest, and which lock each name stands for today.

``locks/<sha256>.json`` · ``packages/sha256/ab/<sha256>`` · ``images/<lock sha256>.json`` · ``archives/<lock sha256>.tar`` · ``names/<name>.json``
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from reprove.core.canonical import canonical, parse
from reprove.core.digests import Sha256, parse_sha256
from reprove.core.errors import ProblemError, Slug
from workers.environments.archive import Image
from workers.environments.packages import PackageStore
from workers.environments.values import MAX_LOCK_BYTES, Environment, EnvironmentFaultError, Lock, decode_lock


class EnvironmentStore:
    """Everything that is kept of environments below ``<home>/environments``. Files appear whole; a name is the last thing written."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "environments"
        self.packages = PackageStore(self.root / "packages")

    def save_lock(self, lock: Lock) -> None:
        """Keep a lock under its digest."""
        _write(self.root / "locks" / f"{lock.sha256}.json", lock.encode())

    def load_lock(self, digest: Sha256) -> Lock:
        """Read a kept lock; raises EnvironmentFaultError when it is missing or is not what its name says."""
        try:
            data = (self.root / "locks" / f"{digest}.json").read_bytes()
        except OSError as error:
            raise EnvironmentFaultError(f"lock {digest[:12]}… is not kept here") from error
        lock = decode_lock(data[: MAX_LOCK_BYTES + 1])
        if lock.sha256 != digest:
            raise EnvironmentFaultError(f"lock {digest[:12]}… is damaged: it has SHA-256 {lock.sha256}")
        return lock

    def archive(self, lock_sha256: Sha256) -> Path:
        """Where the load archive of a lock is, or would be."""
        return self.root / "archives" / f"{lock_sha256}.tar"

    def save_image(self, lock: Lock, image: Image) -> None:
        """Keep what the lock's image is; its archive is in place already."""
        document = {"config": image.digest, "diff_ids": list(image.diff_ids), "lock": lock.sha256, "python": lock.python}
        _write(self._image(lock.sha256), canonical(document))

    def save_name(self, name: str, lock: Lock) -> None:
        """Let ``name`` mean ``lock``: at once where that is made, else as soon as it is; until then builds use what was made before."""
        known = _read(self._name(name)) or {}
        made = lock.sha256 if self._image(lock.sha256).exists() else known.get("made")
        _write(self._name(name), canonical({"lock": lock.sha256, **({"made": made} if made else {})}))

    def names(self) -> list[str]:
        """Names that have been locked, sorted."""
        folder = self.root / "names"
        return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []

    def lock_of(self, name: str) -> Sha256 | None:
        """The digest of the lock that ``name`` means, None where it was never locked."""
        document = _read(self._name(name))
        return None if document is None else parse_sha256(document.get("lock"))

    def find(self, name: str) -> Environment | None:
        """The environment ``name``, or ``name@sha256:<lock>`` for a certain one; None where it is not made."""
        plain, _, pinned = name.partition("@sha256:")
        if pinned:
            return self._made(plain, parse_sha256(pinned))
        named = _read(self._name(plain)) or {}
        candidates = [parse_sha256(named[key]) for key in ("lock", "made") if key in named]
        return next((found for found in (self._made(plain, lock) for lock in candidates) if found is not None), None)

    def _made(self, plain: str, lock: Sha256) -> Environment | None:
        document = _read(self._image(lock))
        if document is None or not self.archive(lock).exists():
            return None
        try:
            layers = document["diff_ids"]
            if not isinstance(layers, list):
                raise TypeError("diff_ids")
            return Environment(
                name=plain,
                lock_sha256=lock,
                image_config_digest=parse_sha256(document["config"]),
                diff_ids=tuple(parse_sha256(value) for value in layers),
                python=str(document["python"]),
                archive=self.archive(lock),
                home=self.home,
            )
        except (KeyError, TypeError) as error:
            raise EnvironmentFaultError(f"the record of environment {plain} is damaged; remove it and make it again") from error

    def used(self, environment: Environment) -> float:
        """When the environment was last used, or made: Unix seconds, 0 where nothing says."""
        try:
            return self._image(environment.lock_sha256).stat().st_mtime
        except OSError:
            return 0

    def touch(self, environment: Environment) -> None:
        """Note that the environment was used now, for ``env list --unused``; a read-only store notes nothing."""
        try:
            os.utime(self._image(environment.lock_sha256))
        except OSError:
            return

    def forget(self, environment: Environment) -> int:
        """Remove the image's record, then its archive; return the bytes freed. Lock, packages and name stay."""
        size = environment.archive.stat().st_size
        # the record first: a crash in between leaves an archive that nothing names, and the environment counts as not made
        self._image(environment.lock_sha256).unlink(missing_ok=True)
        environment.archive.unlink(missing_ok=True)
        return size

    def _name(self, name: str) -> Path:
        return self.root / "names" / f"{name}.json"

    def _image(self, lock_sha256: Sha256) -> Path:
        return self.root / "images" / f"{lock_sha256}.json"

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the store's lock: two makers at once would do the same work twice. Ends with the process, so a crash leaves nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a") as file:
            flock(file, LOCK_EX)
            yield


def _read(path: Path) -> dict[str, object] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentFaultError(f"{path}: {error.strerror}") from error
    try:
        document = parse(data, max_bytes=MAX_LOCK_BYTES, what=path.name)
    except ProblemError as error:
        raise EnvironmentFaultError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise ProblemError(Slug.INVALID_REQUEST, f"{path.name} is not an object")
    return document


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    with temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(path)
