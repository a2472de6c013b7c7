"""Crashes, lost answers and lying logs: each statement is logged once, and nothing is recorded that was not verified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprove.core import dsse
from reprove.core.outcomes import Outcome
from reprove.core.statements.common import decode
from reprove.core.statements.parts import Cause
from reprove.core.states import RebuildState
from reprove.crashpoints import CRASH_POINTS
from reprove.signers import generate
from service.attester import attest, rebuilding, submit
from service.records import statements
from tests.service.attester.rig import World, new_key


class Died(BaseException):
    """A process that ends here: no handler of ours catches it."""


ATTESTER_POINTS = ["attest.signed", "attest.persisted", "submit.answered", "record.committed"]


@pytest.fixture
def die_at(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    wanted: dict[str, str] = {}

    def crash_point(name: str) -> None:
        assert name in CRASH_POINTS
        if wanted.pop(name, None):
            raise Died(name)

    for module in (attest, submit, rebuilding):
        monkeypatch.setattr(module, "crash_point", crash_point)
    return wanted


@pytest.mark.parametrize("point", ATTESTER_POINTS)
def test_a_crash_at_each_durable_step_ends_in_one_outcome_logged_once(world: World, die_at: dict[str, str], point: str) -> None:
    rebuild_id = world.tell(world.story())
    die_at[point] = "once"
    with pytest.raises(Died):
        world.rebuilds.round()
    persisted = [row.envelope for row in world.statements(rebuild_id)]
    assert (world.row(rebuild_id).state is RebuildState.DONE) == (point == "record.committed")
    world.restart()
    world.rebuilds.round()
    row = world.row(rebuild_id)
    assert (row.state, row.outcome) == (RebuildState.DONE, "reproduced")
    assert len(world.log.leaves) == 2
    if persisted:
        assert sorted(each.envelope for each in world.statements(rebuild_id)) == sorted(persisted), "a restart submits the stored bytes"


@pytest.mark.parametrize(("name", "change"), [("failed", {"away": True}), ("failed but persisted", {"lose_answer": 1})])
def test_a_log_that_is_away_or_loses_its_answer_changes_nothing_but_the_time(world: World, name: str, change: dict[str, object]) -> None:
    rebuild_id = world.tell(world.story())
    for key, value in change.items():
        setattr(world.log, key, value)
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.ATTESTING
    world.log.away = False
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.DONE
    assert len(world.log.leaves) == 2, name


@pytest.mark.parametrize("lie", ["proof", "index"])
def test_an_answer_that_does_not_verify_is_never_recorded(world: World, lie: str) -> None:
    world.attest(world.story())
    world.log.lie = lie
    rebuild_id = world.tell(world.story())
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.ATTESTING
    assert all(row.log_index is None for row in world.statements(rebuild_id))
    world.log.lie = ""
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.DONE


def test_a_checkpoint_without_the_witness_is_no_proof(world: World) -> None:
    world.log.cosigned = False
    rebuild_id = world.tell(world.story())
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.ATTESTING
    world.log.cosigned = True
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.DONE


def test_another_logs_key_is_not_believed(world: World) -> None:
    world.log.signer = new_key_ed25519()
    rebuild_id = world.tell(world.story())
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.ATTESTING


def new_key_ed25519() -> object:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from reprove.signers import FileSigner

    return FileSigner(ed25519.Ed25519PrivateKey.generate())


def test_many_rebuilds_share_one_batch_and_one_bad_one_holds_back_nobody(world: World) -> None:
    good = [world.tell(world.story()) for _ in range(5)]
    failed = world.tell(world.story(rebuilt=b"PK other", outcome=Outcome.DIFFERS, cause=Cause("payload", "x")))
    bad = world.story()
    bad.worker = new_key()
    bad_id = world.tell(bad)
    world.rebuilds.round()
    assert [world.row(each).outcome for each in (*good, failed, bad_id)] == ["reproduced"] * 5 + ["differs", "inconclusive"]
    assert world.log.calls == 1


def test_the_times_of_an_entry_are_the_witnesses(world: World) -> None:
    first = world.attest(world.story())
    second = world.attest(world.story())
    with world.database.read() as conn:
        rows = [statements.entry_of(conn, row.id) for each in (first, second) for row in statements.of_rebuild(conn, each.id)]
    assert all(row is not None for row in rows)
    early, late = rows[0], rows[-1]
    assert early is not None
    assert late is not None
    assert early.before is None
    assert late.not_before is not None
    assert late.not_after is not None
    assert late.not_before <= late.not_after


def test_statements_are_a_pure_function_of_what_is_stored(world: World) -> None:
    rebuild_id = world.attest(world.story()).id
    first = [dsse.decode(row.envelope).payload for row in world.statements(rebuild_id)]
    row = world.row(rebuild_id)
    from service.attester.attest import _load
    from service.attester.checks import Checks
    from service.attester.enrolment import Enrolment
    from service.attester.stored import Stored
    from service.records import times

    with world.database.read() as conn:
        rows = _load(conn, row)
    checks = Checks(Enrolment(world.home / "enrolled.json"), Stored(world.blobs), times.now())
    resolved = checks.resolution(row, rows.resolution, rows.resolve_attempt)
    again = world.attestation._sign(world.attestation._context(checks, row, rows, resolved))
    assert [each.payload for each in again] == first
    assert [decode(payload).encode() for payload in first] == first


@pytest.mark.parametrize("missing", ["config", "key", "another key", "readable key", "enrolled.json", "trust.json", "records.db"])
def test_the_process_refuses_to_start_with_one_line_when_something_is_missing(tmp_path: Path, missing: str) -> None:
    from reprove.settings import load
    from service.setup import instance

    home = tmp_path / "home"
    settings = load({"REPROVE_HOME": str(home)}, home=home, separate_users=False, run_dir=tmp_path / "run")
    instance.create(settings, instance.Choices(index_url="https://index.invalid/simple/", fetch_allow=()))
    key = home / "secrets" / "attester.key"
    if missing == "config":
        (home / "config.toml").unlink()
    elif missing == "key":
        key.unlink()
    elif missing == "another key":
        key.unlink()
        generate(key)
    elif missing == "readable key":
        key.chmod(0o644)
    elif missing == "records.db":
        (home / "records.db").unlink()
    else:
        (home / missing).unlink()
    env = {"PATH": os.environ["PATH"], "REPROVE_HOME": str(home)}
    ended = subprocess.run([sys.executable, "-m", "service.attester.main"], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("attester: ")
