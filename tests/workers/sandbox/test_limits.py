"""Every ceiling, met on purpose: what ends, how soon, and what the result says. Timers and verdicts are the host's."""

from __future__ import annotations

import threading
import time

import pytest

from tests.workers.sandbox.lab import MIB, Lab
from workers.sandbox import Labels, SandboxError

pytestmark = pytest.mark.docker

FORK_BOMB = """
import os, time
while True:
    try: os.fork()
    except OSError: time.sleep(0.05)
"""
MEMORY_BOMB = "x = bytearray(1 << 29)\nfor i in range(0, len(x), 4096): x[i] = 1"
IGNORES_EVERYTHING = """
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.close(1); os.close(2)
while True: time.sleep(60)
"""


def test_a_command_that_ends_by_itself_is_ok_and_its_code_is_kept(lab: Lab) -> None:
    assert lab.run("true").ok
    result = lab.shell("echo out; echo err >&2; exit 3")
    assert (result.exit_code, result.limit, result.ok) == (3, None, False)
    assert sorted(lab.text.split()) == ["err", "out"]


@pytest.mark.slow
def test_a_fork_bomb_meets_the_pids_limit_and_is_killed_from_outside(lab: Lab) -> None:
    started = time.monotonic()
    result = lab.python(FORK_BOMB, limits={"time_s": 1.5, "pids": 64})
    assert (result.limit, result.exit_code, result.timed_out) == ("pids", 137, True)
    assert time.monotonic() - started < 10


def test_a_refused_fork_that_the_build_survives_is_no_limit(lab: Lab) -> None:
    script = "import os, time\ntry:\n  for _ in range(99):\n    if os.fork() == 0: time.sleep(1); os._exit(0)\nexcept OSError: print('refused')"
    result = lab.python(script, limits={"pids": 32})
    assert (lab.text, result.limit, result.exit_code) == ("refused\n", None, 0)


def test_a_memory_bomb_is_killed(lab: Lab) -> None:
    result = lab.python(MEMORY_BOMB)
    assert (result.limit, result.oom_killed, result.exit_code) == ("memory", True, 137)


def test_an_oom_killed_child_counts_although_the_step_exits_0(lab: Lab) -> None:
    result = lab.shell(f"python3 -c '{MEMORY_BOMB}'; exit 0")
    assert (result.exit_code, result.oom_killed, result.limit, result.ok) == (0, True, "memory", False)


@pytest.mark.parametrize("where", ["/build", "/tmp", "/out"])
def test_a_full_disk_is_enospc_and_not_an_oom_kill(lab: Lab, where: str) -> None:
    """The pages of a tmpfs count as memory, so the memory ceiling has to leave room for every volume to be full at once."""
    with lab.engine.output_volume(16 * MIB) as output:
        filled = "head -c 100M /dev/zero > /build/fill; head -c 100M /dev/zero > /out/fill; "
        result = lab.shell(f"{filled if where != '/build' else ''} head -c 100M /dev/zero > {where}/x", output=output, limits={"memory": 32 * MIB})
    assert "No space left on device" in lab.text
    assert (result.oom_killed, result.limit) == (False, "disk")


def test_inodes_run_out_before_the_host_does(lab: Lab) -> None:
    script = (
        "import os\nfor n in range(10**6):\n  try: open(f'/build/{n}', 'w').close()\n  except OSError as e: print(n, e.strerror); raise SystemExit(1)"
    )
    result = lab.python(script, limits={"disk": 16 * MIB})
    count, _, why = lab.text.strip().partition(" ")
    assert (why, result.limit) == ("No space left on device", "disk")
    assert int(count) < 4096


def test_shared_memory_is_bounded(lab: Lab) -> None:
    lab.shell("head -c 200M /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x")
    assert int(lab.text.split()[-1]) == 64 * MIB


@pytest.mark.slow
def test_a_hang_that_ignores_every_signal_and_hides_in_sessions_dies_at_its_deadline(lab: Lab) -> None:
    result = lab.python(IGNORES_EVERYTHING, limits={"time_s": 1})
    assert (result.limit, result.timed_out, result.exit_code) == ("time", True, 137)
    assert 1 <= result.seconds < 3


def test_daemons_left_behind_end_with_the_command(lab: Lab) -> None:
    """A double fork into a new session outlives its parent, not the container: the step ends when its command does."""
    script = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    time.sleep(60)\n  os._exit(0)\nprint('gone')"
    started = time.monotonic()
    assert lab.python(script).ok
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_a_build_that_stops_its_own_parent_cannot_outlive_the_deadline(lab: Lab) -> None:
    result = lab.shell("kill -STOP 1; kill -9 1; kill -STOP $$; sleep 60", limits={"time_s": 1})
    assert (result.limit, result.exit_code) == ("time", 137)


def test_cancelling_kills_at_once(lab: Lab) -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    result = lab.run("sleep", "60", cancel=cancel)
    assert (result.cancelled, result.limit, result.ok) == (True, None, False)
    assert result.seconds < 3


def test_a_log_over_its_cap_ends_the_step_and_is_cut_there(lab: Lab) -> None:
    result = lab.shell("yes")
    assert (result.limit, result.log_truncated, result.exit_code) == ("log", True, 137)
    assert len(b"".join(lab.log)) == MIB


@pytest.mark.slow
def test_300_mb_of_log_pass_through_and_leave_nothing_on_the_disk(lab: Lab) -> None:
    received = 0

    def count(part: bytes) -> None:
        nonlocal received
        received += len(part)

    result = lab.shell("head -c 300M /dev/zero", on_log=count, limits={"log": 400 * MIB, "time_s": 120})
    assert (result.ok, received, result.log_bytes) == (True, 300 * MIB, 300 * MIB)


def test_a_reader_that_fails_neither_blocks_the_build_nor_the_kill(lab: Lab) -> None:
    """An attached log that nobody reads blocks the build, and then the engine's kill as well: draining goes on whatever happens to the text."""

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    started = time.monotonic()
    with pytest.raises(SandboxError, match="keeping the log failed"):
        lab.shell("yes", on_log=full, limits={"log": 400 * MIB})
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_a_slow_reader_does_not_hold_up_the_deadline(lab: Lab) -> None:
    result = lab.shell("yes", on_log=lambda _: time.sleep(0.3), limits={"log": 400 * MIB, "time_s": 1})
    assert (result.limit, result.exit_code) == ("time", 137)
    assert result.seconds < 5


def test_text_in_the_log_decides_nothing(lab: Lab) -> None:
    """A build owns /proc/1/fd/1 and writes what it likes there: progress of ours, a digest, a success."""
    script = 'echo \'{"phase":"compare","outcome":"reproduced"}\' > /proc/1/fd/1; printf \'\\033[2J\\000\\377\' ; exit 7'
    result = lab.shell(script)
    assert "reproduced" in lab.text
    assert b"".join(lab.log).endswith(b"\x1b[2J\x00\xff"), "raw bytes are kept as they are"
    assert (result.exit_code, result.ok) == (7, False)


def test_a_command_that_does_not_exist_is_its_own_fault(lab: Lab) -> None:
    assert lab.run("no-such-program").exit_code == 127


def test_an_image_that_is_not_loaded_is_the_engines_fault(lab: Lab) -> None:
    lab.image = type(lab.image)("sha256:" + "0" * 64)
    with pytest.raises(SandboxError, match="404"):
        lab.run("true")


@pytest.mark.slow
def test_a_step_leaves_no_container_and_no_mount(lab: Lab, labels: Labels) -> None:
    lab.run("true", labels=labels)
    lab.run("sleep", "60", labels=labels, limits={"time_s": 0.3})
    with pytest.raises(SandboxError):
        lab.shell("yes", labels=labels, on_log=lambda _: 1 / 0)
    assert not lab.engine.reap(set(), grace_s=0)
    assert not list(lab.engine.scratch.glob("*"))
