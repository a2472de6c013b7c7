"""Evidence against trust: the library and the single-file verifier give the same exit code for every case of one table."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.core import cosignatures, notes
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import VerificationError
from reprove.core.evidence import build_evidence
from reprove.core.notes import VKey
from reprove.core.outcomes import Level
from reprove.core.verification import Verified, verify_evidence
from tests.core.all_cases import CASES
from tests.core.cases import Case
from tests.core.world import FILE, NAME, START, World, ed

SINGLE_FILE = Path(__file__).parents[2] / "docs" / "verifier" / "reprove_verify.py"


@pytest.fixture(scope="session")
def single_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reprove_verify", SINGLE_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library_code(case: Case) -> tuple[int, str]:
    level = Level(case.arguments[1]) if "--level" in case.arguments else Level.TIMES_STAMPED
    digests = {"subject_sha256": sha256(case.file), "subject_sha512": hashlib.sha512(case.file).hexdigest()}
    try:
        verify_evidence(case.evidence, case.trust, minimum=level, any_outcome="--any-outcome" in case.arguments, **digests)
    except VerificationError as error:
        return error.reason.exit_code, error.detail
    return 0, ""


@pytest.mark.parametrize("name", CASES.rows)
def test_both_verifiers_agree_on(name: str, single_file: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES.rows[name]()
    code, detail = library_code(case)
    assert code == case.code, detail
    (tmp_path / NAME).write_bytes(case.file)
    (tmp_path / "evidence").write_bytes(case.evidence)
    arguments = [str(tmp_path / NAME), "--evidence", str(tmp_path / "evidence"), *case.arguments]
    if case.trust is not None:
        (tmp_path / "trust").write_bytes(case.trust.encode())
        arguments += ["--trust", str(tmp_path / "trust")]
    assert single_file.main(arguments) == case.code
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == (1 if case.code else 0), printed.err


def test_the_single_file_runs_alone_and_needs_only_cryptography(tmp_path: Path) -> None:
    world = World()
    for name, data in ((NAME, FILE), ("e", world.evidence().encode()), ("t", world.trust().encode())):
        (tmp_path / name).write_bytes(data)
    block = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(['reprove', 'rfc8785', 'click', 'packaging'])); "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    command = [sys.executable, "-c", block, str(SINGLE_FILE), NAME, "--evidence", "e", "--trust", "t"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VERIFIED   reproduced, bitwise\n")


def test_names_from_strangers_cannot_write_to_the_terminal(single_file: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(World().evidence().encode())
    document["subject"]["name"] = "\u001b[2J\u202e.whl"
    (tmp_path / "e").write_bytes(canonical(document))
    assert single_file.main([str(tmp_path / "e"), "--evidence", str(tmp_path / "e")]) == 10
    assert re.fullmatch(r"[ -~\n]*", capsys.readouterr().err)


@pytest.mark.parametrize("damage", ["missing-file", "missing-evidence", "broken-trust"])
def test_unreadable_input_is_exit_code_4(damage: str, single_file: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    (tmp_path / "f").write_bytes(FILE)
    (tmp_path / "e").write_bytes(world.evidence().encode())
    (tmp_path / "t").write_bytes(b"{}" if damage == "broken-trust" else world.trust().encode())
    paths = {"f": "f", "e": "e"}
    if damage.startswith("missing"):
        paths["f" if damage == "missing-file" else "e"] = "nowhere"
    arguments = [str(tmp_path / paths["f"]), "--evidence", str(tmp_path / paths["e"]), "--trust", str(tmp_path / "t")]
    assert single_file.main(arguments) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


@functools.cache
def small() -> tuple[World, bytes, Verified]:
    world = World()
    world.add(world.decision())
    made = world.evidence(decided=True).encode()
    return world, made, verify_evidence(made, world.trust(), subject_sha256=sha256(FILE))


def outcome_of(evidence: bytes, world: World) -> Verified | None:
    try:
        return verify_evidence(evidence, world.trust(), subject_sha256=sha256(FILE))
    except VerificationError:
        return None


def test_the_result_says_who_when_what_and_what_was_not_checked() -> None:
    world, _, verified = small()
    claim = verified.claim
    assert (claim.operator, claim.logged.origin, claim.value.level) == (world.operator, world.origin, Level.BITWISE)
    assert claim.logged.not_before is not None
    assert claim.logged.not_after == claim.logged.not_before + 1
    assert verified.decision is not None
    assert (verified.decision.verdict, verified.checks.signatures, verified.checks.reports, verified.checks.resolutions) == ("allow", 5, 1, 1)
    assert verified.checks.witnesses == ("w1.example",)
    assert any("source is benign" in one for one in verified.not_checked)


def test_a_witness_whose_clock_ran_back_bounds_nothing_from_below() -> None:
    world = World()
    world.add(world.decision())
    world.clock -= 100
    made = world.evidence()
    logged = verify_evidence(made.encode(), world.trust(), subject_sha256=sha256(FILE)).claim.logged
    assert (logged.not_before, logged.not_after) == (None, world.clock)


def test_with_a_quorum_of_two_of_three_the_middle_witness_bounds_the_time() -> None:
    world = World(witnesses=("w1.example", "w2.example", "w3.example"), quorum=2)
    entry = world.rebuild(attempted=False)[0][0]
    note = notes.parse_note(entry.checkpoint)
    times = {"w1.example": 100, "w2.example": START + 50, "w3.example": START + 900}
    lines = [note.signatures[0].line, *(cosignatures.cosign(note.text, name, ed(f"real-{name}"), time) for name, time in times.items())]
    entry = dataclasses.replace(entry, checkpoint=notes.format_note(note.text, lines))
    made = build_evidence(name=NAME, sha256=sha256(FILE), entries=[entry], hints=world.trust())
    assert verify_evidence(made.encode(), world.trust(), any_outcome=True).claim.logged.not_after == START + 50


def test_evidence_that_names_thousands_of_keys_is_still_checked_quickly() -> None:
    world = World()
    made = world.evidence()
    many = dataclasses.replace(made.hints, witnesses=tuple(VKey(f"w{n}.example", 4, ed(f"n{n}").public_key) for n in range(1000)), quorum=0)
    many = dataclasses.replace(many, witnesses=(*made.hints.witnesses, *many.witnesses))
    data = dataclasses.replace(made, entries=made.entries, hints=many).encode()
    started = time.process_time()
    verify_evidence(data, world.trust(), subject_sha256=sha256(FILE))
    assert time.process_time() - started < 2


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 if at % 2 else 4)]) + data[at + 1 :]


@pytest.mark.slow
def test_every_byte_of_a_small_evidence_that_changes_is_refused_or_changes_no_claim() -> None:
    world = World()
    entries, _, _ = world.rebuild(attempted=False)
    made = build_evidence(name=NAME, sha256=sha256(FILE), entries=entries, hints=world.trust()).encode()
    every_byte(made, world)


@pytest.mark.soak
def test_every_byte_of_a_whole_evidence_that_changes_is_refused_or_changes_no_claim() -> None:
    world, made, _ = small()
    every_byte(made, world)


def every_byte(made: bytes, world: World) -> None:
    def result(evidence: bytes) -> Verified | None:
        try:
            return verify_evidence(evidence, world.trust(), subject_sha256=sha256(FILE), any_outcome=True)
        except VerificationError:
            return None

    verified = result(made)
    hints, end = made.index(b'"hints"'), made.index(b',"kind":"evidence"')
    for at in range(len(made)):
        changed = result(flip(made, at))
        assert changed in (None, verified), f"byte {at} of {made[max(0, at - 40) : at + 40]!r}"
        assert changed is None or hints < at < end, "only hints may change without being noticed: nothing of them is believed"


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_single_file_refuses_each_changed_byte_that_the_library_refuses(single_file: ModuleType, data: st.DataObject) -> None:
    world, made, _ = small()
    changed = flip(made, data.draw(st.integers(0, len(made) - 1)))
    trust = single_file.Trust(json.loads(world.trust().encode()))
    try:
        single_file.verify(changed, trust, sha256(FILE), "", "times-stamped", any_outcome=False)
        accepted = True
    except single_file.Refused:
        accepted = False
    assert accepted == (outcome_of(changed, world) is not None)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_structural_change_is_refused_or_leaves_the_claims_as_they_are(data: st.DataObject) -> None:
    world, made, verified = small()
    document = json.loads(made)
    node, path = document, []
    for _ in range(data.draw(st.integers(0, 4))):
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            break
        path.append(data.draw(st.sampled_from(keys)))
        node = node[path[-1]]
    if not path or path == ["decision"]:
        return
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    kind = data.draw(st.sampled_from(["drop", "null", "swap", "more"]))
    if kind == "drop":
        del parent[path[-1]]
    elif kind == "null":
        parent[path[-1]] = None
    elif kind == "swap":
        parent[path[-1]] = data.draw(st.sampled_from([0, 1, "x", [], {}, True, document["entries"][0]["leaf"], document["entries"][0]["checkpoint"]]))
    elif isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        parent["more"] = 1
    result = outcome_of(canonical(document), world)
    if result is None or result == verified:
        return
    # Members that may be absent (INTERFACE, contract section 6) make claims weaker, never others: no lower bound of time, no report read.
    assert kind == "drop"
    assert path[-1] in ("before", "reports", "resolutions", "decision") or path[0] in ("reports", "resolutions")
    assert [one.value for one in result.claims] == [one.value for one in verified.claims]
    assert result.claim.logged.not_after == verified.claim.logged.not_after
