"""A whole instance for tests: its own state folder, free loopback ports, real processes that the test starts, kills and stops.

Everything runs as the user who runs the tests (``separate_users = false``); ``tests/deploy`` covers the separated accounts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprove import settings as settings_module
from reprove.settings import Settings
from service.launch import process_names
from service.setup import instance as setup
from tests.ports import free_port

REPOSITORY = Path(__file__).parent.parent
FAST = {"heartbeat_seconds": 1, "lease_seconds": 3, "reconcile_seconds": 1, "min_free": 64 * 1024**2}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Instance:
    home: Path
    settings: Settings
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def token(self, name: str = "client") -> str:
        return (self.home / "secrets" / f"{name}.token").read_text().strip()

    def start(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        for name in names or process_names(self.settings):
            log = (self.home / "run" / f"{name}.log").open("ab")
            environment = {key: value for key, value in os.environ.items() if not key.startswith("REPROVE_")}
            environment |= {"REPROVE_HOME": str(self.home), **(env or {})}
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "service.launch", name], cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            log.close()

    def kill(self, name: str) -> None:
        """SIGKILL one process and what it forked, as a host that dies would."""
        process = self.processes.pop(name)
        forked = descendants(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # at once: a server would fork a successor for the child that dies first
        for pid in forked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # those that made a group of their own
        process.wait(10)

    def terminate(self, name: str, timeout: float = 15) -> int:
        process = self.processes.pop(name)
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            raise AssertionError(f"{name} did not stop within {timeout} s of SIGTERM:\n{self.log(name)}") from None

    def wait_dead(self, name: str, timeout: float = 30) -> int:
        """Wait until a process ended by itself, for example at a crash point."""
        code = self.processes[name].wait(timeout)
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return code

    def wait_crash(self, name: str, point: str, timeout: float = 40) -> None:
        """Wait until a process (or its child) died at a crash point, then kill the rest of it, as a host that dies would."""
        deadline = time.monotonic() + timeout
        path = self.home / "run" / f"{name}.log"
        line = f"dying at crash point {point}\n"
        while line not in path.read_text(errors="replace"):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} never reached crash point {point}\n{self.logs()}")
            time.sleep(0.05)
        self.kill(name)
        path.write_text("")

    def stop(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + 12
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self.processes.clear()

    def log(self, name: str, lines: int = 40) -> str:
        path = self.home / "run" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.log(name, 15)}" for name in process_names(self.settings))

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = "client", headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=40)
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {self.token(token) if (self.home / 'secrets' / f'{token}.token').exists() else token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def ready(self, timeout: float = 30) -> None:
        """Wait until /readyz says that every part this service needs answers."""
        deadline = time.monotonic() + timeout
        last = "nothing listens"
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                answer = self.call("GET", "/readyz", token=None)
                last = answer.body.decode(errors="replace")
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not ready after {timeout} s: {last}\n{self.logs()}")

    def post(self, purl: str, **members: Any) -> str:
        answer = self.call("POST", "/v1/requests", {"purl": purl, **members})
        assert answer.status == 202, answer.body
        return answer.headers["Location"].rsplit("/", 1)[1]

    def follow(self, rebuild: str, timeout: float = 120) -> dict[str, Any]:
        """Wait for a terminal state and return the rebuild's JSON."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.call("GET", f"/v1/rebuilds/{rebuild}")
                if answer.status == 200 and answer.json["state"] in ("done", "rejected", "cancelled"):
                    return answer.json  # type: ignore[no-any-return]
            time.sleep(0.2)
        raise AssertionError(f"{rebuild} did not end within {timeout} s: {answer.body!r}\n{self.logs()}")


def descendants(pid: int) -> list[int]:
    """Children, their children and so on: RQ gives its children sessions of their own, so a process group is not enough."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def make_instance(home: Path, *, index_url: str, fetch_allow: tuple[str, ...] = (), **settings: Any) -> Instance:
    """Run ``reprove init`` for a test."""
    values = {**FAST, "witness_port": free_port(), "worker_port": free_port(), **settings}
    fixed = settings_module.load(
        {"REPROVE_HOME": str(home)},
        home=home,
        port=free_port(),
        separate_users=False,
        run_dir=home / "run",
        deploy_dir=REPOSITORY / "deploy",
        **values,
    )
    choices = setup.Choices(index_url=index_url, fetch_allow=fetch_allow, extra=tuple(values.items()))
    setup.create(fixed, choices)
    return Instance(home, settings_module.load({"REPROVE_HOME": str(home)}))


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 bytes."""
    home = Path(tempfile.mkdtemp(prefix="rpv-", dir="/tmp"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
