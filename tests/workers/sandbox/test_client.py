"""The engine's interface when the engine is slow, gone, restarted or answers nonsense: an error within its deadline, never a hung worker."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.sandbox import Engine, EngineUnavailableError, ImageRef, Limits, SandboxError, Step, connect
from workers.sandbox.client import EngineAnswerError, EngineTimeoutError

Handler = Callable[[str, socket.socket], None]


def answer(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    data = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


PING = answer("OK", headers="Api-Version: 1.41\r\n")


class FakeEngine:
    """Listens where an engine would; ``handler`` answers what is not a ping. Counts connections."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.ping = PING
        self.handler: Handler = lambda _, connection: connection.sendall(answer({}))
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> None:
        """Close every connection, as a restart does."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.drop()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            pending = b""
            while chunk := connection.recv(65536):
                pending += chunk
                if b"\r\n\r\n" not in pending:
                    continue
                line = pending.split(b"\r\n", 1)[0].decode()
                pending = b""
                if "/_ping" in line:
                    connection.sendall(self.ping)
                else:
                    self.handler(line, connection)
        except OSError:
            return


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "engine.sock")
    yield engine
    engine.close()


def test_calls_share_one_connection(fake: FakeEngine) -> None:
    client = connect(fake.path)
    for _ in range(5):
        assert client.call("GET", "/info") == {}
    assert fake.connections == 1
    client.close()


def test_a_restarted_engine_is_found_again_without_an_error(fake: FakeEngine) -> None:
    client = connect(fake.path)
    fake.drop()
    assert client.call("GET", "/info") == {}
    client.close()


def test_an_engine_that_hangs_is_an_error_at_the_deadline(fake: FakeEngine) -> None:
    client = connect(fake.path)
    fake.handler = lambda *_: None
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError, match=r"within 0\.3 s"):
        client.call("GET", "/info", timeout=0.3)
    assert time.monotonic() - started < 2
    client.close()


def test_an_error_answer_keeps_its_status_and_words(fake: FakeEngine) -> None:
    client = connect(fake.path)
    fake.handler = lambda _, connection: connection.sendall(answer({"message": "no such image"}, "404 Not Found"))
    with pytest.raises(EngineAnswerError, match="no such image") as refused:
        client.call("GET", "/images/x/json")
    assert refused.value.status == 404
    client.close()


@pytest.mark.parametrize("garbage", [b"", b"\0" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"SSH-2.0-x\r\n"])
def test_nonsense_is_an_error_of_the_engine(fake: FakeEngine, garbage: bytes) -> None:
    client = connect(fake.path)

    def nonsense(_: str, connection: socket.socket) -> None:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_RDWR)

    fake.handler = nonsense
    with pytest.raises(SandboxError):
        client.call("GET", "/info", timeout=2)
    client.close()


def test_nobody_listening_and_foreign_listeners_are_said_so(tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailableError, match="no answer"):
        connect(tmp_path / "nothing.sock")
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(EngineUnavailableError, match="unix://"):
        connect()
    fake.ping = answer("OK", headers="Api-Version: 1.30\r\n")
    with pytest.raises(EngineUnavailableError, match=r"1\.41"):
        connect(fake.path)
    fake.ping = answer("hello")
    with pytest.raises(EngineUnavailableError, match="not a container engine"):
        connect(fake.path)


def test_an_engine_that_dies_in_the_middle_of_a_step_is_an_error_and_not_a_hang(fake: FakeEngine, tmp_path: Path) -> None:
    """The log's stream ends because the engine does: nothing then says how the build ended, so nothing is claimed."""
    frame = b"\x01\0\0\0\0\0\0\x05hello"

    def handler(line: str, connection: socket.socket) -> None:
        if "/attach" in line:
            connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n" + frame)
        elif "/start" in line:
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            fake.close()
        elif "/create" in line:
            connection.sendall(answer({"Id": "c" * 64, "Warnings": []}, "201 Created"))
        else:
            connection.sendall(answer({"SecurityOptions": [], "DockerRootDir": "/x"}))

    fake.handler = handler
    said: list[bytes] = []
    engine = Engine(connect(fake.path), "0123456789abcdef", scratch=tmp_path / "volumes")
    step = Step(image=ImageRef("x"), argv=("true",), limits=Limits(time_s=30, memory=2**26, disk=2**20), on_log=said.append)
    started = time.monotonic()
    with pytest.raises(SandboxError):
        engine.run(step)
    assert time.monotonic() - started < 5
    assert not list((tmp_path / "volumes").glob("*")), "the host's mount is gone although the engine is"
    engine.api.close()
