"""A proxy over a simulated index, as threads of this process, and what a fetch needs besides it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprove.settings import Settings
from tests.sim.index import SimIndex
from tests.workers.sandbox.conftest import engine, image, labels  # noqa: F401
from workers.inputs import proxy as proxies
from workers.inputs.store import InputStore


@pytest.fixture
def settings(sim: SimIndex, tmp_path: Path) -> Settings:
    (tmp_path / "instance").write_text("0123456789abcdef\n")
    return Settings(home=tmp_path, run_dir=tmp_path / "s", index_pypi_url=sim.url, fetch_allow=sim.allow)


@pytest.fixture
def proxy(settings: Settings) -> Iterator[proxies.Proxy]:
    settings.sockets.mkdir()
    made = proxies.make(settings)
    made.listen()
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    if thread.is_alive():
        made.stop()
    thread.join(5)


@pytest.fixture
def store(tmp_path: Path) -> InputStore:
    return InputStore(tmp_path / "inputs" / "worker")
