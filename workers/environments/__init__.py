"""Reproducible root file systems: spec, lock, layers, a load archive whose image is known beforehand (DESIGN section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.environments.load import ensure_loaded
from workers.environments.make import lock_environment, make_environment, make_from_lock
from workers.environments.spec import load_spec
from workers.environments.store import EnvironmentStore
from workers.environments.values import Environment, EnvironmentFaultError, Lock, Package, Spec, decode_lock

if TYPE_CHECKING:
    from pathlib import Path

    from reprove.core.digests import Sha256

__all__ = [
    "Environment",
    "EnvironmentFaultError",
    "EnvironmentStore",
    "Lock",
    "Package",
    "Spec",
    "blobs",
    "decode_lock",
    "ensure_loaded",
    "find",
    "load_spec",
    "lock_environment",
    "make_environment",
    "make_from_lock",
]


def find(home: Path, name: str) -> Environment | None:
    """Find an environment by name or ``name@sha256:<lock>``; None where it is not made here."""
    return EnvironmentStore(home).find(name)


def blobs(environment: Environment) -> list[tuple[Sha256, Path]]:
    """List what a statement's environment rests on, digest and file: the lock, then every package that it names."""
    store = EnvironmentStore(environment.home)
    lock = store.load_lock(environment.lock_sha256)
    lock_path = store.root / "locks" / f"{environment.lock_sha256}.json"
    return [(environment.lock_sha256, lock_path), *((row.sha256, store.packages.path(row.sha256)) for row in lock.packages)]
