"""``reprove verify`` and ``reprove trust`` as a user meets them: exit codes, one line for a bad end, JSON for programs, never a traceback."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprove.cli.main import exit_code_of
from reprove.core.outcomes import Outcome
from reprove.core.trust import parse_trust
from tests.core.all_cases import CASES
from tests.core.world import FILE, NAME, World


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A laptop with a wheel, its evidence and a trust file, none of them chosen yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("REPROVE_TRUST", raising=False)
    monkeypatch.chdir(tmp_path)
    world = World()
    world.evidence(filler=3)
    (tmp_path / NAME).write_bytes(FILE)
    (tmp_path / "evidence.json").write_bytes(world.evidence(decided=True).encode())
    (tmp_path / "trust.json").write_bytes(world.trust().encode())
    return tmp_path


def verify(*arguments: str) -> int:
    return exit_code_of(["verify", NAME, "--evidence", "evidence.json", *arguments])


def test_a_verified_file_says_who_when_what_and_what_was_not_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--trust", "trust.json") == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "VERIFIED   reproduced, bitwise"
    names = [line.split("  ")[1] if line.startswith("  not") else line.split()[0] for line in lines[1:]]
    assert names == ["file", "who", "when", "what", "decision", "checked", "not checked"]
    assert lines[1].endswith(f"pkg:pypi/demo@1.0?file_name={NAME}")
    assert "https://rebuilds.example" in lines[2]
    assert "(deployment single-host)" in lines[2]
    assert re.search(r"logged between \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ and .* by witness w1.example", lines[3])
    assert "recipe inferred" in lines[4]
    assert "1 of 1 witness" in lines[6]
    assert printed.err == ""


def test_a_file_under_another_name_is_verified_and_the_name_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / NAME).rename(folder / "idna-3.10-py3-none-any.whl")
    assert exit_code_of(["verify", "idna-3.10-py3-none-any.whl", "--evidence", "evidence.json", "--trust", "trust.json"]) == 0
    assert f"evidence is about these bytes as {NAME}" in capsys.readouterr().err


def test_without_a_trust_file_it_is_consistent_but_not_believed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == 14
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Consistent, but by keys that you have not chosen: log log.rebuilds.example, operator https://rebuilds.example")
    assert "reprove trust add" in printed.err


def test_the_trust_file_of_the_environment_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROVE_TRUST", "trust.json")
    assert verify() == 0


def test_evidence_is_looked_for_beside_the_file(folder: Path) -> None:
    assert exit_code_of(["verify", NAME, "--trust", "trust.json"]) == 17
    (folder / "evidence.json").rename(folder / f"{NAME}.evidence.json")
    assert exit_code_of(["verify", NAME, "--trust", "trust.json"]) == 0


@pytest.mark.parametrize("name", CASES.rows)
def test_the_command_ends_with_the_code_of_the_table(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES.rows[name]()
    (folder / NAME).write_bytes(case.file)
    (folder / "evidence.json").write_bytes(case.evidence)
    arguments = list(case.arguments)
    if case.trust is not None:
        (folder / "trust.json").write_bytes(case.trust.encode())
        arguments += ["--trust", "trust.json"]
    assert verify(*arguments) == case.code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert bool(printed.out) == (case.code == 0)


def test_json_has_the_claims_or_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--trust", "trust.json", "--json") == 0
    good = json.loads(capsys.readouterr().out)
    assert (good["kind"], good["verified"], good["outcome"], good["level"]) == ("verification", True, "reproduced", "bitwise")
    assert good["claims"][0]["notBefore"] < good["claims"][0]["notAfter"]
    assert good["decision"]["verdict"] == "allow"
    assert verify("--json") == 14
    bad = json.loads(capsys.readouterr().out)
    assert (bad["verified"], bad["reason"]) == (False, "untrusted-keys")


def test_a_negative_outcome_is_shown_when_it_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    (folder / "evidence.json").write_bytes(world.evidence(outcome=Outcome.DIFFERS).encode())
    assert verify("--trust", "trust.json") == 16
    assert "--any-outcome" in capsys.readouterr().err
    assert verify("--trust", "trust.json", "--any-outcome") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("VERIFIED   differs\n")
    assert "payload: demo/x.py differs" in printed


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify"], 2),
        (["verify", NAME, "--level", "perfect"], 2),
        (["verify", "nowhere.whl"], 4),
        (["verify", NAME, "--evidence", "evidence.json", "--trust", "nowhere.json"], 4),
        (["verify", NAME, "--evidence", "nowhere.json"], 17),
        (["verify", NAME, "--evidence", "evidence.json", "--trust", NAME], 4),
        (["verify", "."], 4),
        (["trust"], 2),
        (["trust", "show"], 1),
        (["trust", "add", "nowhere.json", "--fingerprint", "0" * 64], 4),
        (["trust", "add", "trust.json"], 2),
        (["trust", "add", "trust.json", "--fingerprint", "x"], 2),
        (["trust", "add", "trust.json", "--fingerprint", "0" * 64], 1),
        (["trust", "add", "ftp://example.org", "--fingerprint", "0" * 64], 2),
        (["trust", "add", "http://127.0.0.1:9", "--fingerprint", "0" * 64], 4),
    ],
)
def test_bad_input_is_one_short_answer(arguments: list[str], code: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(arguments) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert 1 <= len(printed.err.splitlines()) <= 12
    assert not (folder / "config" / "reprove").exists()


def test_keys_are_added_by_fingerprint_and_verify_then_believes_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fingerprint = parse_trust((folder / "trust.json").read_bytes()).fingerprint
    with serve(folder) as url:
        assert exit_code_of(["trust", "add", url, "--fingerprint", f"sha256:{fingerprint}"]) == 0
    assert f"sha256:{fingerprint}" in capsys.readouterr().out
    assert verify() == 0
    assert exit_code_of(["trust", "show"]) == 0
    assert f"sha256:{fingerprint}" in capsys.readouterr().out
    assert exit_code_of(["trust", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "trust"


def test_a_second_operator_is_added_beside_the_first_and_a_changed_log_key_is_refused(folder: Path) -> None:
    other = World(seed="other", operator="https://other.example", origin="log.other.example", witnesses=("w2.example",)).trust()
    fake = World(seed="fake").trust()
    for trust, code in ((other, 0), (fake, 2)):
        (folder / "offer.json").write_bytes(trust.encode())
        assert exit_code_of(["trust", "add", "offer.json", "--fingerprint", trust.fingerprint, "--trust", "trust.json"]) == code
    kept = parse_trust((folder / "trust.json").read_bytes())
    assert [one.name for one in kept.operators] == ["https://rebuilds.example", "https://other.example"]
    assert verify("--trust", "trust.json") == 0


def test_a_revoked_key_is_shown_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust = World().trust()
    key = dataclasses.replace(trust.operators[0].attesters[0], compromised_since=1_900_000_000)
    revoked = dataclasses.replace(trust, operators=(dataclasses.replace(trust.operators[0], attesters=(key,)),))
    (folder / "trust.json").write_bytes(revoked.encode())
    assert exit_code_of(["trust", "show", "--trust", "trust.json"]) == 0
    assert "COMPROMISED since 2030-" in capsys.readouterr().out


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
