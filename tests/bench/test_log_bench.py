"""The log's benchmark runs; how fast is the disk's and the hour's affair, and no test fails on it."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.bench import log_bench


@pytest.mark.slow
def test_the_benchmark_of_the_log_runs() -> None:
    figures = log_bench.run(0.5, clients=2, expected=2000)
    assert figures.entries > 0
    assert all(value >= 0 for value in asdict(figures).values())
