"""Each benchmark runs, in its tiniest size (the log's: ``test_log_bench.py``). How fast is the machine's affair, and no test fails on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import accept_bench, decision_bench, rebuild_bench


def numbers(figures: dict[str, Any]) -> list[float]:
    return [value for value in figures.values() if isinstance(value, int | float)]


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
