"""Logs as real processes; whatever a test did, the log that it leaves must pass the independent check."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service.log.harness import Instance


@pytest.fixture
def make_instance() -> Iterator[Callable[..., Instance]]:
    """Make instances in a short path (a socket's path has at most 107 bytes); at the end all end and every log is checked."""
    root = Path(tempfile.mkdtemp(prefix="rpl"))
    made: list[Instance] = []

    def make(**values: object) -> Instance:
        made.append(Instance(root / str(len(made)), **values))
        return made[-1]

    try:
        yield make
    finally:
        for instance in made:
            instance.end_all()
        try:
            for instance in made:
                if instance.invariant and (instance.home / "log" / "checkpoint").exists():
                    instance.fsck()
        finally:
            shutil.rmtree(root)


@pytest.fixture
def instance(make_instance: Callable[..., Instance]) -> Instance:
    """One log with one witness, both running."""
    made = make_instance()
    made.start("witness")
    made.start("main")
    made.wait_published()
    return made
