"""What a hostile build leaves in its output volume, and that none of it is followed, waited for or believed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.sandbox.lab import MIB, Lab
from workers.sandbox import Collected, Engine, OutputRefusedError, OutputVolume, SandboxError, collect, mounts
from workers.sandbox.output import printable

pytestmark = pytest.mark.docker

ALLOW = ("result.json", "dist/*.whl")
HOSTILE = {
    "a symbolic link to a host's file": ("ln -s /etc/hostname /out/result.json", "a symbolic link"),
    "a symbolic link to the worker's environment": ("ln -s /proc/self/environ /out/result.json", "a symbolic link"),
    "a symbolic link where a folder belongs": ("ln -s /etc /out/dist", "a symbolic link"),
    "a link that goes nowhere": ("ln -s nowhere /out/result.json", "a symbolic link"),
    "a fifo": ("mkfifo /out/result.json", "a fifo"),
    "a socket": ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/out/result.json')\"", "a socket"),
    "a file with a second name": ("echo {} > /out/result.json; mkdir /out/dist; ln /out/result.json /out/dist/a.whl", "2 names"),
    "a set-uid file": ("echo {} > /out/result.json; chmod 4755 /out/result.json", "set-id"),
    "a file of holes": ("truncate -s 1M /out/result.json", "holes"),
    "100 GB of nothing": ("truncate -s 100G /out/result.json", "larger than allowed"),
    "more than is allowed": ("head -c 5M /dev/zero > /out/result.json", "larger than allowed"),
    "a name that nobody asked for": ("echo > /out/zz_hook.pth", "nothing by this name"),
    "a wheel in another folder": ("mkdir -p /out/dist/deep; echo > /out/dist/deep/a.whl", "nothing by this name"),
    "a name with a line break": ("mkdir /out/dist; touch \"/out/dist/a$(printf '\\nb').whl\"", "characters"),
    "a name with a terminal escape": ("mkdir /out/dist; touch \"/out/dist/$(printf '\\033[2J').whl\"", "characters"),
    "a name that is not UTF-8": ("mkdir /out/dist; touch \"/out/dist/$(printf '\\377').whl\"", "characters"),
    "a hidden file": ("mkdir /out/dist; touch /out/dist/.whl", "characters"),
    "too many files": ("mkdir /out/dist; cd /out/dist; for n in $(seq 300); do : > $n.whl; done", "too many"),
    "folders without end": ("mkdir -p /out/a/a/a/a/a/a/a/a/a/a/a/a", "deeper"),
    "a character device with number 0": ("python3 -c \"import os, stat; os.mknod('/out/result.json', stat.S_IFCHR | 0o600, 0)\"", "a device"),
}


@contextmanager
def left_behind(lab: Lab, script: str, **changed: Any) -> Iterator[OutputVolume]:
    with lab.engine.output_volume(16 * MIB) as volume:
        lab.shell(script, output=volume, **changed)
        yield volume


def taken(lab: Lab, volume: OutputVolume, **changed: Any) -> list[Collected]:
    values: dict[str, Any] = {"allow": ALLOW, "max_bytes": 4 * MIB, "destination": lab.folder / "taken", "engine": lab.engine, "max_entries": 200}
    return collect(volume, **{**values, **changed})


def test_what_was_asked_for_is_copied_once_and_named_by_its_digest(lab: Lab) -> None:
    with left_behind(lab, "mkdir /out/dist; echo {} > /out/result.json; printf wheel > /out/dist/demo-1.0-py3-none-any.whl") as volume:
        rows = taken(lab, volume)
    assert [(row.name, row.size) for row in rows] == [("dist/demo-1.0-py3-none-any.whl", 5), ("result.json", 3)]
    for row in rows:
        assert hashlib.sha256(row.path.read_bytes()).hexdigest() == row.sha256 == row.path.name


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_with_its_reason_and_without_waiting(lab: Lab, case: str) -> None:
    script, why = HOSTILE[case]
    with left_behind(lab, script) as volume:
        started = time.monotonic()
        with pytest.raises(OutputRefusedError, match=why) as refused:
            taken(lab, volume)
        assert time.monotonic() - started < 2
    assert refused.value.name.isprintable()
    assert refused.value.too_large == (why in ("larger than allowed", "too many"))
    assert not [path for path in (lab.folder / "taken").iterdir() if path.name.startswith(".")]


def test_a_reader_by_path_would_have_given_the_hosts_file(lab: Lab) -> None:
    """What the walk by descriptor is for: O_NOFOLLOW alone, on a whole path, still goes through a linked folder."""
    with left_behind(lab, "ln -s /etc /out/dist") as volume:
        descriptor = os.open(volume.path / "dist" / "hostname", os.O_RDONLY | os.O_NOFOLLOW)
        os.close(descriptor)
        with pytest.raises(OutputRefusedError):
            taken(lab, volume, allow=("dist/*",))


def test_a_child_that_rewrites_the_output_after_the_step_returned_is_dead_by_then(lab: Lab) -> None:
    script = "echo honest > /out/result.json; (setsid sh -c 'sleep 0.4; while :; do echo forged > /out/result.json; done' &) ; exit 0"
    with left_behind(lab, script) as volume:
        first = taken(lab, volume)
        time.sleep(1)
        assert (volume.path / "result.json").read_text() == "honest\n"
        assert taken(lab, volume) == first
    assert first[0].path.read_text() == "honest\n"


def test_the_output_outlives_a_build_that_was_killed(lab: Lab) -> None:
    with left_behind(lab, "echo partial > /out/result.json; sleep 60", limits={"time_s": 1}) as volume:
        assert taken(lab, volume)[0].path.read_text() == "partial\n"


def test_the_volume_is_bounded_and_carries_neither_programs_nor_set_uid(lab: Lab) -> None:
    script = "cp /usr/bin/id /out/id; chmod 6755 /out/id; /out/id -u; grep ' /out ' /proc/mounts; head -c 64M /dev/zero > /out/fill"
    with left_behind(lab, script) as volume:
        assert "Permission denied" in lab.text
        assert {"nosuid", "nodev", "noexec"} <= set(lab.text.split(" /out tmpfs ")[1].split()[0].split(","))
        assert "No space left" in lab.text
        assert volume.full
    assert not Path(volume.source).exists()


def test_without_root_an_engine_volume_does_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "can_mount", lambda: False)
    script = (
        "mkdir /out/dist; printf wheel > /out/dist/a.whl; echo {} > /out/result.json; cp /usr/bin/id /out/id; chmod 755 /out/id; /out/id; rm /out/id"
    )
    with left_behind(lab, f"{script}; head -c 64M /dev/zero > /out/fill; rm /out/fill; df /build /tmp") as volume:
        assert volume.kind == "holder"
        assert "Permission denied" in lab.text
        assert "No space left" in lab.text
        rows = taken(lab, volume)
    assert [(row.name, row.path.read_bytes()) for row in rows] == [("dist/a.whl", b"wheel"), ("result.json", b"{}\n")]
    assert not lab.engine.reap(set(), grace_s=0)


@pytest.mark.parametrize("case", [case for case in HOSTILE if case not in ("a file of holes", "folders without end", "a socket")])
def test_an_engine_volume_is_read_by_the_same_rules(lab: Lab, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "can_mount", lambda: False)
    with left_behind(lab, HOSTILE[case][0]) as volume, pytest.raises(OutputRefusedError):
        taken(lab, volume)


def test_what_goes_wrong_beside_a_volume_is_not_blamed_on_it(lab: Lab) -> None:
    with pytest.raises(FileNotFoundError), lab.engine.output_volume(MIB):
        (lab.folder / "missing").read_bytes()
    blocked = Engine(lab.engine.api, lab.engine.instance, scratch=lab.folder / "file" / "volumes")
    (lab.folder / "file").touch()
    with pytest.raises(SandboxError, match="a volume of 1048576 bytes"), blocked.output_volume(MIB):
        pytest.fail("there is no volume")


@given(st.text())
def test_a_name_is_shown_on_one_plain_line(name: str) -> None:
    shown = printable(name)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 200


@pytest.mark.skipif(not mounts.can_mount(), reason="mounts need root")
def test_volumes_come_and_go_in_many_threads_and_nothing_stays(lab: Lab) -> None:
    scratch = lab.folder / "reprove-test" / "volumes"
    engine = Engine(lab.engine.api, lab.engine.instance, scratch=scratch)

    def once(_: int) -> bool:
        with engine.output_volume(MIB) as volume:
            return os.path.ismount(volume.path.parent)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(once, range(200)))
    assert not scratch.parent.exists()
