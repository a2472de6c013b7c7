"""kill -9 of real processes at each durable step of this room: each accepted request has one way on, and nothing is there twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprove.core.digests import sha256
from reprove.core.dsse import Envelope
from reprove.signers import FileSigner, open_signer
from service.records.blobstore import open_store
from service.records.database import open_database
from service.scheduling.reconciler import stuck
from tests.instance import Instance, make_instance, temporary_home
from tests.service.world import Lease, WorkerCalls, World, until

pytestmark = pytest.mark.slow
PURL = "pkg:pypi/demo@1.0"


@pytest.fixture
def instance() -> Iterator[Instance]:
    with temporary_home() as home:
        made = make_instance(home, index_url="http://127.0.0.1:9/simple/", fetch_allow=("http://127.0.0.1:9",), worker_port=0)
        yield made
        made.stop()


class Calls(WorkerCalls):
    """The worker api over real HTTP; a connection that dies is an answer too."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.port = port

    def call(self, method: str, path: str, body: Any = None, *, who: str, expect: int = 200, slug: str | None = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": f"Bearer {self.world.tokens[who]}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status == expect, (answer.status, content)
        return json.loads(content) if "json" in (answer.getheader("Content-Type") or "") else content


def world_of(instance: Instance) -> World:
    """This instance's records as the tests of these rooms see a world."""
    settings = instance.settings
    keys: dict[str, FileSigner] = {}
    for name in ("worker-1", "resolver"):
        signer = open_signer(f"file:{settings.home}/secrets/{name}.key")
        assert isinstance(signer, FileSigner)
        keys[name] = signer
    names = {"worker": "worker-1", "resolver": "resolver", "client": "client"}
    world = World(settings.home, settings, open_database(settings), open_store(settings.home), keys["worker-1"], keys["resolver"])
    world.tokens = {name: instance.token(file) for name, file in names.items()}
    return world


def listening(instance: Instance, name: str) -> None:
    """Wait until a server answers; one that ended, or a machine too slow for it, is told with its log."""
    port = instance.settings.port if name == "api" else instance.settings.worker_api_port
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and instance.processes[name].poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            with connection.getresponse() as answer:
                if answer.read():
                    return
        time.sleep(0.02)
    raise AssertionError(f"{name} does not answer on port {port}:\n{instance.log(name)}")


def start(instance: Instance, name: str, fail_at: str | None = None) -> None:
    instance.start(name, env={"REPROVE_FAIL_AT": fail_at} if fail_at else {})
    if name in ("api", "workerapi"):
        listening(instance, name)


def dies_at(instance: Instance, name: str, point: str) -> None:
    """The process (for gunicorn: its child) ended at the point; bring everything of it down and start it anew."""
    assert f"dying at crash point {point}" in instance.log(name)
    instance.kill(name)
    start(instance, name)


def rung(world: World, attempt: str) -> bool:
    return bool(world.sql("SELECT 1 FROM outbox WHERE attempt_id = ? AND dispatched IS NOT NULL", attempt))


def test_a_request_whose_answer_was_lost_is_there_once(instance: Instance) -> None:
    start(instance, "api", "accept.committed")
    body, headers = {"purl": PURL}, {"Idempotency-Key": "k"}
    with pytest.raises((OSError, http.client.HTTPException)):
        instance.call("POST", "/v1/requests", body, headers=headers)
    dies_at(instance, "api", "accept.committed")
    answer = instance.call("POST", "/v1/requests", body, headers=headers)
    assert answer.status == 202
    world = world_of(instance)
    assert [row.id for row in world.sql("SELECT id FROM rebuild")] == [answer.json["rebuild"]]
    assert len(world.sql("SELECT id FROM request")) == 1
    assert stuck(world.db) == []
    world.db.close()


@pytest.mark.parametrize("point", ["dispatch.enqueued", "dispatch.marked"])
def test_a_scheduler_that_dies_ringing_rings_once(instance: Instance, point: str) -> None:
    for name in ("redis", "api"):
        start(instance, name)
    rebuild = instance.post(PURL)
    start(instance, "scheduler", point)
    assert instance.wait_dead("scheduler") == 137
    world = world_of(instance)
    attempt = world.open_attempt(rebuild)
    assert rung(world, attempt) is (point == "dispatch.marked")
    start(instance, "scheduler")
    until(lambda: rung(world, attempt), 15)
    assert listed(instance) == [attempt]
    world.db.close()


def listed(instance: Instance) -> list[str]:
    from redis import Redis

    password = (instance.home / "secrets" / "redis-scheduler.password").read_text().strip()
    with Redis(unix_socket_path=str(instance.settings.sockets / "redis.sock"), username="scheduler", password=password) as redis:
        return [each.decode() for each in redis.lrange("rq:queue:resolve", 0, -1)]  # type: ignore[union-attr]


def working(instance: Instance, fail_at: str | None = None) -> tuple[World, Calls, str]:
    """A rebuild waiting to be claimed, and a worker api that will die at a point."""
    for name in ("redis", "api", "scheduler"):
        start(instance, name)
    start(instance, "workerapi", fail_at)
    world = world_of(instance)
    return world, Calls(world, instance.settings.worker_api_port), instance.post(PURL)


def blobs_and_resolution(api: Calls, lease: Lease) -> Envelope:
    for data in (b"original", b"source", b"page"):
        api.put(lease, data)
    return api.resolution(lease)


def test_a_claim_whose_answer_was_lost_is_followed_by_another_attempt(instance: Instance) -> None:
    world, api, rebuild = working(instance, "claim.committed")
    with pytest.raises((OSError, http.client.HTTPException)):
        api.claim(world.open_attempt(rebuild), "resolve")
    dies_at(instance, "workerapi", "claim.committed")
    until(lambda: [each["state"] for each in world.json(rebuild)["attempts"]] in (["lost", "waiting"], ["lost", "dispatched"]), 20)
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    assert lease.body["attempt"]["n"] == 2
    world.db.close()


def test_a_resolution_and_a_report_whose_answers_were_lost_are_taken_once(instance: Instance) -> None:
    world, api, rebuild = working(instance, "resolution.stored")
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    envelope = blobs_and_resolution(api, lease)
    with pytest.raises((OSError, http.client.HTTPException)):
        api.on(lease, "resolution", envelope.encode())
    instance.kill("workerapi")
    start(instance, "workerapi", "report.stored")
    assert api.on(lease, "resolution", envelope.encode()) == {"id": envelope.id}
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    report = api.report(lease)
    with pytest.raises((OSError, http.client.HTTPException)):
        api.on(lease, "report", report.encode())
    dies_at(instance, "workerapi", "report.stored")
    assert api.on(lease, "report", report.encode()) == {"id": report.id}
    assert [row.kind for row in world.sql("SELECT kind FROM report ORDER BY created")] == ["resolution", "report"]
    assert world.json(rebuild)["state"] == "attesting"
    world.db.close()


def test_a_blob_whose_answer_was_lost_is_put_again(instance: Instance) -> None:
    world, api, rebuild = working(instance, "blob.linked")
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    with pytest.raises((OSError, http.client.HTTPException)):
        api.put(lease, b"original")
    # the bytes are there, but without a row nobody reaches them
    assert world.store.has(sha256(b"original"))
    assert world.sql("SELECT * FROM blob") == []
    dies_at(instance, "workerapi", "blob.linked")
    api.put(lease, b"original", expect=200)
    assert [row.sha256 for row in world.sql("SELECT sha256 FROM blob")] == [sha256(b"original")]
    world.db.close()


def test_a_worker_that_dies_is_replaced_in_time_and_the_scheduler_may_die_too(instance: Instance) -> None:
    """Fast settings here (lease 3 s, reconciler 1 s); the default 15 + 5 s leave 10 s of 30 for the rest, which takes under two."""
    world, api, rebuild = working(instance)
    attempt = world.open_attempt(rebuild)
    until(lambda: rung(world, attempt), 10)
    api.claim(attempt, "resolve")
    lost = time.monotonic()
    instance.kill("scheduler")
    start(instance, "scheduler")
    # the dead scheduler's leadership lasts ten seconds more
    until(lambda: len(world.json(rebuild)["attempts"]) == 2 and rung(world, world.open_attempt(rebuild)), 30)
    assert time.monotonic() - lost < 10 + 3 + 1 + 1 + 2
    world.db.close()


@pytest.mark.soak
def test_at_default_settings_a_lost_worker_is_followed_within_thirty_seconds() -> None:
    with temporary_home() as home:
        defaults = {"heartbeat_seconds": 5, "lease_seconds": 15, "reconcile_seconds": 5}
        instance = make_instance(home, index_url="http://127.0.0.1:9/simple/", fetch_allow=("http://127.0.0.1:9",), **defaults)
        try:
            world, api, rebuild = working(instance)
            attempt = world.open_attempt(rebuild)
            until(lambda: rung(world, attempt), 10)
            api.on(api.claim(attempt, "resolve"), "heartbeat", {})
            lost = time.monotonic()
            until(lambda: len(world.json(rebuild)["attempts"]) == 2 and rung(world, world.open_attempt(rebuild)), 30)
            api.claim(world.open_attempt(rebuild), "resolve")
            assert time.monotonic() - lost < 30
            world.db.close()
        finally:
            instance.stop()


@pytest.mark.parametrize("name", ["scheduler", "workerapi"])
def test_sigterm_ends_a_process_with_zero_while_clients_hold_connections(instance: Instance, name: str) -> None:
    world, api, rebuild = working(instance)
    until(lambda: rung(world, world.open_attempt(rebuild)), 10)
    connection = http.client.HTTPConnection("127.0.0.1", instance.settings.worker_api_port, timeout=5)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    assert instance.terminate(name, 10) == 0
    connection.close()
    start(instance, name)
    api.claim(world.open_attempt(rebuild), "resolve")
    world.db.close()


def test_redis_may_be_away_at_accept_dispatch_and_finish(instance: Instance) -> None:
    start(instance, "api")
    start(instance, "workerapi")
    start(instance, "scheduler")
    world = world_of(instance)
    api = Calls(world, instance.settings.worker_api_port)
    rebuild = instance.post(PURL)
    time.sleep(0.5)
    attempt = world.open_attempt(rebuild)
    assert not rung(world, attempt)
    start(instance, "redis")
    until(lambda: rung(world, attempt), 15)
    lease = api.claim(attempt, "resolve")
    instance.kill("redis")
    (instance.settings.sockets / "redis.sock").unlink(missing_ok=True)
    api.on(lease, "resolution", blobs_and_resolution(api, lease).encode())
    second = world.open_attempt(rebuild)
    time.sleep(0.5)
    assert not rung(world, second)
    start(instance, "redis")
    until(lambda: rung(world, second), 15)
    assert stuck(world.db) == []
    assert instance.terminate("scheduler") == 0
    world.db.close()


@pytest.mark.parametrize("name", ["scheduler", "workerapi", "api"])
@pytest.mark.parametrize("harm", ["foreign", "newer", "missing", "crash point"])
def test_a_state_folder_that_is_not_ours_is_refused_at_start_in_one_line(instance: Instance, name: str, harm: str) -> None:
    world = world_of(instance)
    env: dict[str, str] = {}
    if harm == "foreign":
        (instance.home / "instance").write_text("ffffffffffffffff\n")
    elif harm == "newer":
        world.execute("UPDATE meta SET value = '999' WHERE key = 'schema'")
    elif harm == "missing":
        Path(world.db.path).unlink()
    else:
        env = {"REPROVE_FAIL_AT": "no.such.point"}
    world.db.close()
    instance.start(name, env=env)
    assert instance.wait_dead(name, 30) != 0
    log = instance.log(name)
    said = {"foreign": "refusing to mix", "newer": "start the newer program", "missing": "run `reprove init`", "crash point": "unknown crash point"}
    assert said[harm] in log
    assert "Traceback" not in log


def test_two_schedulers_have_one_leader_and_the_other_takes_over(instance: Instance) -> None:
    start(instance, "redis")
    start(instance, "scheduler")
    world = world_of(instance)
    until(lambda: len(world.sql("SELECT holder FROM lease")) == 1)
    (first,) = world.sql("SELECT holder FROM lease")
    second = replace(instance, processes={})
    second.start("scheduler")
    time.sleep(1.5)
    assert world.sql("SELECT holder FROM lease") == [first]
    assert instance.terminate("scheduler") == 0
    until(lambda: world.sql("SELECT holder FROM lease") not in ([first], []), 10)
    assert second.terminate("scheduler") == 0
    world.db.close()


def test_fifty_open_long_polls_and_sixteen_hanging_uploads_do_not_starve_a_heartbeat(instance: Instance) -> None:
    world, api, rebuild = working(instance)
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    open_sockets: list[http.client.HTTPConnection] = []
    try:
        for _ in range(50):
            poll = http.client.HTTPConnection("127.0.0.1", instance.settings.port, timeout=30)
            poll.request("GET", f"/v1/rebuilds/{rebuild}?wait=25&after=999999", headers={"Authorization": f"Bearer {world.tokens['client']}"})
            open_sockets.append(poll)
        for number in range(16):
            upload = http.client.HTTPConnection("127.0.0.1", instance.settings.worker_api_port, timeout=30)
            upload.putrequest("PUT", f"/w/v1/blobs/sha256:{sha256(str(number).encode())}")
            upload.putheader("Authorization", f"Bearer {world.tokens['resolver']}")
            upload.putheader("Reprove-Lease", lease.token)
            upload.putheader("Content-Length", "1000")
            upload.endheaders(b"x")
            open_sockets.append(upload)
        for _ in range(8):
            began = time.monotonic()
            api.on(lease, "heartbeat", {"events": [{"phase": "resolve", "status": "started"}]})
            assert time.monotonic() - began < 2
            time.sleep(0.3)
    finally:
        for each in open_sockets:
            each.close()
    assert world.json(rebuild)["attempts"][0]["state"] == "running"
    world.db.close()
