"""The table of a corpus run: by backend how many reached which level, and the cause of every miss."""

from __future__ import annotations

import statistics
import sys
from collections import Counter

from rich.table import Table

from reprove.cli.terminal import console, out, safe, seconds
from reprove.core.outcomes import LEVEL_ORDER
from reprove.problems import Json

LEVELS = tuple(level.value for level in LEVEL_ORDER)
_ALWAYS = LEVELS[:2]


def summary(rows: list[Json], elapsed: float | None) -> None:
    """Print the tables; ``elapsed`` are the seconds of this run, None when it had nothing to do."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    shown = [level for level in LEVELS if level in _ALWAYS or any(row.get("level") == level for row in rows)]
    for name in ("backend", "wheels", *shown, "missed"):
        table.add_column(name, justify="left" if name == "backend" else "right")
    backends = Counter(str(row.get("backend", "unknown")) for row in rows)
    for backend, count in backends.most_common():
        table.add_row(safe(backend), str(count), *_levels([row for row in rows if row.get("backend", "unknown") == backend], shown))
    table.add_row("all", str(len(rows)), *_levels(rows, shown), style="bold")
    console(sys.stdout).print(table)
    misses = Counter(miss_of(row) for row in rows if row.get("level") not in LEVELS)
    if misses:
        out()
        causes = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for name in ("missed because", "wheels", "which"):
            causes.add_column(name, justify="right" if name == "wheels" else "left")
        for cause, count in misses.most_common():
            which = ", ".join(_name(row) for row in rows if row.get("level") not in LEVELS and miss_of(row) == cause)
            causes.add_row(safe(cause), str(count), safe(which, 400))
        console(sys.stdout).print(causes)
    _times(rows, elapsed)


def miss_of(row: Json) -> str:
    """Why a wheel is not reproduced: outcome and cause class, or the state it is in."""
    cause = row.get("cause") or {}
    head = row.get("outcome") or row.get("state") or "missing"
    return f"{head}: {cause.get('class')}" if cause.get("class") else str(head)


def _levels(rows: list[Json], shown: list[str]) -> tuple[str, ...]:
    reached = Counter(str(row.get("level")) for row in rows)
    return (*(str(reached[level]) for level in shown), str(len(rows) - sum(reached[level] for level in LEVELS)))


def _name(row: Json) -> str:
    return f"{row.get('project')} {row.get('version')}" if row.get("project") else str(row.get("purl"))


def _times(rows: list[Json], elapsed: float | None) -> None:
    totals = [float(row["total"]) for row in rows if isinstance(row.get("total"), (int, float))]
    if not totals:
        return
    phases = Counter[str]()
    for row in rows:
        for phase, value in (row.get("seconds") or {}).items():
            phases[phase] += value
    out()
    out(f"accepted to proof: median {seconds(statistics.median(totals))}, longest {seconds(max(totals))}")
    out("by phase, mean:    " + ", ".join(f"{safe(phase)} {seconds(value / len(totals))}" for phase, value in phases.items()))
    if elapsed:
        out(f"this run:          {seconds(elapsed)}, {len(totals) * 3600 / elapsed:.0f} artifacts an hour")
