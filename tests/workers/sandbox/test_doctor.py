"""``reprove doctor``: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from reprove.settings import Settings
from tests.sim.index import SimIndex
from tests.workers.sandbox.lab import made_environment
from workers.cli import doctor
from workers.cli.checks import Row, Status, host, state

pytestmark = pytest.mark.docker


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def diagnose(home: Path, monkeypatch: pytest.MonkeyPatch, **changed: str) -> tuple[int, dict[str, Any]]:
    monkeypatch.setenv("REPROVE_HOME", str(home))
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(doctor.command, ["--json"], standalone_mode=False)
    document = json.loads(result.stdout)
    return result.return_value, {row["name"]: row for row in document["checks"]}


def rows(check: Callable[[Settings], Any], **values: Any) -> list[Row]:
    return list(check(Settings(**values)))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "instance").write_text("0123456789abcdef\n")
    return tmp_path


def test_the_engine_is_looked_at_and_a_step_is_tried(home: Path, test_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_environment(test_cache)
    (home / "environments").symlink_to(made.home / "environments")
    code, found = diagnose(home, monkeypatch)
    assert found["engine"]["status"] == found["seccomp"]["status"] == found["sandbox"]["status"] == found["environments"]["status"] == "ok"
    assert "no network" in found["sandbox"]["detail"]
    assert code == 4, "no process of this instance runs"
    assert found["processes"]["remedy"].startswith("deploy/quickstart")


def test_an_engine_that_does_not_confine_is_found_out(home: Path, test_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_environment(test_cache)
    (home / "environments").symlink_to(made.home / "environments")
    monkeypatch.setattr(host, "PROBE", 'print(\'{"no network": false, "seccomp": true}\')')
    _, found = diagnose(home, monkeypatch)
    assert found["sandbox"] == {
        "name": "sandbox",
        "status": "fail",
        "detail": "a trial step is not confined as it must be: no network",
        "remedy": "do not run rebuilds on this engine",
    }


def test_no_engine_is_one_line_with_a_remedy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = diagnose(home, monkeypatch, DOCKER_HOST="unix:///nonexistent.sock")
    assert (found["engine"]["status"], "DOCKER_HOST" in found["engine"]["remedy"]) == ("fail", True)
    _, found = diagnose(home, monkeypatch, DOCKER_HOST="tcp://192.0.2.1:2375")
    assert "its own host" in found["engine"]["detail"]


def test_no_instance_ends_the_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, found = diagnose(tmp_path / "nothing", monkeypatch)
    assert (code, found["instance"]["status"]) == (4, "fail")
    assert "keys" not in found


def test_bad_settings_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, found = diagnose(home, monkeypatch, REPROVE_LEASE_SECONDS="soon")
    assert (code, "lease_seconds" in found["settings"]["detail"]) == (4, True)


def test_a_disk_below_its_floor_fails_and_says_what_can_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 3 * 1024**3))
    (row,) = rows(host.check_disk, home=home)
    assert (row.status, row.detail) == (Status.FAIL, "3.0 GiB free, floor 5.0 GiB: new requests get 507")
    assert "free space" in row.remedy


def test_limits_beyond_the_machines_memory_warn() -> None:
    assert rows(host.check_memory, limit_memory=2**50)[0].status is Status.WARN
    assert rows(host.check_memory, limit_memory=2**20, limit_disk=2**20)[0].status is Status.OK


def test_keys_that_others_can_read_or_that_are_gone_fail(home: Path) -> None:
    for name in ("log", "attester", "witness", "resolver", "worker-1"):
        (home / "secrets" / f"{name}.key").touch(0o400)
    assert rows(state.check_keys, home=home)[0].status is Status.OK
    (home / "secrets" / "log.key").chmod(0o444)
    (home / "secrets" / "worker-1.key").unlink()
    assert rows(state.check_keys, home=home)[0].detail == "log.key can be read by others (mode 0444); worker-1.key is missing"


def test_dead_processes_are_named(home: Path) -> None:
    for name in (*state.PROCESSES, "worker-1"):
        (home / "run" / f"{name}.pid").write_text(f"{os.getpid()}\n")
    assert rows(state.check_processes, home=home)[0].status is Status.OK
    (home / "run" / "attester.pid").write_text("999999999\n")
    assert rows(state.check_processes, home=home)[0].detail == "not running: attester"


def test_the_index_must_answer_with_upload_times(sim: SimIndex) -> None:
    sim.release("idna", "1.0")
    assert rows(state.check_index, index_pypi_url=sim.url, fetch_allow=sim.allow)[0].status is Status.OK
    assert rows(state.check_index, index_pypi_url=sim.url)[0].status is Status.FAIL, "a loopback index needs fetch_allow"
    assert rows(state.check_index, index_pypi_url="https://localhost:1/simple/", fetch_allow=("localhost:1",))[0].status is Status.FAIL
    assert "no canonical index" in rows(state.check_index)[0].detail


def test_a_clock_behind_its_own_files_fails(home: Path) -> None:
    assert rows(state.check_clock, home=home)[0].status in (Status.OK, Status.WARN)
    (home / "config.toml").touch()
    os.utime(home / "config.toml", (4e9, 4e9))
    assert rows(state.check_clock, home=home)[0].status is Status.FAIL


@pytest.mark.parametrize("text", ["", "garbage", "origin\n1\n!!!\n\n— x y\n"])
def test_a_checkpoint_that_cannot_be_read_is_found(home: Path, text: str) -> None:
    assert rows(state.check_log, home=home)[0].status is Status.WARN
    (home / "log").mkdir()
    (home / "log" / "checkpoint").write_text(text)
    assert rows(state.check_log, home=home)[0].status is Status.FAIL
