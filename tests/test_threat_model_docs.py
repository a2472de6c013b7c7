"""The page of threats stays true: every test that it names exists, and everything that this release promises to withstand has a row."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

ATTACKS = [
    *("echo-requirement", "echo-source", "redis-os-system", "redis-pickle", "report-unenrolled", "resolution-unenrolled"),
    *("other-lease", "late-report", "replayed-report", "report-blobs", "original-as-rebuilt", "row-outcome", "row-resolution"),
    *("row-verdict", "fake-world", "zip-overlap", "covert-times", "purl-change", "purl-prefix", "lenient-policy"),
    *("exfiltrate-build", "exfiltrate-fetch", "host-port", "output-symlink", "output-dirlink", "output-hardlink"),
    *("output-fifo", "output-sparse", "output-rewritten", "forged-progress", "fork-bomb", "memory-bomb", "disk-bomb", "hang"),
    "long-polls",
]
BAD_INPUT = [
    *("unknown-names", "yanked", "not-attemptable", "malformed-purl", "malformed-json", "bad-index", "redis-down"),
    *("no-engine", "full-disk", "bad-token", "bad-policy", "bad-evidence", "find-links", "foreign-folder"),
]
FAULTS = [
    *("kill", "flushall", "duplicate", "lost-worker", "sigterm", "two-sequencers"),
]


@cache
def names_in(path: str) -> frozenset[str]:
    file = REPOSITORY / path
    if not file.is_file():
        return frozenset()
    found = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but headings and rules."""
    lines = text.splitlines()
    heads = {number for number, line in enumerate(lines) if number + 1 < len(lines) and lines[number + 1].startswith("|---")}
    table = [line for number, line in enumerate(lines) if line.startswith("| ") and number not in heads]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


@pytest.mark.parametrize("named", sorted({"::".join(found) for found in NAMED.findall(PAGE)}))
def test_a_test_that_the_page_names_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert name.startswith("test_")
    assert name in names_in(path), f"docs/threat-model.md names {named}, which does not exist"


@pytest.mark.parametrize(("title", "expected"), [("Attacks", ATTACKS), ("Bad input", BAD_INPUT), ("Faults", FAULTS)])
def test_every_promise_has_one_row_with_a_test(title: str, expected: list[str]) -> None:
    found = rows(section(title))
    assert [row[0] for row in found] == expected
    for row in found:
        assert NAMED.search(row[2]), f"{row[0]} has no test"


def test_every_boundary_says_who_what_stops_him_what_attacks_it_and_what_is_left() -> None:
    found = rows(section("Boundaries"))
    assert len(found) > 30
    for row in found:
        assert len(row) == 4, row
        assert all(row), row
        assert NAMED.search(row[2]), row


def test_what_looks_like_the_name_of_a_test_is_one() -> None:
    """A reference that the pattern does not match would never be checked."""
    assert PAGE.count("::") == len(NAMED.findall(PAGE))


def test_what_is_not_defended_is_said() -> None:
    text = section("What is not defended")
    for subject in (
        "Docker is root",
        "SQLite cannot separate roles",
        "Rows can be hidden",
        "lies about having built",
        "hides the artifact",
        "witness is not",
        "snapshot",
    ):
        assert subject in text
