"""A real Redis on a Unix socket in a temporary folder, with the ACL that `reprove init` writes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from reprove.settings import Settings
from service.setup.redis import write_redis
from tests.service.world import World


@dataclass
class RedisServer:
    """Start, stop and empty it; ``admin`` is a user that only this test has."""

    settings: Settings
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.settings.sockets / "redis.sock"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", str(self.settings.home / "run" / "redis.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            try:
                with self.connect() as redis:
                    redis.ping()
            except (RedisError, OSError):
                time.sleep(0.01)
            else:
                return
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
            self.socket.unlink(missing_ok=True)

    def connect(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), username="test", password="test")

    def empty(self) -> None:
        with self.connect() as redis:
            redis.flushall()

    def listed(self, queue: str) -> list[str]:
        with self.connect() as redis:
            return [each.decode() for each in redis.lrange(f"rq:queue:{queue}", 0, -1)]  # type: ignore[union-attr]

    def take(self, queue: str) -> str | None:
        """Take a job as a worker does that then does nothing more."""
        with self.connect() as redis:
            found = redis.lpop(f"rq:queue:{queue}")
            return None if found is None else found.decode()  # type: ignore[union-attr]


@pytest.fixture
def short_home() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 bytes."""
    home = Path(tempfile.mkdtemp(prefix="rpv-", dir="/tmp"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def world(short_home: Path) -> Iterator[World]:
    made = World.make(short_home, heartbeat_seconds=1, lease_seconds=3, reconcile_seconds=1)
    yield made
    made.db.close()


@pytest.fixture
def redis(world: World) -> Iterator[RedisServer]:
    (world.home / "redis").mkdir()
    write_redis(world.settings)
    acl = world.home / "redis" / "users.acl"
    acl.chmod(0o600)
    acl.write_text(acl.read_text() + "user test on >test ~* &* +@all\n")
    server = RedisServer(world.settings)
    server.start()
    yield server
    server.stop()
