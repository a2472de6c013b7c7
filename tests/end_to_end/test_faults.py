"""kill -9 at every durable step: each rebuild ends in exactly one terminal state, each statement is logged once, nothing is left behind."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reprove.core.leaf import parse_leaf
from reprove.core.tiles import decode_bundle
from reprove.crashpoints import CRASH_POINTS
from tests.instance import Instance
from tests.sim.index import SimIndex
from tests.sim.packages import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PROCESS_OF = {
    "accept.committed": "api",
    "dispatch.enqueued": "scheduler",
    "dispatch.marked": "scheduler",
    "claim.committed": "workerapi",
    "resolve.signed": "resolver",
    "resolution.stored": "workerapi",
    "blob.linked": "workerapi",
    "rebuild.claimed": "worker-1",
    "rebuild.built": "worker-1",
    "report.signed": "worker-1",
    "report.stored": "workerapi",
    "attest.signed": "attester",
    "attest.persisted": "attester",
    "submit.answered": "attester",
    "record.committed": "attester",
    "log.staged": "sequencer",
    "log.committed": "sequencer",
    "log.tiles": "sequencer",
    "log.witnessed": "sequencer",
    "log.published": "sequencer",
    "witness.persisted": "witness",
}
OF_DECISIONS = {"decision.persisted": "attester", "decision.recorded": "attester"}


def test_no_listed_crash_point_is_without_a_test() -> None:
    assert set(PROCESS_OF) | set(OF_DECISIONS) == set(CRASH_POINTS)


def post_through_crashes(instance: Instance, purl: str, key: str) -> str:
    """Post as a client does: the same idempotency key until an answer comes."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = instance.call("POST", "/v1/requests", {"purl": purl, "force": True}, headers={"Idempotency-Key": key})
            assert answer.status == 202, answer.body
            return answer.headers["Location"].rsplit("/", 1)[1]
        if instance.processes.get("api") is None:
            instance.start("api")
        time.sleep(0.2)
    raise AssertionError(f"no answer\n{instance.logs()}")


def logged_digests(instance: Instance) -> list[str]:
    """The PAE digest of every leaf of the published log."""
    size = int(instance.call("GET", "/log/checkpoint").body.split(b"\n")[1])
    found = []
    for start in range(0, size, 256):
        width = min(256, size - start)
        name = f"{start // 256:03d}" + ("" if width == 256 else f".p/{width}")
        bundle = instance.call("GET", f"/log/tile/entries/{name}")
        assert bundle.status == 200, name
        found += [parse_leaf(entry).id for entry in decode_bundle(bundle.body)]
    return found


def assert_clean(instance: Instance) -> None:
    """No container, volume or mount of this instance is left, also not after the reaper's grace."""
    label = f"dev.reprove.instance={(instance.home / 'instance').read_text().strip()}"
    deadline = time.monotonic() + 20
    while True:
        containers = subprocess.run(["docker", "ps", "-aq", "--filter", f"label={label}"], capture_output=True, text=True, check=True).stdout.split()
        volumes = subprocess.run(
            ["docker", "volume", "ls", "-q", "--filter", f"label={label}"], capture_output=True, text=True, check=True
        ).stdout.split()
        with Path("/proc/mounts").open() as mounts:
            mounted = [line for line in mounts if (instance.home / "instance").read_text().strip() in line]
        if not containers and not volumes and not mounted:
            return
        assert time.monotonic() < deadline, (containers, volumes, mounted)
        time.sleep(0.5)


def assert_one_ending(instance: Instance, rebuild: dict[str, Any]) -> None:
    assert (rebuild["state"], rebuild["outcome"]) == ("done", "reproduced"), rebuild
    ids = [row["id"] for row in rebuild["attestations"]]
    logged = logged_digests(instance)
    assert [logged.count(one) for one in ids] == [1, 1], "each statement is logged exactly once"
    assert len(logged) == len(set(logged))
    found = instance.call("GET", f"/v1/attestations?digest=sha256:{rebuild['original']['sha256']}").json["items"]
    assert sorted(row["id"] for row in found) == sorted(ids)


@pytest.mark.parametrize("point", PROCESS_OF)
def test_a_process_that_dies_at_a_durable_step_leaves_exactly_one_outcome(instance: Instance, index: SimIndex, point: str) -> None:
    name = PROCESS_OF[point]
    purl = Project(f"crash{list(PROCESS_OF).index(point)}").publish(index)
    instance.terminate(name)
    instance.start(name, env={"REPROVE_FAIL_AT": point})
    if name == "api":
        instance.ready()
        with contextlib.suppress(OSError, http.client.HTTPException):
            instance.call("POST", "/v1/requests", {"purl": purl, "force": True}, headers={"Idempotency-Key": point})
    else:
        identifier = post_through_crashes(instance, purl, point)
    instance.wait_crash(name, point)
    instance.start(name)
    if name == "api":
        instance.ready()
        identifier = post_through_crashes(instance, purl, point)
    rebuild = instance.follow(identifier, timeout=60)
    instance.ready()
    assert_one_ending(instance, rebuild)
    assert_clean(instance)


@pytest.mark.parametrize("point", OF_DECISIONS)
def test_a_decision_is_logged_once_when_the_attester_dies_over_it(instance: Instance, index: SimIndex, point: str) -> None:
    purl = Project(f"decide{list(OF_DECISIONS).index(point)}").publish(index)
    digest = instance.follow(instance.post(purl, force=True))["original"]["sha256"]
    instance.terminate("attester")
    instance.start("attester", env={"REPROVE_FAIL_AT": point})
    before = len(logged_digests(instance))
    answer = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [{"sha256": digest}]})
    instance.wait_crash("attester", point)
    instance.start("attester")
    deadline = time.monotonic() + 30
    decision = answer.json
    while decision.get("verdict") != "allow":
        assert time.monotonic() < deadline, decision
        time.sleep(0.2)
        decision = instance.call("GET", f"/v1/decisions/{answer.json['id']}").json
    assert len(logged_digests(instance)) == before + 1


def test_an_emptied_redis_loses_nothing_in_any_phase(instance: Instance, index: SimIndex) -> None:
    """Redis loses everything each time that the rebuild enters another phase."""
    identifier = instance.post(Project("flushed", hook="import time; time.sleep(1)").publish(index), force=True)
    socket = str(instance.settings.sockets / "redis.sock")
    seen: set[tuple[str, str]] = set()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        state = instance.call("GET", f"/v1/rebuilds/{identifier}").json
        if state["state"] in ("done", "rejected", "cancelled"):
            break
        phase = (state["state"], state.get("phase", ""))
        if phase not in seen:
            seen.add(phase)
            flush_as_root(instance, socket)
        time.sleep(0.02)
    assert_one_ending(instance, instance.follow(identifier, timeout=5))
    assert len(seen) > 2, seen


def flush_as_root(instance: Instance, socket: str) -> None:
    """Empty Redis as its host could: kill it, remove its file, start it."""
    instance.kill("redis")
    for file in (instance.home / "redis" / "appendonlydir").glob("*"):
        file.unlink()
    instance.start("redis")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if subprocess.run(["redis-cli", "-s", socket, "ping"], capture_output=True, text=True, check=False).stdout:
            return
        time.sleep(0.05)


def test_a_request_is_accepted_while_redis_is_down_and_done_when_it_is_back(instance: Instance, index: SimIndex) -> None:
    instance.kill("redis")
    identifier = instance.post(Project("bellless").publish(index), force=True)
    time.sleep(2)
    assert instance.call("GET", f"/v1/rebuilds/{identifier}").json["state"] == "queued"
    instance.start("redis")
    assert_one_ending(instance, instance.follow(identifier, timeout=60))


def test_a_lost_worker_is_noticed_and_its_work_done_by_the_next(instance: Instance, index: SimIndex) -> None:
    project = Project("lost", hook="import time; time.sleep(6)")
    identifier = instance.post(project.publish(index), force=True)
    deadline = time.monotonic() + 30
    while instance.call("GET", f"/v1/rebuilds/{identifier}").json.get("phase") != "build":
        assert time.monotonic() < deadline, instance.logs()
        time.sleep(0.1)
    instance.kill("worker-1")
    instance.start("worker-1")
    rebuild = instance.follow(identifier, timeout=60)
    assert_one_ending(instance, rebuild)
    assert [row["state"] for row in rebuild["attempts"]][-2:] == ["lost", "reported"]
    assert_clean(instance)


@pytest.mark.parametrize("name", ["api", "workerapi", "scheduler", "resolver", "proxy", "worker-1", "attester", "sequencer", "witness"])
def test_sigterm_drains_within_ten_seconds(instance: Instance, name: str) -> None:
    begun = time.monotonic()
    code = instance.terminate(name, timeout=12)
    instance.start(name)
    assert code == 0, instance.log(name)
    assert time.monotonic() - begun < 10
    instance.ready()


def test_a_second_sequencer_on_one_log_refuses(instance: Instance) -> None:
    first = instance.processes.pop("sequencer")
    instance.start("sequencer")
    second = instance.processes.pop("sequencer")
    assert second.wait(15) != 0
    instance.processes["sequencer"] = first
    assert first.poll() is None
