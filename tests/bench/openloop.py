"""Open-loop load: a call each 1/rate seconds whatever the answers do, timed from when it was due, so that a slow answer hides no later one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def open_loop(rate: float, count: int, call: Callable[[int], object], *, threads: int = 16) -> list[float]:
    """Call ``call(number)`` ``count`` times; returns seconds from due to answered, in order. A call that raises ends the measurement."""
    began = time.perf_counter() + 0.2

    def one(number: int) -> float:
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        call(number)
        return time.perf_counter() - due

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(count)))


def percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds; of fewer than 100 values the 99th is the greatest."""
    if not seconds:
        return 0.0
    if percent == 50:
        return round(1000 * statistics.median(seconds), 1)
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)
