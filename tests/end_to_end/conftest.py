"""A whole instance with real Docker, served by a simulated index that is made canonical; one per module, since starting takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instance import REPOSITORY, Instance, make_instance, temporary_home
from tests.sim.index import SimIndex
from workers import environments


@pytest.fixture(scope="session")
def environments_folder(test_cache: Path) -> Path:
    """The bookworm environment, made once and kept between runs."""
    home = test_cache / "home"
    store = environments.EnvironmentStore(home)
    environments.make_environment(store, environments.load_spec(REPOSITORY / "deploy" / "environments" / "bookworm-python.yaml"))
    return home / "environments"


@pytest.fixture(scope="module")
def index() -> Iterator[SimIndex]:
    with SimIndex() as sim:
        yield sim


@pytest.fixture(scope="module")
def stopped(index: SimIndex, environments_folder: Path) -> Iterator[Instance]:
    """An instance that is made and not started."""
    with temporary_home() as home:
        instance = make_instance(home, index_url=index.url, fetch_allow=index.allow, limit_disk=256 * 1024**2, limit_memory=512 * 1024**2)
        (home / "environments").rmdir()
        (home / "environments").symlink_to(environments_folder)
        try:
            yield instance
        finally:
            instance.stop()


@pytest.fixture(scope="module")
def instance(stopped: Instance) -> Instance:
    """A running instance."""
    stopped.start()
    stopped.ready()
    return stopped
