"""Packages that attack while they are built: each ends with its own cause, nothing is left on the engine, and others are built as ever.

All of them are posted at once and built by two workers; small limits make that quick.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.test_faults import assert_clean
from tests.instance import REPOSITORY, Instance, make_instance, temporary_home
from tests.sim import hostile
from tests.sim.hostile import Attack
from tests.sim.index import SimIndex
from tests.sim.packages import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MIB = 1024**2
LIMITS = {"limit_time": 12, "limit_pids": 64, "limit_disk": 64 * MIB, "limit_memory": 256 * MIB, "limit_log": MIB}
BAD = (*hostile.REFUSED_OUTPUT, *hostile.BOMBS)
TIMEOUT = 240


class Listener:
    """Ports of this host, on every address, that write down who came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._stream, self._datagram = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self._stream.bind(("0.0.0.0", 0))  # reachable on purpose: the test is that nobody comes
        self.port = int(self._stream.getsockname()[1])
        self._datagram.bind(("0.0.0.0", self.port))  # the same
        self._stream.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._receive, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, address = self._stream.accept()
                self.seen.append((str(address), connection.recv(1000)))
                connection.close()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, address = self._datagram.recvfrom(1000)
                self.seen.append((str(address), data))

    def close(self) -> None:
        self._stream.close()
        self._datagram.close()


def own_addresses() -> tuple[str, ...]:
    """Loopback, this host's addresses and the usual address of the engine's bridge."""
    listed = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return tuple(dict.fromkeys([*re.findall(r"inet (\d+\.\d+\.\d+\.\d+)", listed), "172.17.0.1"]))


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stopped(index: SimIndex, environments_folder: Path) -> Iterator[Instance]:
    with temporary_home() as home:
        instance = make_instance(home, index_url=index.url, fetch_allow=index.allow, workers=2, candidates=1, **LIMITS)
        (home / "environments").rmdir()
        (home / "environments").symlink_to(environments_folder)
        try:
            yield instance
        finally:
            instance.stop()


@pytest.fixture(scope="module")
def posted(instance: Instance, index: SimIndex, listener: Listener) -> dict[str, str]:
    """Every hostile package, an honest one now and then between them, as rebuilds under way."""
    hooks = {attack.name: attack.hook_for(f"{attack.name}-1.0-py3-none-any.whl") for attack in BAD}
    hooks |= {
        "prober": hostile.prober(listener.port, own_addresses()),
        "forger": hostile.FORGED_LINES,
        "rewriter": hostile.REWRITER.replace("{wheel}", "rewriter-1.0-py3-none-any.whl"),
        "lingerer": hostile.DAEMON.replace("{wheel}", "lingerer-1.0-py3-none-any.whl"),
    }
    found = {}
    for number, (name, hook) in enumerate(hooks.items()):
        found[name] = instance.post(Project(name, hook=hook).publish(index))
        if number % 8 == 0:
            found[f"bystander{number}"] = instance.post(Project(f"bystander{number}").publish(index))
    return found


def log_of(instance: Instance, rebuild: str) -> bytes:
    return instance.call("GET", f"/v1/rebuilds/{rebuild}/log").body


@pytest.mark.parametrize("attack", BAD, ids=[attack.name for attack in BAD])
def test_an_attack_from_inside_a_build_ends_with_its_own_cause(instance: Instance, posted: dict[str, str], attack: Attack) -> None:
    result = instance.follow(posted[attack.name], TIMEOUT)
    assert result["outcome"] == attack.outcome, (result.get("cause"), log_of(instance, result["id"])[-2000:])
    assert attack.cause in (None, result["cause"]["class"]), result["cause"]
    assert attack.says in result["cause"]["detail"]
    assert "level" not in result
    assert [row["reason"] for row in result["attempts"] if row.get("reason")] == [], "no attack costs an attempt or a worker"


def test_a_build_reaches_no_port_of_the_host_no_name_no_secret_and_no_engine(instance: Instance, posted: dict[str, str], listener: Listener) -> None:
    result = instance.follow(posted["prober"], TIMEOUT)
    log = log_of(instance, result["id"]).decode()
    assert result["outcome"] == "reproduced", log
    assert "PROBE reached []" in log
    assert listener.seen == []
    tried = dict(re.findall(r"PROBE (/\S+) (.*)", log))
    assert len(tried) == 11
    assert {path for path, answer in tried.items() if not answer.endswith("Error")} <= {"/sys/kernel/security"}, tried
    assert "made" not in re.sub(r"PROBE environ.*", "", log)
    secrets = [file.read_text().strip() for file in (instance.home / "secrets").iterdir() if file.suffix in (".token", ".password")]
    assert secrets
    assert not any(secret in log for secret in secrets)
    assert "REPROVE" not in log.replace("REPRODUCED", "")
    assert str(instance.home) not in log


def test_the_same_probe_reaches_the_port_where_nothing_contains_it(listener: Listener) -> None:
    """The attack is real: outside of the sandbox the same code gets through."""
    probe = hostile.prober(listener.port, ("127.0.0.1",))
    before = len(listener.seen)
    done = subprocess.run([sys.executable, "-c", probe], env={}, capture_output=True, text=True, check=True, timeout=60)
    assert "PROBE reached ['127.0.0.1']" in done.stdout
    assert len(listener.seen) > before
    listener.seen.clear()


def test_forged_progress_in_the_log_is_text_and_reaches_no_terminal_as_control(instance: Instance, posted: dict[str, str]) -> None:
    result = instance.follow(posted["forger"], TIMEOUT)
    assert (result["outcome"], result["level"]) == ("reproduced", "bitwise")
    events = instance.call("GET", f"/v1/rebuilds/{result['id']}/events").json["items"]
    assert not any("forged" in event["detail"] or "evil" in event["detail"] for event in events)
    assert {event.get("candidate") for event in events} <= {None, 1}
    raw = log_of(instance, result["id"])
    assert b"\x1b]0;pwned\x07" in raw, "the log itself keeps what was said"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "REPROVE_URL": instance.url, "REPROVE_TOKEN": instance.token()}
    shown = subprocess.run(
        [sys.executable, "-m", "reprove.cli.main", "logs", result["id"]],
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=REPOSITORY,
    )
    assert shown.returncode == 0, shown.stderr
    assert b"candidate 7" in shown.stdout
    text = shown.stdout.decode()
    assert [character for character in text if not character.isprintable() and character not in "\n\t"] == []


def test_output_rewritten_after_the_steps_returned_is_judged_as_it_was_when_everything_was_dead(instance: Instance, posted: dict[str, str]) -> None:
    result = instance.follow(posted["rewriter"], TIMEOUT)
    assert result["outcome"] in ("differs", "ambiguous-archive", "reproduced")
    blob = instance.home / "blobs" / "sha256" / result["rebuilt"]["sha256"][:2] / result["rebuilt"]["sha256"]
    kept = blob.read_bytes()
    assert (result["outcome"] == "reproduced") == (result["rebuilt"]["sha256"] == result["original"]["sha256"])
    assert result["outcome"] == "reproduced" or kept.startswith(b"PKevil")


def test_a_daemon_dies_with_its_build(instance: Instance, posted: dict[str, str]) -> None:
    assert instance.follow(posted["lingerer"], TIMEOUT)["outcome"] == "reproduced"


def test_who_is_built_beside_and_after_them_is_reproduced_as_ever(instance: Instance, posted: dict[str, str], index: SimIndex) -> None:
    beside = [instance.follow(rebuild, TIMEOUT) for name, rebuild in posted.items() if name.startswith("bystander")]
    after = instance.follow(instance.post(Project("afterwards").publish(index)), TIMEOUT)
    for result in (*beside, after):
        assert (result["outcome"], result.get("level")) == ("reproduced", "bitwise"), result
        assert [row["state"] for row in result["attempts"]] == ["reported", "reported"]


def test_nothing_of_them_is_left_on_the_engine(instance: Instance, posted: dict[str, str]) -> None:
    for rebuild in posted.values():
        instance.follow(rebuild, TIMEOUT)
    assert_clean(instance)
    assert all(process.poll() is None for process in instance.processes.values()), instance.logs()


def test_stopped_all_at_once_every_process_ends_by_itself_within_ten_seconds(instance: Instance, posted: dict[str, str]) -> None:
    """As ``--stop`` does it: Redis is gone before the workers have said farewell to it."""
    for rebuild in posted.values():
        instance.follow(rebuild, TIMEOUT)
    began = time.monotonic()
    for process in instance.processes.values():
        process.terminate()
    codes = {name: process.wait(15) for name, process in instance.processes.items()}
    assert codes == dict.fromkeys(codes, 0)
    assert time.monotonic() - began < 10
    instance.processes.clear()
