"""Work on hostile files ends in time, within its memory, and without a traceback, whatever it does."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from reprove.archive.limits import ArchiveError, LimitError
from reprove.cli.bounded import bounded

MEMORY = 256 * 1024**2


def run(work: Any, seconds: float = 5.0) -> Any:
    return bounded(work, seconds=seconds, memory=MEMORY)


def test_the_result_comes_back() -> None:
    assert run(lambda: {"level": None, "rows": list(range(5000))}) == {"level": None, "rows": list(range(5000))}


def fails(error: BaseException) -> Any:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    ("raised", "expected", "says"),
    [
        (LimitError("too deep"), LimitError, "too deep"),
        (ArchiveError("no zip"), ArchiveError, "no zip"),
        (FileNotFoundError(2, "No such file or directory", "x.whl"), FileNotFoundError, "x.whl"),
        (MemoryError(), LimitError, "256 MiB"),
        (RuntimeError("a bug"), LimitError, "a fault of the comparer: RuntimeError: a bug"),
    ],
)
def test_a_fault_inside_is_the_same_fault_outside(raised: BaseException, expected: type[Exception], says: str) -> None:
    with pytest.raises(expected, match=says):
        run(fails(raised))


def hang() -> Any:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def test_a_hang_that_ignores_signals_ends_at_the_deadline() -> None:
    begun = time.monotonic()
    with pytest.raises(LimitError, match="--timeout"):
        run(hang, seconds=0.3)
    assert time.monotonic() - begun < 3


def greedy() -> Any:
    kept = [bytes(16 * 1024**2) + b"x" for _ in range(64)]
    return {"size": len(kept)}


def test_memory_beyond_the_limit_is_a_limit() -> None:
    with pytest.raises(LimitError, match="memory"):
        run(greedy)


@pytest.mark.parametrize("how", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(3)])
def test_a_child_that_dies_is_a_limit_and_no_traceback(how: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LimitError, match="ended early"):
        run(how)
    assert "Traceback" not in capfd.readouterr().err


def test_what_it_left_in_temporary_files_is_removed_also_when_it_is_killed() -> None:
    left = Path(tempfile.gettempdir())
    before = set(left.glob("reprove-*"))

    def work() -> Any:
        (Path(tempfile.mkdtemp()) / "spool").write_bytes(b"x" * 1000)
        return hang()

    with pytest.raises(LimitError):
        run(work, seconds=0.3)
    assert set(left.glob("reprove-*")) == before


def test_an_answer_too_large_to_show_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprove.cli.bounded.MAX_ANSWER", 1000)
    with pytest.raises(LimitError, match="too large"):
        run(lambda: {"rows": "x" * 5000})
