"""The README's first command as a new user runs it: as root, with separate accounts, on a real package, twice, interrupted, stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instance import REPOSITORY, temporary_home
from tests.ports import free_port
from workers import environments

pytestmark = [
    pytest.mark.docker,
    pytest.mark.index,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the quickstart makes accounts: root only"),
]

QUICKSTART = REPOSITORY / "deploy" / "quickstart"


class Quickstart:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port(3)

    def command(self, *arguments: str) -> list[str]:
        return [str(QUICKSTART), "--home", str(self.home), "--port", str(self.port), *arguments]

    def __call__(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REPROVE_")}
        return subprocess.run(
            self.command(*arguments), env=environment, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )


@pytest.fixture(scope="module")
def quickstart(test_cache: Path) -> Iterator[Quickstart]:
    """A quickstart in a new home; environments come from the cache, which a first run fills."""
    store = environments.EnvironmentStore(test_cache / "home")
    environments.make_environment(store, environments.load_spec(REPOSITORY / "deploy" / "environments" / "bookworm-python.yaml"))
    with temporary_home() as home:
        home.chmod(0o755)
        (home / "environments").symlink_to(test_cache / "home" / "environments")
        run = Quickstart(home)
        try:
            yield run
        finally:
            run("--stop")


def test_the_first_minute_ends_with_a_proof_that_is_verified_and_allowed(quickstart: Quickstart) -> None:
    done = quickstart()
    assert done.returncode == 0, done.stderr
    assert "REPRODUCED, bitwise" in done.stderr
    assert "verified with trust.json" in done.stderr
    assert "policy default: ALLOW" in done.stderr
    assert "not independent" in done.stderr
    assert "\x1b" not in done.stderr, "no control characters in a pipe"
    written = json.loads((quickstart.home / "quickstart.json").read_text())
    assert (written["outcome"], written["level"], written["verified"], written["decision"]) == ("reproduced", "bitwise", True, "allow")
    assert re.fullmatch("[0-9a-f]{64}", written["original"])
    assert written["original"] == written["rebuilt"]
    assert Path(written["evidence"]).exists()


def test_the_second_run_is_quick_and_rebuilds_again(quickstart: Quickstart) -> None:
    before = json.loads((quickstart.home / "quickstart.json").read_text())
    begun = time.monotonic()
    done = quickstart("--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["rebuild"] != before["rebuild"]
    assert time.monotonic() - begun < 60


def test_each_process_has_its_own_account_and_no_other_s_secret(quickstart: Quickstart) -> None:
    status = json.loads(quickstart("--status", "--json").stdout)
    users = {}
    for row in status["processes"]:
        assert row["state"] == "running", row
        pid = int((quickstart.home / "run" / f"{row['name']}.pid").read_text())
        users[row["name"]] = Path(f"/proc/{pid}").stat().st_uid
    assert users["worker-1"] == 0
    others = [uid for name, uid in users.items() if name != "worker-1"]
    assert len(set(others)) == len(others)
    assert 0 not in others
    for path, holder in (("attester.key", "attester"), ("log.key", "sequencer"), ("witness.key", "witness"), ("resolver.key", "resolver")):
        state = (quickstart.home / "secrets" / path).stat()
        assert (state.st_uid, state.st_mode & 0o777) == (users[holder], 0o400), path


def test_the_printed_environment_is_enough_for_the_client(quickstart: Quickstart) -> None:
    written = json.loads((quickstart.home / "quickstart.json").read_text())
    script = 'eval "$("$0" --home "$1" --env)" && reprove show "$2" && reprove gate --policy default "sha256:$3"'
    done = subprocess.run(
        ["bash", "-c", script, str(QUICKSTART), str(quickstart.home), written["rebuild"], written["original"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ALLOW" in done.stdout


def test_another_verdict_ends_with_one_and_bad_input_with_two(quickstart: Quickstart) -> None:
    unknown = quickstart("pkg:pypi/idna@99.99")
    assert unknown.returncode == 1
    assert "idna" in unknown.stderr
    malformed = quickstart("pkg:pypi/")
    assert malformed.returncode == 2
    assert "Traceback" not in unknown.stderr + malformed.stderr


def test_an_interrupted_run_can_be_run_again(quickstart: Quickstart) -> None:
    quickstart("--stop")
    running = subprocess.Popen(
        quickstart.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, stdin=subprocess.DEVNULL
    )
    time.sleep(4)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=30)
    done = quickstart("--json")
    assert done.returncode == 0, done.stderr


def test_stop_ends_every_process_and_keeps_the_state(quickstart: Quickstart) -> None:
    pids = [int(path.read_text()) for path in (quickstart.home / "run").glob("*.pid")]
    done = quickstart("--stop")
    assert done.returncode == 0
    assert "left running" in done.stderr
    alive = [pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]]
    assert alive == []
    assert (quickstart.home / "log" / "checkpoint").exists()
    assert "Nothing" in quickstart("--stop").stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--status",)])
def test_help_and_status_need_no_instance(quickstart: Quickstart, arguments: tuple[str, ...]) -> None:
    done = quickstart(*arguments)
    assert done.returncode == 0
    assert done.stdout
