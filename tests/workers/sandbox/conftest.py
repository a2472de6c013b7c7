"""A real engine, and the bookworm environment loaded into it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.sandbox.lab import Lab, made_environment
from workers import environments
from workers.sandbox import Engine, EngineUnavailableError, ImageRef, Labels, connect


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine under an instance id of its own; at the end nothing of it may be left."""
    try:
        client = connect()
    except EngineUnavailableError as error:
        pytest.fail(f"these tests need a container engine: {error}")
    made = Engine(client, secrets.token_hex(8), worker="tests", scratch=tmp_path_factory.mktemp("volumes"))
    yield made
    left = made.reap(set(), grace_s=0, everyone=True)
    client.close()
    assert not left, f"a test left {left}"


@pytest.fixture(scope="session")
def image(engine: Engine, test_cache: Path) -> ImageRef:
    return environments.ensure_loaded(engine, made_environment(test_cache))


@pytest.fixture
def lab(engine: Engine, image: ImageRef, tmp_path: Path) -> Lab:
    return Lab(engine, image, tmp_path)


@pytest.fixture
def labels() -> Labels:
    return Labels(rebuild="rb-test", attempt="at-test", lease=secrets.token_hex(8))
