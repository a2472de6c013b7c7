"""A folder of one attempt on the worker, readable by the build's user, gone when the attempt ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_STALE = "attempt-"


class Workspace:
    """A context manager over ``<root>/attempt-<id>``. Inputs are hard links into the store: nothing is copied, mounts are read-only."""

    def __init__(self, root: Path, attempt: str) -> None:
        self.path = root / f"{_STALE}{attempt}"

    def __enter__(self) -> Self:
        # the same attempt never runs twice at once: what is here was left by a worker that died
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.path.chmod(0o755)
        (self.path / "outputs").mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def outputs(self) -> Path:
        """Where collected files go; nobody but the worker reads here."""
        return self.path / "outputs"

    def file(self, name: str, data: bytes) -> Path:
        """Write a small file that a step reads."""
        path = self.path / name
        path.write_bytes(data)
        path.chmod(0o644)
        return path

    def folder(self, name: str, files: Mapping[str, Path | bytes]) -> Path:
        """Lay out a folder that a step sees as ``/in``: file names may have one level of folders."""
        folder = self.path / name
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "inputs").mkdir()
        (folder / "inputs").chmod(0o755)
        for relative, content in files.items():
            target = folder / relative
            if isinstance(content, bytes):
                target.write_bytes(content)
                target.chmod(0o644)
            else:
                _link(content, target)
        return folder


def sweep(root: Path) -> None:
    """Remove what attempts of a dead worker left; called once at a worker's start, before any attempt."""
    for path in root.glob(f"{_STALE}*"):
        shutil.rmtree(path, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # another file system, or a store that this user may read and not link from
        shutil.copyfile(source, target)
        target.chmod(0o644)
