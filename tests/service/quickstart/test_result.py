"""What the quickstart's last lines and its result file say of the outcome."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from reprove.cli import render
from service.quickstart import job
from service.quickstart.screen import Screen
from tests.cli.conftest import DIGEST, done
from tests.cli.test_cli_levels import CAUSES, PASSES, lower
from tests.cli.test_cli_terminal import hostile


def quickstart(capsys: pytest.CaptureFixture[str], body: dict[str, Any]) -> list[str]:
    settings = SimpleNamespace(origin="log.invalid", host="127.0.0.1", port=8710)
    verdict = job.Verdict(body, None, verified=True, why_not="", decision={"verdict": "deny"})
    capsys.readouterr()
    job._show(verdict, cast(Any, settings), Screen())
    return capsys.readouterr().err.splitlines()[1:]


def test_the_quickstart_shows_the_level_with_its_passes_and_five_causes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = quickstart(capsys, {**lower("normalized", passes=PASSES, unstamped="RECORD: too late"), "causes": CAUSES})
    assert lines[0].startswith("REPRODUCED, normalized by wheel-generator 1, wheel-record 2        original sha256:9c1e")
    assert lines[1:4] == ["  not stamped RECORD: too late", *render.causes({"causes": CAUSES})[:2]]
    assert sum(line.startswith("  cause-") for line in lines) == 3
    assert "  differs in what level normalized leaves out:" in lines
    assert quickstart(capsys, done())[0] == f"REPRODUCED, bitwise        original = rebuilt = sha256:{DIGEST}"
    assert all(
        line.isprintable() for line in quickstart(capsys, hostile({**lower("normalized", passes=PASSES), "inputs": [{"uri": "u", "sha256": "s"}]}))
    )


def test_the_quickstarts_result_has_passes_and_causes_as_lists() -> None:
    for body, passes, causes in ((lower("normalized", passes=PASSES), PASSES, CAUSES[:2]), (done(), [], [])):
        verdict = job.Verdict(body, None, verified=True, why_not="", decision={"verdict": "allow"})
        result = job._result({"url": "x"}, verdict)
        assert (result["level"], result["passes"], result["causes"]) == (body["level"], passes, causes)
