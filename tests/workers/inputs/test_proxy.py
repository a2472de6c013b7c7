"""The proxy: one index, one moment, one closed list per session, and nothing after the session is closed."""

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
from typing import Any

import pytest

from reprove.core.errors import OwnError
from reprove.settings import Settings
from tests.sim.index import Fault, SimIndex, make_wheel
from tests.workers.processes import REPOSITORY, until
from workers.inputs import frames
from workers.inputs import proxy as proxies
from workers.inputs.fetch import ProxyUnavailableError, Session
from workers.inputs.proxy import Proxy

CUT = "2024-06-01T00:00:00Z"
WHEEL = "demo-1.0-py3-none-any.whl"


class Client:
    """Speaks HTTP over a session's socket, as the forwarder in the container does."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.connection = http.client.HTTPConnection("127.0.0.1")
        self.connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.sock.settimeout(5)
        try:
            self.connection.sock.connect(str(path))
        except OSError:
            self.connection.sock.close()
            raise

    def ask(self, path: Any, method: str = "GET", **headers: Any) -> Any:
        self.connection.request(method, path, headers=headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def get(self, path: Any, **headers: Any) -> Any:
        return self.ask(path, **headers)[:2]

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def opened(settings: Settings, proxy: Proxy) -> Iterator[Any]:
    with Session(settings, CUT) as session:
        client = Client(session.socket)
        yield session, client
        client.close()


@pytest.fixture
def client(opened: tuple[Session, Client]) -> Any:
    return opened[1]


def page(client: Client, project: str = "demo") -> Any:
    status, body = client.get(f"/simple/{project}/")
    return json.loads(body)["files"] if status == 200 else status


def test_a_page_lists_wheels_up_to_the_cut_and_only_those_files_can_be_had(opened: tuple[Session, Client], sim: SimIndex) -> None:
    session, client = opened
    sim.add("demo", "demo-2.0-py3-none-any.whl", make_wheel("demo", "2.0"), uploaded="2024-06-01T00:00:01Z")
    sim.add("demo", "demo-3.0-py3-none-any.whl", make_wheel("demo", "3.0"), uploaded=None)
    (row,) = page(client)
    assert row["filename"] == WHEEL
    status, body = client.get(row["url"])
    assert (status, body) == (200, sim.projects["demo"][WHEEL].data)
    record = session.close()
    assert [one["name"] for one in record.files] == [WHEEL]
    assert record.files[0]["uri"] == f"{sim.base}/files/demo/{WHEEL}"
    assert (record.pages[0]["project"], record.pages[0]["wheels"], record.pages[0]["untimed"]) == ("demo", 1, 1)
    assert record.refused == ()


def test_another_files_digest_cannot_be_guessed_before_or_beside_its_page(opened: tuple[Session, Client], sim: SimIndex) -> None:
    session, client = opened
    late = sim.add("demo", "demo-2.0-py3-none-any.whl", make_wheel("demo", "2.0"), uploaded="2024-06-02T00:00:00Z")
    other = sim.add("other", "other-1-py3-none-any.whl", make_wheel("other", "1"))
    sdist = sim.projects["demo"]["demo-1.0.tar.gz"]
    guesses = [
        (other.digest, "other-1-py3-none-any.whl"),
        (late.digest, "demo-2.0-py3-none-any.whl"),
        (sdist.digest, "demo-1.0.tar.gz"),
        (other.digest, WHEEL),
    ]
    for _ in range(2):
        for digest, name in guesses:
            assert client.get(f"/files/{digest}/{name}")[0] == 404
        page(client)
    record = session.close()
    assert len(record.refused) == 8
    assert record.files == ()
    assert not [path for path in sim.asked if path.startswith("/files/")]


def test_a_file_in_the_store_from_another_session_is_not_given_out_either(opened: tuple[Session, Client], settings: Settings, sim: SimIndex) -> None:
    _, client = opened
    (row,) = page(client)
    assert client.get(row["url"])[0] == 200
    with Session(settings, CUT) as second:
        other = Client(second.socket)
        assert other.get(row["url"])[0] == 404
        other.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "http://127.0.0.1:1/simple/demo/"),
        ("CONNECT", "127.0.0.1:443"),
        ("POST", "/simple/demo/"),
        ("PUT", "/simple/demo/"),
        ("GET", "/simple/demo"),
        ("GET", "/simple/"),
        ("GET", "/simple/../files/x/"),
        ("GET", "/simple/de%6do/"),
        ("GET", "/simple/demo/?x=1"),
        ("GET", "/pypi/demo/json"),
        ("GET", "/"),
        ("OPTIONS", "*"),
    ],
)
def test_nothing_but_pages_and_files_is_answered(opened: tuple[Session, Client], method: str, path: Any, sim: SimIndex) -> None:
    session, client = opened
    assert client.ask(path, method)[0] in (403, 405)
    assert len(session.close().refused) == 1
    assert sim.asked == []


def test_parts_of_a_file_are_the_files_bytes_and_count_as_the_whole_file(opened: tuple[Session, Client], sim: SimIndex) -> None:
    session, client = opened
    data = sim.projects["demo"][WHEEL].data
    (row,) = page(client)
    status, body, headers = client.ask(row["url"], "HEAD")
    assert (status, body, int(headers["Content-Length"]), headers["Accept-Ranges"]) == (200, b"", len(data), "bytes")
    for wanted, expected in (("bytes=0-9", data[:10]), ("bytes=-7", data[-7:]), ("bytes=100-", data[100:]), (f"bytes=5-{10**9}", data[5:])):
        assert client.get(row["url"], Range=wanted) == (206, expected)
    for wanted in ("bytes=-", "bytes=9-3", "bytes=0-1,3-4", f"bytes={len(data)}-", "lines=1-2", "bytes=-0"):
        assert client.get(row["url"], Range=wanted) == (200, data)
    assert [one["size"] for one in session.close().files] == [len(data)]


def test_a_closed_session_gives_nothing_out_on_old_or_new_connections(opened: tuple[Session, Client]) -> None:
    session, client = opened
    (row,) = page(client)
    record = session.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        client.get(row["url"])
    with pytest.raises(OSError):
        Client(session.socket)
    assert record.files == ()
    with pytest.raises(ProxyUnavailableError):
        session.close()


def test_a_worker_that_goes_away_takes_its_session_with_it(settings: Settings, proxy: Proxy) -> None:
    session = Session(settings, CUT)
    session.__enter__()
    path = session.socket
    assert path.exists()
    session.__exit__()
    until(lambda: not path.exists(), what="the end of the session")


def test_old_questions_are_answered_from_a_kept_page_and_new_ones_are_not(settings: Settings, proxy: Proxy, sim: SimIndex) -> Any:
    def look(cut: Any) -> Any:
        with Session(settings, cut) as session:
            client = Client(session.socket)
            found = [row["filename"] for row in page(client)]
            client.close()
            return found

    assert look(CUT) == [WHEEL]
    sim.add("demo", "demo-2.0-py3-none-any.whl", make_wheel("demo", "2.0"), uploaded=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    assert look(CUT) == [WHEEL]
    assert sim.asked.count("/simple/demo/") == 1
    assert len(look(None)) == 2
    assert len(look(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2)))) == 2
    assert sim.asked.count("/simple/demo/") == 3


def test_bytes_and_files_are_capped(settings: Settings, proxy: Proxy, sim: SimIndex) -> None:
    sim.add("big", "big-1-py3-none-any.whl", make_wheel("big", "1", members={"big/x": os.urandom(5000)}))
    sim.add("lying", "lying-1-py3-none-any.whl", make_wheel("lying", "1", members={"lying/x": os.urandom(5000)}), size=10)
    for limits, expected in (({"bytes": 4000}, 403), ({"files": 0}, 403), ({"bytes": 40_000}, 200)):
        with Session(settings, CUT) as session:
            session._ask({"op": "close", "session": session._name})
            session._request["limits"] = limits
            answer = session._ask(session._request)
            client = Client(answer["socket"])
            (row,) = page(client, "big")
            assert client.get(row["url"])[0] == expected
            if "bytes" in limits and expected == 403:
                (row,) = page(client, "lying")
                assert client.get(row["url"])[0] in (403, 404)
            client.close()


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "open", "index": "https://other.example/simple/", "cut": CUT},
        {"op": "open", "cut": CUT},
        {"op": "open", "index": None, "cut": "yesterday"},
        {"op": "close", "session": "0123456789abcdef"},
        {"op": "exec"},
        {},
        [],
        "x",
    ],
)
def test_the_control_socket_refuses_what_is_not_its_protocol(settings: Settings, proxy: Proxy, request_: Any) -> None:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.connect(str(settings.sockets / "proxy.sock"))
    with control:
        frames.send(control, request_)
        assert "error" in frames.receive(control)
        frames.send(control, {"op": "open", "index": settings.index_pypi_url, "cut": CUT})
        assert "session" in frames.receive(control)


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff", b"\0\0\0\2{]", b"\0\0\0\x10short", b"x"])
def test_bytes_that_are_no_frames_end_only_their_connection(settings: Settings, proxy: Proxy, raw: bytes) -> None:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.connect(str(settings.sockets / "proxy.sock"))
    with control:
        control.sendall(raw)
        control.shutdown(socket.SHUT_WR)
        assert control.recv(1) == b""
    with Session(settings, CUT) as session:
        assert session.socket.exists()


def test_only_the_proxys_user_may_enter_where_sockets_are(settings: Settings, proxy: Proxy) -> None:
    with Session(settings, CUT) as session:
        assert session.socket.parent.stat().st_mode & 0o077 == 0
        assert (settings.sockets / "proxy.sock").stat().st_mode & 0o077 == 0


def test_many_clients_that_say_nothing_do_not_keep_others_out(opened: tuple[Session, Client], settings: Settings) -> None:
    session, _ = opened
    idle = []
    with contextlib.suppress(OSError):
        for _ in range(200):
            idle.append(Client(session.socket))
    with Session(settings, CUT) as second:
        other = Client(second.socket)
        assert page(other)
        other.close()
    for one in idle:
        one.close()


def test_a_file_asked_for_by_ten_at_once_is_fetched_once(opened: tuple[Session, Client], sim: SimIndex) -> None:
    session, client = opened
    (row,) = page(client)
    sim.fail("/files/", Fault.SLOW, 0.2, times=1)
    found = []

    def ask() -> None:
        own = Client(session.socket)
        found.append(own.get(row["url"])[1])
        own.close()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sim.projects["demo"][WHEEL].data] * 10
    assert sim.asked.count(f"/files/demo/{WHEEL}") == 1


def test_a_second_proxy_on_the_same_sockets_refuses(settings: Settings, proxy: Proxy) -> None:
    second = proxies.make(settings)
    with pytest.raises(OwnError, match="another proxy"):
        second.listen()
    second.close()
    with Session(settings, CUT) as session:
        assert session.socket.exists()


@pytest.mark.slow
def test_the_process_starts_serves_and_ends_on_sigterm(settings: Settings, sim: SimIndex) -> None:
    settings.sockets.mkdir()
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "REPROVE_HOME": str(settings.home),
        "REPROVE_RUN_DIR": str(settings.sockets),
        "REPROVE_INDEX_PYPI_URL": sim.url,
        "REPROVE_FETCH_ALLOW": ",".join(sim.allow),
        # What surrounds the process must not matter.
        "PIP_FIND_LINKS": "/opt/wheels",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    process = subprocess.Popen([sys.executable, "-X", "faulthandler", "-m", "workers.inputs.proxy"], env=environment)
    try:
        until((settings.sockets / "proxy.sock").exists)
        until(lambda: _opens(settings))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not (settings.sockets / "proxy.sock").exists()
    finally:
        process.send_signal(signal.SIGABRT)
        process.wait()


def _opens(settings: Settings) -> Any:
    try:
        with Session(settings, CUT) as session:
            client = Client(session.socket)
            found = page(client)
            client.close()
            return found
    except ProxyUnavailableError:
        return False


@pytest.mark.parametrize("missing", ["instance", "index"])
def test_a_proxy_without_its_state_refuses_to_start_with_one_line(settings: Settings, missing: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "REPROVE_HOME": str(settings.home)}
    if missing == "instance":
        (settings.home / "instance").unlink()
    found = subprocess.run([sys.executable, "-m", "workers.inputs.proxy"], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
