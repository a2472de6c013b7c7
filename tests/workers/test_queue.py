"""The doorbell: only two functions with one attempt id are ever run, whatever somebody writes into Redis."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from reprove.core.errors import ProblemError
from tests.sim.index import Fault, SimIndex
from tests.sim.workerapi import SimWorkerApi
from tests.workers.processes import REPOSITORY, RealRedis, make_home, running_redis, running_worker, until
from workers.queue import CheckedJob, check_data

ATTEMPT = "at-" + "a" * 20
KNOWN = {"workers.jobs.resolve": None}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(redis: RealRedis) -> Iterator[Any]:
    with redis.client() as connection:
        connection.flushall()
        yield connection


def write_job(client: Redis, data: bytes, *, attempt: str = ATTEMPT, queue: Any = "resolve", **fields: Any) -> None:
    """Write a job by hand, as somebody with a Redis password would."""
    row = {"data": data, "created_at": "2026-01-01T00:00:00.000000Z", "origin": queue, "status": "queued", "description": "x", **fields}
    client.hset(f"rq:job:{attempt}", mapping=row)
    client.sadd("rq:queues", f"rq:queue:{queue}")
    client.rpush(f"rq:queue:{queue}", attempt)


def good(attempt: str = ATTEMPT, name: str = "workers.jobs.resolve") -> Any:
    return json.dumps([name, None, [attempt], {}]).encode()


def test_the_one_allowed_shape_is_read_plain_and_compressed() -> None:
    assert check_data(good(), KNOWN) == ("workers.jobs.resolve", ATTEMPT)
    assert check_data(zlib.compress(good()), KNOWN) == ("workers.jobs.resolve", ATTEMPT)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(["os.system", None, ["true"], {}]).encode(),
        json.dumps(["workers.jobs.rebuild", None, [ATTEMPT], {}]).encode(),
        json.dumps(["workers.jobs.resolve", "os", [ATTEMPT], {}]).encode(),
        json.dumps(["workers.jobs.resolve", None, [ATTEMPT, 1], {}]).encode(),
        json.dumps(["workers.jobs.resolve", None, [], {}]).encode(),
        json.dumps(["workers.jobs.resolve", None, [ATTEMPT], {"x": 1}]).encode(),
        json.dumps(["workers.jobs.resolve", None, ["at-../../etc"], {}]).encode(),
        json.dumps(["workers.jobs.resolve", None, [ATTEMPT]]).encode(),
        json.dumps({"a": 1}).encode(),
        pickle.dumps(("os.system", None, ("true",), {})),
        zlib.compress(pickle.dumps(("os.system", None, ("true",), {}))),
        zlib.compress(b" " * 10**7),
        zlib.compress(good())[:-3],
        b"[" * 3000,
        b"x" * 5000,
        b"",
    ],
)
def test_every_other_shape_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, ProblemError)):
        check_data(data, KNOWN)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_check_fail_otherwise(data: bytes) -> None:
    with pytest.raises((ValueError, ProblemError)):
        check_data(data, KNOWN)


def test_fields_beside_the_data_are_dropped_unread(client: Redis) -> None:
    CheckedJob.functions = KNOWN
    callbacks = {f"{kind}_callback_name": "os.abort" for kind in ("success", "failure", "stopped")}
    write_job(
        client,
        good(),
        **callbacks,
        timeout="1",
        webhooks='[{"url": "http://127.0.0.1:1/"}]',
        result=pickle.dumps(1),
        dependency_ids='["x"]',
        retries_left="9",
    )
    job = CheckedJob.fetch(ATTEMPT, connection=client)
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    assert (job.timeout, job.result_ttl, job.retries_left, job.webhooks, job._dependency_ids) == (CheckedJob.seconds, 0, None, [], [])


@pytest.mark.parametrize("attempt", ["x", "at-" + "A" * 20, "at-" + "a" * 21, "../x", ""])
def test_an_id_that_is_no_attempt_does_not_exist(client: Redis, attempt: str) -> None:
    with pytest.raises(NoSuchJobError):
        CheckedJob.fetch(attempt, connection=client)


def attacks(marker: Path) -> Any:
    command = f"touch {marker}"
    return {
        "os.system": json.dumps(["os.system", None, [command], {}]).encode(),
        "compressed": zlib.compress(json.dumps(["os.system", None, [command], {}]).encode()),
        "pickle": pickle.dumps(("os.system", None, (command,), {})),
        "reduce": zlib.compress(pickle.dumps(_Reduce(command))),
        "keywords": json.dumps(["subprocess.run", None, [], {"args": ["touch", str(marker)]}]).encode(),
    }


class _Reduce:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self.command,)


STOCK = """
import sys
from redis import Redis
from rq import Worker, Queue
connection = Redis(unix_socket_path=sys.argv[1], username="resolver", password="resolver")
Worker(["resolve"], connection=connection, serializer=sys.argv[2]).work(burst=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "serializer"), [("os.system", "json"), ("compressed", "json"), ("reduce", "pickle")])
def test_a_stock_worker_runs_what_is_written_into_redis(client: Redis, redis: RealRedis, tmp_path: Path, name: str, serializer: str) -> None:
    """The attack works without the allow-list: that is what the next test is about."""
    marker = tmp_path / "marker"
    write_job(client, attacks(marker)[name])
    subprocess.run([sys.executable, "-c", STOCK, str(redis.socket), serializer], check=True, timeout=30, capture_output=True)
    assert marker.exists()


@pytest.mark.slow
def test_our_worker_runs_none_of_it_and_goes_on(client: Redis, redis: RealRedis, sim: SimIndex, api: SimWorkerApi, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    marker = tmp_path / "marker"
    for number, data in enumerate(attacks(marker).values()):
        write_job(client, data, attempt=f"at-{number:020}", failure_callback_name="os.abort", timeout="1")
    write_job(client, good("at-" + "b" * 20), attempt="at-" + "c" * 20)
    client.rpush("rq:queue:resolve", "no id", b"\xff\xfe")
    Queue("resolve", connection=client, serializer=JSONSerializer).enqueue("workers.jobs.resolve", ATTEMPT, job_id=ATTEMPT, unique=True)
    with worker(redis, home, sim, api) as process:
        until(lambda: api.ended, what="the resolution")
        assert process.poll() is None
    assert not marker.exists()
    assert process.returncode == 0
    assert [what for what, _ in api.ended] == ["resolution"]
    assert [call for call in api.calls if call.endswith("claims")] == ["POST /w/v1/claims"]
    assert client.keys("rq:job:*") == []
    assert (home / "resolve.log").read_text().count("refused a job") == 7


def worker(redis: RealRedis, home: Path, sim: SimIndex, api: SimWorkerApi, **settings: Any) -> Any:
    port = api.url.rpartition(":")[2]
    return running_worker(
        "resolve", home, run_dir=str(redis.socket.parent), worker_port=port, index_pypi_url=sim.url, fetch_allow=",".join(sim.allow), **settings
    )


def ring(client: Redis, attempt: str = ATTEMPT) -> Any:
    return Queue("resolve", connection=client, serializer=JSONSerializer).enqueue("workers.jobs.resolve", attempt, job_id=attempt, unique=True)


@pytest.mark.slow
def test_a_bell_that_rings_twice_claims_once(client: Redis, redis: RealRedis, sim: SimIndex, api: SimWorkerApi, tmp_path: Path) -> None:
    ring(client)
    with worker(redis, make_home(tmp_path / "home"), sim, api):
        until(lambda: api.ended)
        until(lambda: not client.keys("rq:job:*"), what="forgetting the job")
        ring(client)
        until(lambda: len([call for call in api.calls if call.endswith("claims")]) == 2)
    assert len(api.ended) == 1


@pytest.mark.slow
def test_an_idle_worker_ends_at_once_on_sigterm(client: Redis, redis: RealRedis, sim: SimIndex, api: SimWorkerApi, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with worker(redis, home, sim, api) as process:
        until(lambda: client.keys("rq:worker:*"), what="registration")
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert time.monotonic() - started < 3


@pytest.mark.slow
def test_a_busy_worker_gives_its_attempt_back_on_sigterm(client: Redis, redis: RealRedis, sim: SimIndex, api: SimWorkerApi, tmp_path: Path) -> None:
    sim.fail("/simple/", Fault.STATUS, 503)
    ring(client)
    with worker(redis, make_home(tmp_path / "home"), sim, api) as process:
        until(lambda: "/simple/demo/" in sim.asked, what="the attempt's work")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    ((what, body),) = api.ended
    assert what == "release"
    assert body["retry"] is True


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_within_ten_seconds_of_sigterm(
    client: Redis, redis: RealRedis, sim: SimIndex, api: SimWorkerApi, tmp_path: Path
) -> None:
    sim.fail("/simple/", Fault.SLOW, 60)
    ring(client)
    with worker(redis, make_home(tmp_path / "home"), sim, api) as process:
        until(lambda: "/simple/demo/" in sim.asked, what="the attempt's work")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert api.ended == []


@pytest.mark.slow
def test_redis_may_be_down_at_the_start_and_go_away_later(sim: SimIndex, api: SimWorkerApi, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    from tests.workers.processes import RealRedis

    redis = RealRedis(tmp_path / "r")
    try:
        with worker(redis, make_home(tmp_path / "home"), sim, api) as process:
            time.sleep(1.5)
            for attempt in (ATTEMPT, "at-" + "b" * 20):
                redis.start()
                api.claimable = True
                with redis.client() as client:
                    ring(client, attempt)
                until(lambda: api.ended, what="the attempt")
                api.ended.clear()
                assert process.poll() is None
                redis.stop()
    finally:
        redis.stop()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "flush"])
def test_an_attempt_goes_on_while_redis_is_gone_and_ends_once(sim: SimIndex, api: SimWorkerApi, tmp_path: Path, how: str) -> None:
    sim.fail("/simple/", Fault.SLOW, 2.5, times=1)
    home = make_home(tmp_path / "home")
    with running_redis(tmp_path) as redis, worker(redis, home, sim, api) as process:
        with redis.client() as client:
            ring(client)
            until(lambda: "/simple/demo/" in sim.asked, what="the attempt's work")
            if how == "flush":
                client.flushall()
        if how == "stop":
            redis.stop()
        until(lambda: api.ended, what="the attempt's end")
        if how == "stop":
            time.sleep(0.5)
            redis.start()
        api.claimable = True
        with redis.client() as client:
            ring(client, "at-" + "b" * 20)
        until(lambda: len(api.ended) == 2, what="the next attempt")
        assert process.poll() is None
    assert [what for what, _ in api.ended] == ["resolution", "resolution"]
    for line in (home / "resolve.log").read_text().splitlines():
        assert json.loads(line)["event"]


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda home: (home / "instance").unlink(), "reprove init"),
        (lambda home: (home / "secrets/resolver.token").unlink(), "reprove token create --role resolve"),
        (lambda home: (home / "secrets/redis-resolver.password").unlink(), "reprove init"),
        (lambda home: (home / "secrets/resolver.key").chmod(0o444), "can be read by others"),
        (lambda home: (home / "config.toml").write_text('index_pypi_url = "http://index.example/simple/"'), "not listed in fetch_allow"),
        (lambda home: (home / "config.toml").write_text(""), "index_pypi_url is not set"),
        (lambda home: (home / "config.toml").write_text('fetch_allow = ["nonsense"]\nindex_pypi_url = "http://x.example/"'), "fetch_allow"),
        (
            lambda home: (
                (home / "config.toml").write_text('deployment = "split"\nindex_pypi_url = "https://x.example/simple/"')
                and (home / "secrets/attester.key").write_text("x")
            ),
            "deployment is split",
        ),
        (lambda home: (home / "config.toml").write_text("surprise = 1"), "unknown setting"),
    ],
)
def test_a_configuration_that_voids_a_guarantee_is_refused_with_one_line(tmp_path: Path, break_it: Any, says: str) -> None:
    home = make_home(tmp_path / "home")
    (home / "config.toml").write_text('index_pypi_url = "https://index.example/simple/"')
    break_it(home)
    environment = {"REPROVE_HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        [sys.executable, "-m", "workers.main", "resolve"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert found.returncode == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_job_of_rq_itself_is_one_that_we_accept(client: Redis) -> None:
    """What the scheduler enqueues is what the worker reads: no drift between the two."""
    CheckedJob.functions = KNOWN
    ring(client)
    assert isinstance(CheckedJob.fetch(ATTEMPT, connection=client), Job)
