"""What a dead worker leaves is removed, what belongs to anybody else stays."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.sandbox.lab import MIB, Lab
from workers.sandbox import Engine, Labels, connect, mounts, profile
from workers.sandbox.client import EngineAnswerError
from workers.sandbox.volumes import host_tmpfs

pytestmark = pytest.mark.docker


def abandoned(lab: Lab, engine: Engine, lease: str) -> str:
    """A running container as a killed worker leaves it."""
    step = lab.step("sleep", "60", labels=Labels(lease=lease))
    config = profile.container_config(step, work=None, work_size=MIB, labels=engine.labels(step.labels))
    container = str(engine.api.call("POST", "/containers/create", body=config)["Id"])
    engine.api.call("POST", f"/containers/{container}/start")
    return container


def exists(engine: Engine, container: str) -> bool:
    try:
        engine.api.call("GET", f"/containers/{container}/json")
    except EngineAnswerError as error:
        if error.status != 404:
            raise
        return False
    return True


@pytest.fixture
def other(lab: Lab) -> Iterator[Engine]:
    """Another instance on the same engine."""
    client = connect()
    engine = Engine(client, secrets.token_hex(8), worker="tests", scratch=lab.folder / "other")
    yield engine
    engine.reap(set(), grace_s=0, everyone=True)
    client.close()


def test_a_dead_lease_loses_its_container_and_a_live_one_keeps_it(lab: Lab) -> None:
    dead, live = abandoned(lab, lab.engine, "dead"), abandoned(lab, lab.engine, "live")
    reaped = lab.engine.reap({"live"}, grace_s=0)
    assert reaped.containers == [dead[:12]]
    assert exists(lab.engine, live)
    assert lab.engine.reap(set(), grace_s=0).containers == [live[:12]]


def test_two_instances_on_one_engine_never_reap_each_other(lab: Lab, other: Engine) -> None:
    mine, theirs = abandoned(lab, lab.engine, "x"), abandoned(lab, other, "x")
    assert lab.engine.reap(set(), grace_s=0, everyone=True).containers == [mine[:12]]
    assert exists(other, theirs)
    assert other.reap(set(), grace_s=0, everyone=True).containers == [theirs[:12]]


def test_without_the_instance_in_the_filter_it_would_have_been_reaped(lab: Lab, other: Engine) -> None:
    """The label is the defence: an engine object that claims the other's instance does remove it."""
    theirs = abandoned(lab, other, "x")
    thief = Engine(lab.engine.api, other.instance, worker="tests")
    assert thief.reap(set(), grace_s=0).containers == [theirs[:12]]


def test_a_worker_leaves_its_colleagues_containers_alone_unless_told(lab: Lab) -> None:
    colleague = Engine(lab.engine.api, lab.engine.instance, worker="worker-2")
    theirs = abandoned(lab, colleague, "x")
    assert not lab.engine.reap(set(), grace_s=0)
    assert lab.engine.reap(set(), grace_s=0, everyone=True).containers == [theirs[:12]]


def test_what_is_younger_than_the_list_of_leases_stays(lab: Lab) -> None:
    container = abandoned(lab, lab.engine, "newer-than-the-list")
    assert not lab.engine.reap(set(), grace_s=30)
    assert exists(lab.engine, container)
    assert lab.engine.reap(set(), grace_s=0)


@pytest.mark.skipif(not mounts.can_mount(), reason="mounts need root")
def test_the_mount_of_a_killed_process_is_taken_away_and_a_running_ones_stays(lab: Lab) -> None:
    scratch = lab.folder / "volumes"
    engine = Engine(lab.engine.api, lab.engine.instance, worker="tests", scratch=scratch)
    script = f"""
import os, pathlib
from workers.sandbox import Labels
from workers.sandbox.volumes import host_tmpfs
context = host_tmpfs(pathlib.Path({str(scratch)!r}), size={MIB}, owner=1000, labels=Labels(lease="killed"), executable=False, names=("out",))
print(context.__enter__(), flush=True)
os.kill(os.getpid(), 9)
"""
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False, timeout=60)
    target = Path(killed.stdout.strip())
    assert os.path.ismount(target)
    with host_tmpfs(scratch, size=MIB, owner=1000, labels=Labels(lease="live"), executable=False, names=("out",)) as mine:
        assert engine.reap({"live"}, grace_s=0).mounts == [target.name]
        assert os.path.ismount(mine)
    assert not list(scratch.glob("*"))


def test_reaping_twice_at_once_is_harmless(lab: Lab) -> None:
    abandoned(lab, lab.engine, "x")
    assert lab.engine.reap(set(), grace_s=0)
    assert not lab.engine.reap(set(), grace_s=0)


@pytest.mark.slow
def test_a_killed_worker_leaves_nothing_after_one_round(lab: Lab) -> None:
    """The real thing: a process that dies in the middle of a step."""
    instance, scratch = lab.engine.instance, lab.folder / "volumes"
    script = f"""
import pathlib
from workers.sandbox import *
engine = Engine(connect(), {instance!r}, worker="doomed", scratch=pathlib.Path({str(scratch)!r}))
with engine.output_volume(1 << 20, labels=Labels(lease="l")) as out:
    print("ready", flush=True)
    limits = Limits(time_s=60, memory=1 << 26, disk=1 << 20)
    engine.run(Step(image=ImageRef({lab.image!r}), argv=("sleep", "60"), limits=limits, labels=Labels(lease="l"), output=out))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + 20
    query = {"filters": f'{{"label": ["dev.reprove.instance={instance}", "dev.reprove.worker=doomed"]}}'}
    while not lab.engine.api.call("GET", "/containers/json", query=query) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    process.stdout.close()
    engine = Engine(lab.engine.api, instance, worker="doomed", scratch=scratch)
    reaped = engine.reap(set(), grace_s=0)
    assert len(reaped.containers) == 1
    assert len(reaped.mounts) == (2 if mounts.can_mount() else 0)
    assert not list(scratch.glob("*"))
