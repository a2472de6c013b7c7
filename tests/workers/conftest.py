"""What the tests of the workers share: a key, a claimed attempt against a simulated service, a simulated index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from reprove import signers
from reprove.settings import Settings
from tests.sim.index import SimIndex
from tests.sim.workerapi import TOKEN, SimWorkerApi
from workers.client import WorkerClient
from workers.context import WorkerContext
from workers.heartbeat import Heartbeat
from workers.inputs.store import InputStore
from workers.resolve import Outside


@pytest.fixture
def sim() -> Iterator[SimIndex]:
    with SimIndex() as index:
        index.release("demo", "1.0")
        yield index


@pytest.fixture
def api() -> Iterator[SimWorkerApi]:
    with SimWorkerApi() as service:
        yield service


@pytest.fixture
def signer(tmp_path: Path) -> signers.FileSigner:
    return signers.generate(tmp_path / "resolver.key")


@pytest.fixture
def context(api: SimWorkerApi, sim: SimIndex, signer: signers.FileSigner, tmp_path: Path) -> Iterator[WorkerContext]:
    """A claimed attempt; set ``api.purl`` and ``api.n`` before asking for it by ``claim``."""
    settings = Settings(home=tmp_path, index_pypi_url=sim.url, fetch_allow=sim.allow)
    client = WorkerClient(api.url, TOKEN, patience=2)
    claim = client.claim("at-" + "0" * 20, signer.public_key.fingerprint)
    assert claim is not None
    with Heartbeat(client, claim.lease, interval=5, lease_seconds=15) as heartbeat:
        yield WorkerContext(settings, client, claim, heartbeat, signer, InputStore(tmp_path / "inputs"), None, structlog.get_logger())
    client.close()


@pytest.fixture
def outside(context: WorkerContext) -> Iterator[Outside]:
    made = Outside.of(context.settings)
    yield made
    made.client.close()
