"""Real processes for the tests of the workers: a Redis on a Unix socket, a worker against simulated services."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from reprove import signers

REPOSITORY = Path(__file__).parent.parent.parent


def until(condition: Callable[[], object], *, seconds: float = 15, what: str = "it") -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


class RealRedis:
    """A Redis that a test starts, stops and starts again; nothing is kept over a stop."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        users = "".join(f"user {name} on >{name} ~* &* +@all\n" for name in ("scheduler", "resolver", "worker"))
        config = self._folder / "redis.conf"
        config.write_text(f'port 0\nunixsocket {self.socket}\nsave ""\nappendonly no\ndir {self._folder}\nlogfile {self._folder}/redis.log\n{users}')
        self._process = subprocess.Popen([str(shutil.which("redis-server")), str(config)], stdout=subprocess.DEVNULL)
        until(self._answers, what="redis")

    def _answers(self) -> bool:
        with suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self, role: str = "scheduler") -> Redis:
        return Redis(unix_socket_path=str(self.socket), username=role, password=role)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RealRedis]:
    redis = RealRedis(folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()


def make_home(folder: Path) -> Path:
    """The state folder that a worker process needs."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    (folder / "instance").write_text("0123456789abcdef\n")
    for name in ("resolver", "worker-1"):
        signers.generate(secrets / f"{name}.key")
        (secrets / f"{name}.token").write_text("rpv_test_token\n")
    for role in ("resolver", "worker"):
        (secrets / f"redis-{role}.password").write_text(role)
    return folder


@contextmanager
def running_worker(kind: str, home: Path, *, module: str = "workers.main", **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; its standard error goes to ``home/<kind>.log``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REPROVE_")}
    environment |= {"REPROVE_HOME": str(home), "REPROVE_HEARTBEAT_SECONDS": "1", "REPROVE_LEASE_SECONDS": "3", "PYTHONPATH": str(REPOSITORY)}
    environment |= {f"REPROVE_{name.upper()}": value for name, value in settings.items()}
    with (home / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", module, kind], env=environment, cwd=REPOSITORY, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
