"""Helpers admit what the sequencer would admit itself, refuse the same, and nothing rests on their life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprove import signers
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError
from service.log.admission import admit
from service.log.admission_helper import LARGE_FRAME, Admission
from tests.bench.log_bench import Maker
from tests.service.log.harness import envelope

pytestmark = pytest.mark.slow


@pytest.fixture
def attester(tmp_path: Path) -> signers.FileSigner:
    return signers.generate(tmp_path / "attester.key")


@pytest.fixture
def admission(attester: signers.FileSigner) -> Iterator[Admission]:
    made = Admission(attester.public_key)
    yield made
    made.close()


def frame_of(tmp_path: Path, count: int) -> bytes:
    return Maker(tmp_path / "attester.key").frame(count)[4:]


def children() -> list[int]:
    lines = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "admission_helper"], check=False, capture_output=True, text=True).stdout
    return [int(line) for line in lines.split()]


def test_helpers_admit_the_same_as_the_sequencer_itself(admission: Admission, attester: signers.FileSigner) -> None:
    envelopes = [envelope(attester, number, padding=2000) for number in range(60)]
    documents = [one.as_json() for one in envelopes]
    frame = json.dumps({"op": "add", "envelopes": documents}).encode()
    assert len(frame) > LARGE_FRAME
    assert admission.is_large(frame)
    assert admission.admit_frame(frame) == admit(documents, attester.public_key)
    bad = [*documents[:-1], Envelope(envelopes[-1].payload + b" ", envelopes[-1].signatures).as_json()]
    with pytest.raises(ProblemError) as caught:
        admission.admit_frame(json.dumps({"op": "add", "envelopes": bad}).encode())
    assert (caught.value.problem.slug, caught.value.problem.pointer) == ("forbidden", "/envelopes/59")
    for junk in (b"x" * LARGE_FRAME, b"[" * LARGE_FRAME, json.dumps({"op": "prove", "x": "y" * LARGE_FRAME}).encode()):
        with pytest.raises(ProblemError):
            admission.admit_frame(junk)
    assert admission.admit_frame(frame)


def test_a_helper_that_dies_costs_speed_and_nothing_else(admission: Admission, tmp_path: Path) -> None:
    frame = frame_of(tmp_path, 60)
    admission.admit_frame(frame)
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    for _ in range(6):
        assert len(admission.admit_frame(frame)) == 60
    assert children() == []


def test_helpers_end_with_the_sequencer_even_when_it_is_killed(tmp_path: Path, attester: signers.FileSigner) -> None:
    program = (
        "import sys, time, os; from pathlib import Path; from reprove.core import keys; from service.log.admission_helper import Admission;"
        "a = Admission(keys.from_pem(Path(sys.argv[1]).read_text())); a.start(); print('up', flush=True); time.sleep(60)"
    )
    (tmp_path / "attester.pem").write_text(attester.public_key.pem)
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "attester.pem")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = subprocess.run(["pgrep", "-P", str(process.pid)], check=False, capture_output=True, text=True).stdout.split()
        assert found
        process.kill()
        process.wait()
    deadline = 100
    while deadline and any(Path(f"/proc/{pid}").exists() for pid in found):
        deadline -= 1
        time.sleep(0.05)
    assert deadline
