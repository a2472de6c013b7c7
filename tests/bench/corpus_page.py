"""A corpus run as Markdown tables: ``python -m tests.bench.corpus_page RESULT``, a file that ``reprove corpus run --json`` wrote."""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from reprove.core.outcomes import LEVEL_ORDER

LEVELS = tuple(level.value for level in LEVEL_ORDER)


def verdict(row: dict[str, Any]) -> str:
    """The level, or the outcome with its cause class."""
    cause = row.get("cause") or {}
    return str(row["level"]) if row.get("level") else f"**{row.get('outcome') or row.get('state')}** {cause.get('class', '')}".strip()


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows), ""]


def by_backend(rows: list[dict[str, Any]]) -> list[str]:
    groups = [
        (str(name), [row for row in rows if row.get("backend") == name]) for name, _ in Counter(row.get("backend") for row in rows).most_common()
    ]
    lines: list[tuple[object, ...]] = []
    for name, group in [*groups, ("all", rows)]:
        levels = Counter(row.get("level") for row in group)
        missed = len(group) - sum(levels[level] for level in LEVELS)
        lines.append(("none named" if name == "no" else name, len(group), *(levels[level] for level in LEVELS), missed))
    return table(("backend", "wheels", *LEVELS, "missed"), lines)


def page(rows: list[dict[str, Any]]) -> str:
    missed = [row for row in rows if row.get("level") not in LEVELS]
    where = [(f"{row['project']} {row['version']}", (row.get("cause") or {}).get("class", ""), _place(row)) for row in missed]
    totals = [float(row["total"]) for row in rows if "total" in row]
    phases = Counter[str]()
    for row in rows:
        phases.update(row.get("seconds") or {})
    means = ", ".join(f"{name} {seconds / len(rows):.2f} s" for name, seconds in phases.items())
    lines = by_backend(rows) + table(("missed", "cause", "where"), where)
    if totals:
        lines += [f"Accepted to done: median {statistics.median(totals):.1f} s, longest {max(totals):.1f} s. By phase, mean: {means}.", ""]
    every = [(row["wheel"], row.get("backend", ""), verdict(row), f"{row.get('total', 0):.1f}") for row in rows]
    return "\n".join(lines + table(("wheel", "backend", "result", "seconds"), sorted(every)))


def _place(row: dict[str, Any]) -> str:
    """The member of the cause's detail, without the text of the package that follows."""
    words = str((row.get("cause") or {}).get("detail", "")).replace(":", " ").split()
    return next((f"`{word}`" for word in words if "/" in word and "//" not in word), "")


if __name__ == "__main__":
    print(page(json.loads(Path(sys.argv[1]).read_text())["wheels"]))
