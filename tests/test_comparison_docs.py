"""docs/comparison.md is what a release manager reads: its tables are the code's."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprove.archive.model import Code
from reprove.compare.passes import registry
from reprove.core.outcomes import LEVEL_ORDER

PAGE = (Path(__file__).parents[1] / "docs" / "comparison.md").read_text()
LINES = frozenset(PAGE.splitlines())


@pytest.mark.parametrize("line", registry.table().splitlines())
def test_every_pass_has_its_line(line: str) -> None:
    assert line in LINES


def test_no_line_tells_of_a_pass_that_is_not_there() -> None:
    told = [line for line in PAGE.partition("## Passes")[2].partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert len(told) == len(registry.PASSES)


@pytest.mark.parametrize("code", Code)
def test_every_lint_code_is_told(code: Code) -> None:
    assert f"`{code.value}`" in PAGE.partition("## Lint codes")[2].partition("\n## ")[0]


@pytest.mark.parametrize("level", LEVEL_ORDER)
def test_every_level_is_told_with_an_example(level: object) -> None:
    assert any(line.startswith(f"| `{level}` |") for line in LINES)
