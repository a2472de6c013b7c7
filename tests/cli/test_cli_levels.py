"""How levels, passes and causes are shown: the verdict with what it rests on, five causes, then what was left out; never more than is so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprove.cli.main import exit_code_of
from reprove.core.outcomes import Level
from reprove.core.statements.parts import CauseHint, Pass
from tests.cli.conftest import DIGEST, REBUILD, Fake, Ran, Reply, done
from tests.cli.test_cli_terminal import hostile, on_a_terminal
from tests.core.world import FILE, NAME, World

Run = Callable[..., Ran]
OTHER = "41aa" * 16
PASSES = [{"id": "wheel-generator", "version": "1"}, {"id": "wheel-record", "version": "2"}]
CAUSES = [
    {"id": "build-backend", "certainty": "likely", "fix": "pin flit_core==3.9.0", "detail": "Generator: flit 3.9.0", "count": 2},
    {"id": "archive-times", "certainty": "proved", "fix": "set SOURCE_DATE_EPOCH", "count": 1},
    *({"id": f"cause-{number}", "certainty": "unexplained"} for number in range(3, 8)),
]
ROWS = [{"path": "demo/x.py", "field": "time", "old": "2020", "new": "2021", "offset": 12}]


def lower(level: str, **more: Any) -> dict[str, Any]:
    return done(level=level, rebuilt={"sha256": OTHER}, causes=CAUSES[:2], differences=ROWS, recipe={"origin": "inferred"}, **more)


def shown(fake: Fake, run: Run, body: dict[str, Any], *arguments: str) -> list[str]:
    fake.scripts[f"GET /v1/rebuilds/{REBUILD}"] = Reply({"id": REBUILD, **body})
    return run("show", REBUILD, *arguments).out.splitlines()


def test_a_lower_level_is_shown_with_its_passes_then_causes_then_what_was_left_out(fake: Fake, run: Run) -> None:
    lines = shown(fake, run, lower("normalized", passes=PASSES, unstamped="RECORD: after the upload"))
    assert lines[0].startswith("REPRODUCED, normalized by wheel-generator 1, wheel-record 2   original sha256:9c1e")
    assert lines[2:] == [
        "  not stamped RECORD: after the upload",
        "  build-backend              likely       2 differences   Generator: flit 3.9.0",
        "                             fix: pin flit_core==3.9.0",
        "  archive-times              proved       1 difference",
        "                             fix: set SOURCE_DATE_EPOCH",
        "  differs in what level normalized leaves out:",
        "  time           demo/x.py   2020 → 2021   at byte 12",
        f"  log index 7.   reprove show {REBUILD}   reprove evidence {REBUILD} -o evidence.json",
    ]


def test_canonical_has_no_passes_to_show(fake: Fake, run: Run) -> None:
    assert shown(fake, run, lower("canonical"))[0].startswith("REPRODUCED, canonical   original sha256:9c1e")


def test_only_equal_bytes_are_shown_as_one_digest_and_nothing_is_called_bit_for_bit(fake: Fake, run: Run) -> None:
    for level, passes in (("bitwise", None), ("canonical", None), ("normalized", PASSES), ("semantic", PASSES)):
        body = done() if level == "bitwise" else lower(level, **({"passes": passes} if passes else {}))
        text = "\n".join(shown(fake, run, body))
        assert ("original = rebuilt" in text) == (level == "bitwise")
        assert "bit for bit" not in text
        assert ("bitwise" in text) == (level == "bitwise")


def test_times_stamped_looks_as_it_did(fake: Fake, run: Run) -> None:
    lines = shown(fake, run, done(level="times-stamped", rebuilt={"sha256": OTHER}, causes=[], differences=[], findings=[]))
    assert lines == [
        f"REPRODUCED, times-stamped   original sha256:{DIGEST[:12]}…   rebuilt sha256:{OTHER[:12]}…",
        "  pkg:pypi/demo@1.0?file_name=demo.whl",
        f"  log index 7.   reprove show {REBUILD}   reprove evidence {REBUILD} -o evidence.json",
    ]


def test_five_causes_are_enough_for_a_screen(fake: Fake, run: Run) -> None:
    lines = shown(fake, run, done("differs", causes=CAUSES, differences=ROWS))
    assert [line.split()[0] for line in lines if "likely" in line or "proved" in line or "unexplained" in line] == [
        "build-backend",
        "archive-times",
        "cause-3",
        "cause-4",
        "cause-5",
    ]
    assert "  … and 2 more causes (--json)" in lines
    assert not any("leaves out" in line for line in lines)


def test_a_long_list_of_passes_is_cut_on_the_screen_and_whole_as_json(fake: Fake, run: Run) -> None:
    many = [{"id": f"pass-{number}", "version": "1"} for number in range(12)]
    assert "pass-7 1 and 4 more   original" in shown(fake, run, lower("normalized", passes=many))[0]
    whole = json.loads("\n".join(shown(fake, run, lower("normalized", passes=many), "--json")))
    assert (whole["passes"], whole["causes"]) == (many, CAUSES[:2])


def test_odd_passes_and_causes_are_shown_as_nothing_rather_than_break_the_screen(fake: Fake, run: Run) -> None:
    for odd in (None, "x", 7, {}, [None], [[]], [{}]):
        lines = shown(fake, run, {**lower("normalized"), "passes": odd, "causes": odd, "differences": odd})
        assert lines[0].startswith("REPRODUCED, normalized")


def test_no_pass_or_cause_controls_the_terminal(fake: Fake, run: Run) -> None:
    for outcome in ("reproduced", "differs"):
        body = {**done(outcome), "level": "normalized", "unstamped": "x", "passes": PASSES, "causes": CAUSES, "differences": ROWS}
        for line in shown(fake, run, hostile(body)):
            assert line.isprintable()
        fake.scripts["GET /v1/attestations"] = Reply(
            {"items": [hostile({"id": "a", "level": "l", "passes": PASSES})], "next": None, "complete_to": 1}
        )
        assert run("search").out.replace("\n", "").isprintable()


def test_no_color_and_pipes_get_plain_lines_with_the_passes(fake: Fake) -> None:
    fake.scripts[f"GET /v1/rebuilds/{REBUILD}"] = Reply({"id": REBUILD, **lower("normalized", passes=PASSES)})
    plain = on_a_terminal(["show", REBUILD], {"REPROVE_URL": fake.url, "NO_COLOR": "1"})
    assert "REPRODUCED, normalized by wheel-generator 1, wheel-record 2" in plain
    assert "\x1b[3" not in plain
    assert "\x1b[1;32mREPRODUCED, normalized by wheel-generator 1, wheel-record 2" in on_a_terminal(["show", REBUILD], {"REPROVE_URL": fake.url})


def test_an_attestation_is_shown_with_the_level_and_its_passes(fake: Fake, run: Run) -> None:
    predicate = {"outcome": "reproduced", "level": "semantic", "passes": PASSES, "causes": CAUSES[:1], "differences": {"count": 1, "shown": ROWS}}
    statement = {"predicateType": "urn:x", "subject": [], "predicate": predicate}
    fake.scripts[f"GET /v1/attestations/{DIGEST}"] = Reply(statement)
    lines = run("show", DIGEST).out.splitlines()
    assert lines[1:3] == ["  outcome    reproduced", "  level      semantic by wheel-generator 1, wheel-record 2"]
    assert "  differs in what level semantic leaves out:" in lines


def test_a_search_shows_levels_and_what_they_rest_on(fake: Fake, run: Run) -> None:
    item = {"id": "a" * 64, "logIndex": 3, "predicateType": "urn:x", "outcome": "reproduced", "level": "normalized", "purl": "pkg:pypi/demo@1.0"}
    fake.scripts["GET /v1/attestations"] = Reply({"items": [item | {"passes": PASSES}, item], "next": None, "complete_to": 4})
    first, second, _ = run("search", "--level", "normalized").out.splitlines()
    assert first == f"{second}  by wheel-generator 1, wheel-record 2"


def test_a_gate_says_which_level_an_allow_rests_on(fake: Fake, run: Run) -> None:
    allowed = {"sha256": DIGEST, "purl": "pkg:pypi/demo@1.0", "verdict": "allow", "reasons": [], "level": "normalized", "passes": PASSES}
    reason = {"rule": "passes", "expected": "no pass", "actual": "wheel-record", "remedy": "reprove show x; if you accept it: passes: [wheel-record]"}
    denied = {"sha256": OTHER, "purl": "pkg:pypi/demo@2.0", "verdict": "deny", "reasons": [reason]}
    body = {"id": "dec-1", "verdict": "deny", "policy": {"name": "p"}, "artifacts": [allowed, denied]}
    fake.scripts["POST /v1/decisions"] = Reply(body, 201)
    lines = run("gate", "--policy", "p", f"sha256:{DIGEST}", f"sha256:{OTHER}").out.splitlines()
    assert "  deny     pkg:pypi/demo@2.0   passes" in lines
    assert "           remedy: reprove show x; if you accept it: passes: [wheel-record]" in lines
    assert lines[-1] == "  allow    pkg:pypi/demo@1.0   normalized by wheel-generator 1, wheel-record 2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    world = World()
    options = {"lower": Level.NORMALIZED, "passes": (Pass("wheel-generator", "1"),)}  # type: ignore[arg-type]
    hints = (CauseHint("build-backend", "likely", "pin flit_core==3.9.0"),)  # type: ignore[arg-type]
    (tmp_path / NAME).write_bytes(FILE)
    (tmp_path / "e").write_bytes(world.evidence(**options, causes=hints).encode())
    (tmp_path / "t").write_bytes(world.trust().encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verify(*arguments: str) -> int:
    return exit_code_of(["verify", NAME, "--evidence", "e", "--trust", "t", *arguments])


def test_verify_refuses_a_lower_level_by_default_and_says_what_it_rests_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == 16
    assert capsys.readouterr().err.startswith("Reproduced only at level normalized by wheel-generator, asked for times-stamped or above.")


def test_verify_shows_a_level_that_was_asked_for_with_its_passes_and_whose_word_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--level", "normalized") == 0
    text = capsys.readouterr().out
    assert text.startswith("VERIFIED   reproduced, normalized by wheel-generator 1\n")
    assert "  causes   likely build-backend (fix: pin flit_core==3.9.0)\n" in text
    assert "that original and rebuilt are equal at level normalized: a worker's word, which reprove compare checks" in text
    assert verify("--level", "normalized", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["level"], document["passes"]) == ("normalized", [{"id": "wheel-generator", "version": "1"}])
    assert document["causes"] == [{"id": "build-backend", "certainty": "likely", "fix": "pin flit_core==3.9.0"}]
    assert document["claims"][0]["passes"] == document["passes"]
    assert verify("--level", "canonical") == 16
