"""What a step leaves is read as a hostile author's: its size before its bytes, its text as one printable line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reprove.core.digests import sha256
from reprove.core.outcomes import Outcome
from workers import steps
from workers.sandbox import Collected, ImageRef, Labels, Limits, StepResult
from workers.steps import MAX_RESULT, Bench, Ending

LIMITS = Limits(time_s=10, memory=1024**2, disk=64 * 1024**2, pids=8, log=1024)
ENDED = StepResult(
    exit_code=0, oom_killed=False, timed_out=False, cancelled=False, log_truncated=False, log_bytes=0, seconds=0.1, limit=None, facts={}
)


class _Engine:
    @contextlib.contextmanager
    def output_volume(self, _size: int, *, labels: Labels) -> Iterator[object]:  # the engine's signature
        yield SimpleNamespace()

    def run(self, _step: object) -> StepResult:
        return ENDED


def _bench(folder: Path) -> Bench:
    labels = Labels(rebuild="rb", attempt="at", lease="lease")
    return Bench(engine=cast(Any, _Engine()), labels=labels, outputs=folder, max_output=1 << 30, cancel=threading.Event(), on_log=lambda _: None)


def _build(folder: Path, monkeypatch: pytest.MonkeyPatch, collected: Collected) -> steps.Output | Ending:
    monkeypatch.setattr(steps, "collect", lambda *_a, **_k: [collected])
    return steps.run_build(_bench(folder), cast(ImageRef, None), folder, LIMITS, output="demo-1.0-py3-none-any.whl")


class _Unread(type(Path())):  # type: ignore[misc]  # the platform's own class of paths
    """A file that is never to be read."""

    def read_bytes(self) -> bytes:
        raise AssertionError("the worker reads what may be gigabytes")


def test_a_result_as_large_as_the_disk_never_enters_the_workers_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = Collected("result.json", sha256(b""), MAX_RESULT + 1, cast(Path, _Unread(tmp_path / "huge")))
    ended = _build(tmp_path, monkeypatch, huge)
    assert isinstance(ended, Ending)
    assert (ended.outcome, ended.cause.class_) == (Outcome.BUILD_FAILED, "output-refused")


def test_a_result_that_fits_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'{"needs":["flit_core"]}'
    (tmp_path / "result").write_bytes(data)
    output = _build(tmp_path, monkeypatch, Collected("result.json", sha256(data), len(data), tmp_path / "result"))
    assert isinstance(output, steps.Output)
    assert output.document == {"needs": ["flit_core"]}


def test_a_builds_text_becomes_one_printable_line() -> None:
    assert steps.line("a\x1b]0;title\x07\nDENY\u202e") == "a ]0;title  DENY "
    assert len(steps.line("x" * 1000)) == 400
