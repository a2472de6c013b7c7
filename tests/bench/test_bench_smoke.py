"""Each benchmark runs, in its tiniest size. How fast is the machine's and the hour's affair, and no test fails on it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.bench import accept_bench, corpus_page, decision_bench, log_bench, rebuild_bench


def numbers(figures: dict[str, Any]) -> list[float]:
    return [value for value in figures.values() if isinstance(value, int | float)]


@pytest.mark.slow
def test_the_benchmark_of_the_log_runs() -> None:
    figures = log_bench.run(0.5, clients=2, expected=2000)
    assert figures.entries > 0
    assert all(value >= 0 for value in asdict(figures).values())


@pytest.mark.slow
def test_the_benchmark_of_accepting_runs() -> None:
    figures = accept_bench.measure(0.5, 2)
    assert figures["accepted_per_second"] > 0
    assert figures["failures"] == []


@pytest.mark.slow
def test_the_benchmark_of_decisions_runs() -> None:
    figures = decision_bench.measure(total=300, seconds=0.2, rate=20, artifacts=280, decisions=1, decision_rate=1)
    assert (figures["lookups"], figures["decisions"]) == (4, 1)
    assert all(value >= 0 for value in numbers(figures))


@pytest.mark.slow
@pytest.mark.docker
def test_the_benchmark_of_rebuilds_runs(test_cache: Path) -> None:
    figures = rebuild_bench.measure(test_cache, runs=1, batch=2)
    assert {"recipe", "fetch", "build", "compare"} <= set(figures["phases_median_s"])
    assert figures["artifacts_per_hour_2_workers"] > 0
    assert all(value >= 0 for value in numbers(figures))


def test_the_page_of_a_corpus_run_counts_every_wheel_once_and_names_the_misses() -> None:
    names = {"project": "demo", "version": "1.0", "wheel": "demo-1.0-py3-none-any.whl", "total": 2.0, "seconds": {"build": 1.0}}
    cause = {"class": "mode", "detail": "demo/x.py: 644 in the original, 755 rebuilt"}
    rows = [
        {**names, "outcome": "reproduced", "level": "bitwise", "backend": "wheel"},
        {**names, "outcome": "reproduced", "level": "times-stamped", "backend": "wheel"},
        {**names, "outcome": "differs", "cause": cause, "backend": "hatchling"},
    ]
    text = corpus_page.page(rows)
    assert "| all | 3 | 1 | 1 | 0 | 0 | 0 | 1 |" in text
    assert "| demo 1.0 | mode | `demo/x.py` |" in text
