"""The three steps of making an environment: lock, layer, archive. Each is skipped where its result is kept already."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from workers.environments.archive import image_of, write_archive
from workers.environments.layers import build_layer
from workers.environments.resolve import make_lock
from workers.environments.store import EnvironmentStore
from workers.environments.values import Environment, EnvironmentFaultError, Lock, Progress, Spec, quiet

MIN_FREE = 1024**3
"""Bytes that must be free before an environment is made: packages, layer and archive together need about half of it."""


def lock_environment(store: EnvironmentStore, spec: Spec, *, progress: Progress = quiet) -> Lock:
    """Resolve ``spec`` anew and let its name mean the new lock. Older locks, and what was made of them, stay."""
    with store.exclusively():
        return _lock(store, spec, progress)


def make_environment(store: EnvironmentStore, spec: Spec, *, progress: Progress = quiet) -> Environment:
    """Make the environment of ``spec``: from its present lock where it has one, else from a new one. Idempotent; about 20 s the first time."""
    found = _made(store, spec.name)
    if found is not None:
        # asked before the store's lock, so that nobody waits for the making of another one
        progress(1.0, "made already")
        return found
    with store.exclusively():
        found = _made(store, spec.name)
        if found is not None:
            return found
        digest = store.lock_of(spec.name)
        lock = store.load_lock(digest) if digest is not None else _lock(store, spec, _part(progress, 0.0, 0.4))
        make_from_lock(store, lock, progress=_part(progress, 0.4, 1.0))
        store.save_name(spec.name, lock)
        made = store.find(spec.name)
    if made is None:
        raise EnvironmentFaultError(f"environment {spec.name} vanished while it was made")
    return made


def make_from_lock(store: EnvironmentStore, lock: Lock, *, progress: Progress = quiet) -> None:
    """Make layer and archive of a lock from the kept packages alone; no index, no network."""
    archives = store.root / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for left in archives.glob(".making-*"):
        # of a maker that was killed: whoever is here holds the store's lock, so none is at work
        shutil.rmtree(left, ignore_errors=True)
    if shutil.disk_usage(archives).free < MIN_FREE:
        raise EnvironmentFaultError(f"less than {MIN_FREE // 1024**3} GiB is free at {archives}: an environment needs that much to be made")
    with tempfile.TemporaryDirectory(prefix=".making-", dir=archives) as folder:
        layer = Path(folder) / "layer.tar"
        if os.geteuid() != 0:
            Path(folder).chmod(0o777)  # mode unshare writes as another user, and only here
        diff_id = build_layer(lock, store.packages, layer, progress=_part(progress, 0.0, 0.95))
        progress(0.95, "writing the image archive")
        image = image_of(lock, diff_id)
        write_archive(image, layer, Path(folder) / "archive.tar")
        (Path(folder) / "archive.tar").chmod(0o644)
        (Path(folder) / "archive.tar").replace(store.archive(lock.sha256))
    # a crash before this line leaves an archive that nothing names; the next run makes the same bytes again
    store.save_image(lock, image)
    progress(1.0, f"image {image.digest[:12]}…")


def _lock(store: EnvironmentStore, spec: Spec, progress: Progress) -> Lock:
    lock = make_lock(spec, store.packages, progress=progress)
    store.save_lock(lock)
    store.save_name(spec.name, lock)
    return lock


def _made(store: EnvironmentStore, name: str) -> Environment | None:
    """Find the environment, unless it was locked anew since it was made."""
    found = store.find(name)
    return found if found is not None and found.lock_sha256 == store.lock_of(name) else None


def _part(progress: Progress, start: float, end: float) -> Callable[[float, str], None]:
    return lambda fraction, text: progress(start + (end - start) * fraction, text)
