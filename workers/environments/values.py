"""An environment in its three forms: the spec that is committed, the lock that names every package, the image that is made from the lock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reprove.core.canonical import canonical, parse_canonical
from reprove.core.digests import Sha256, parse_sha256, sha256
from reprove.core.errors import BuilderError, ProblemError, Slug

RULES = 1
"""Version of the layer rules of ``layers.py``: any change that changes a byte of a layer makes a new number, so old locks stay what they were."""
MAX_LOCK_BYTES = 4 * 1024 * 1024
_PYTHON = re.compile(r"(\d+\.\d+)")

Progress = Callable[[float, str], None]
"""Told the fraction done, 0 to 1, and what is being done."""


class EnvironmentFaultError(BuilderError):
    """An environment cannot be resolved, made or loaded; one line that says which step and why."""


def quiet(_fraction: float, _text: str) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is committed under ``deploy/environments/``: a suite and the packages that are asked for, no versions."""

    name: str
    suite: str
    architectures: tuple[str, ...]
    packages: tuple[str, ...]
    rules: int = RULES


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One Debian package of a lock; ``sha256`` is the signed index's."""

    name: str
    version: str
    arch: str
    sha256: Sha256
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything that the bytes of an environment depend on. Its SHA-256 is the environment's name in statements.

    ``indexes`` are the signed index files (suite, SHA-256) that the packages were resolved from; ``epoch`` (Unix seconds) is the newest of
    their dates.
    """

    suite: str
    arch: str
    rules: int
    epoch: int
    include: tuple[str, ...]
    indexes: tuple[tuple[str, Sha256], ...]
    packages: tuple[Package, ...]

    def encode(self) -> bytes:
        """Give the JCS bytes."""
        return canonical(
            {
                "reprove-lock": 1,
                "suite": self.suite,
                "arch": self.arch,
                "rules": self.rules,
                "epoch": self.epoch,
                "include": list(self.include),
                "indexes": [{"suite": suite, "sha256": digest} for suite, digest in self.indexes],
                "packages": [
                    {"name": row.name, "version": row.version, "arch": row.arch, "sha256": row.sha256, "size": row.size} for row in self.packages
                ],
            }
        )

    @property
    def sha256(self) -> Sha256:
        """Digest of the encoded lock."""
        return sha256(self.encode())

    @property
    def python(self) -> str:
        """The suite's Python, such as ``3.11``; empty where the environment has none."""
        for row in self.packages:
            match = _PYTHON.match(row.version)
            if row.name == "python3" and match:
                return match[1]
        return ""


def decode_lock(data: bytes) -> Lock:
    """Read a lock strictly: canonical form, known members, sorted packages. Raises ProblemError."""
    document = parse_canonical(data, max_bytes=MAX_LOCK_BYTES, what="the environment lock")
    try:
        if document.pop("reprove-lock") != 1 or set(document) != {"suite", "arch", "rules", "epoch", "include", "indexes", "packages"}:
            raise _malformed("is of another version or has unknown members")
        packages = tuple(_package(row) for row in document["packages"])
        lock = Lock(
            suite=_word(document["suite"]),
            arch=_word(document["arch"]),
            rules=int(document["rules"]),
            epoch=int(document["epoch"]),
            include=tuple(_word(name) for name in document["include"]),
            indexes=tuple((_word(row["suite"]), parse_sha256(row["sha256"])) for row in document["indexes"]),
            packages=packages,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _malformed(f"lacks something ({error})") from error
    if tuple(sorted(set(packages))) != packages or lock.encode() != data:
        raise _malformed("is not sorted or has members that are not kept")
    return lock


def _package(row: Mapping[str, object]) -> Package:
    size = row["size"]
    if not isinstance(size, int) or not 0 < size < 2**32:
        raise _malformed("has a package without a size")
    return Package(_word(row["name"]), _word(row["version"]), _word(row["arch"]), parse_sha256(row["sha256"]), size)


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+:~_/-]{0,127}", value):
        raise _malformed(f"has an odd word {str(value)[:40]!r}")
    return value


def _malformed(what: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the environment lock {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment that is made: its lock, and the image that the engine must show for it.

    The image's config digest is known before any engine has seen it. Engines differ in what they call an image's id, so ``diff_ids``
    (SHA-256 of each uncompressed layer) decide, not the id.
    """

    name: str
    lock_sha256: Sha256
    image_config_digest: Sha256
    diff_ids: tuple[Sha256, ...]
    python: str
    archive: Path
    home: Path
