"""Fixtures that every room shares. A test that needs the whole service asks for ``service``; it is started once per module."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reprove.crashpoints import CRASH_POINTS


@pytest.fixture(autouse=True)
def _no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests must not reach them."""
    kept = ("REPROVE_TEST_CACHE", "REPROVE_TOOLS", "REPROVE_INTEROP")
    for name in [name for name in os.environ if name.startswith("REPROVE_") and name not in kept]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def test_cache() -> Path:
    """Where environments and downloads are kept between runs."""
    folder = Path(os.environ.get("REPROVE_TEST_CACHE", Path.home() / ".cache" / "reprove-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def crash_points() -> dict[str, str]:
    return CRASH_POINTS


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name a case by their argument: archives made on the fly differ from run to run."""
    return argname if isinstance(val, bytes | bytearray) else None
