"""The API as it is served: gunicorn with its real configuration, under more long polls than it has threads for."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.access import tokens
from service.records import times
from service.records.database import open_database
from service.records.principals import Role
from tests.ports import free_port
from tests.service.api.conftest import PURL, make_home
from tests.service.world import World

REPOSITORY = Path(__file__).parents[3]
POLLS = 50


class Served:
    """A gunicorn of our own, and plain HTTP to it."""

    def __init__(self, home: Path, **values: Any) -> None:
        self.port = free_port()
        self.settings = make_home(home, port=self.port, **values)
        (home / "config.toml").write_text("separate_users = false\nmin_free = 0\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))
        database = open_database(self.settings)
        with database.write() as conn:
            issue = {"roles": [Role.SUBMIT, Role.READ], "lifetime": timedelta(days=1), "now": times.now()}
            self.tokens = [tokens.issue(conn, subject=f"ci-{number}", **issue).secret for number in range(20)]  # type: ignore[arg-type]
        database.close()
        self.log = (home / "run" / "api.log").open("wb")
        command = [sys.executable, "-m", "gunicorn", "--config", "python:service.api.gunicorn_conf", "service.api.app:create_app()"]
        environment = {"PATH": os.environ["PATH"], "REPROVE_HOME": str(home), "REPROVE_PORT": str(self.port)}
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=self.log, stderr=self.log, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.call("GET", "/readyz")[0] == 200:
                    return
            time.sleep(0.1)
        raise AssertionError((home / "run" / "api.log").read_text())

    def call(self, method: str, path: str, *, token: str | None = None, body: Any = None, timeout: float = 40) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.log.close()
        return code


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "home", api_threads=16)
    yield made
    made.stop()


@pytest.mark.slow
def test_fifty_open_long_polls_leave_requests_reads_and_heartbeats_answered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    world = World.make(home)
    served = Served(home, api_threads=16)
    try:
        rebuild = json.loads(served.call("POST", "/v1/requests", token=served.tokens[0], body={"purl": PURL})[2])["rebuild"]
        worker = world.api()
        lease = worker.claim(world.open_attempt(rebuild), "resolve")
        seq = json.loads(served.call("GET", f"/v1/rebuilds/{rebuild}")[2])["seq"]
        answers: list[dict[str, str]] = []

        def poll(number: int) -> None:
            path = f"/v1/rebuilds/{rebuild}?wait=25&after={seq}"
            answers.append(served.call("GET", path, token=served.tokens[number % len(served.tokens)])[1])

        threads = [threading.Thread(target=poll, args=(number,)) for number in range(POLLS)]
        for thread in threads:
            thread.start()
        # half of the 16 threads wait; whoever got no slot was answered at once and told when to come back
        deadline = time.monotonic() + 10
        while len(answers) < POLLS - 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(answers) == POLLS - 8
        assert all(headers.get("retry-after") for headers in answers)
        slowest = dict.fromkeys(("read", "request", "heartbeat"), 0.0)
        for number in range(20):
            for kind in slowest:
                began = time.monotonic()
                if kind == "read":
                    assert served.call("GET", f"/v1/rebuilds/{rebuild}")[0] == 200
                elif kind == "request":
                    assert served.call("POST", "/v1/requests", token=served.tokens[0], body={"purl": f"pkg:pypi/a@{number}"})[0] == 202
                else:
                    assert worker.on(lease, "heartbeat", {})["cancel"] is False
                slowest[kind] = max(slowest[kind], time.monotonic() - began)
        assert max(slowest.values()) < 2, slowest
        assert [served.call("GET", path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        assert served.call("POST", f"/v1/rebuilds/{rebuild}/cancel", token=served.tokens[0])[0] == 200
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert len(answers) == POLLS
    finally:
        served.stop()
        world.db.close()


@pytest.mark.slow
def test_a_termination_drains_what_is_being_answered_and_ends_within_ten_seconds(served: Served) -> None:
    rebuild = json.loads(served.call("POST", "/v1/requests", token=served.tokens[0], body={"purl": PURL})[2])["rebuild"]
    answered: list[int] = []
    thread = threading.Thread(target=lambda: answered.append(served.call("GET", f"/v1/rebuilds/{rebuild}?wait=3&after=1")[0]))
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - began < 10
    thread.join(5)
    assert answered == [200]


RAW = [
    ("a huge header", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"),
    ("a huge line", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    ("two lengths", b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc"),
    ("a length and chunks", b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
]


@pytest.mark.slow
def test_what_is_not_http_is_refused_and_harms_nobody(served: Served) -> None:
    for name, data in RAW:
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
            connection.sendall(data)
            answer = connection.recv(200)
        assert not answer or answer.startswith(b"HTTP/1.1 4"), (name, answer)
    chunks = b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + served.tokens[0].encode()
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(chunks + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(40):
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            first = connection.recv(1000)
            assert first.startswith(b"HTTP/1.1 413"), first
    assert served.call("GET", "/healthz")[0] == 200
