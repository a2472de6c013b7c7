"""Questions made, or altered in SQL, to get an allow that today's evidence does not carry, or to stop the attester."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reprove.core.outcomes import Outcome
from reprove.core.statements.decision import Verdict
from reprove.core.statements.parts import Blob, Cause
from reprove.core.trust import Operator, TrustedKey
from service.gate.opinions import Opinions
from service.records import schema as tables
from service.records import times
from service.records.decisions import DecisionState
from service.setup.defaults import DEFAULT_POLICY
from tests.service.attester.rig import OPERATOR, World, changed, new_key


@pytest.mark.parametrize(
    ("what", "shift"), [("last year", timedelta(days=-365)), ("an hour ago", timedelta(hours=-1)), ("next year", timedelta(days=365))]
)
def test_a_question_of_another_time_is_not_answered(world: World, what: str, shift: timedelta) -> None:
    """Whoever writes the row chooses its time and its checkpoint: with an old pair, age and dissent would not be seen."""
    world.policy("default", DEFAULT_POLICY)
    story = world.story()
    world.attest(story)
    row = world.decide("default", {"sha256": story.resolution.original.sha256}, at=times.now() + shift)
    assert (row.state, row.verdict) == (DecisionState.FAILED, None), what
    assert "ask again" in (row.problem or {})["detail"]


@pytest.mark.parametrize("question", [{}, {"artifacts": None}, {"artifacts": [7]}])
def test_a_row_that_was_altered_while_it_is_signed_stops_nobody_else(world: World, question: object) -> None:
    world.policy("default", DEFAULT_POLICY)
    story = world.story()
    world.attest(story)
    digest: dict[str, str] = {"sha256": story.resolution.original.sha256}
    world.log.away = True
    altered = world.decide("default", digest)
    assert altered.state is DecisionState.SIGNING
    with world.database.write() as conn:
        conn.execute(tables.decision.update().where(tables.decision.c.id == altered.id).values(question=question))
    world.log.away = False
    assert world.decide("default", digest).state is DecisionState.DONE
    assert world.decision(altered.id).state is DecisionState.SIGNING


@pytest.mark.parametrize(("what", "since", "verdict"), [("long ago", 1, Verdict.DENY), ("only later", 4_000_000_000, Verdict.ALLOW)])
def test_what_a_worker_signed_after_its_key_was_stolen_counts_no_more_in_the_gate_than_for_a_reader(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, since: int, verdict: Verdict
) -> None:
    world.policy("default", DEFAULT_POLICY)
    story = world.story()
    world.attest(story)
    stolen = TrustedKey(world.worker.public_key, 0, compromised_since=since)
    believed = replace(world.trust_file(), operators=(Operator(OPERATOR, (TrustedKey(world.attester.public_key, 0),), (stolen,)),))
    monkeypatch.setattr(world.decisions, "_opinions", Opinions(believed, world.trust))
    assert world.decide("default", {"sha256": story.resolution.original.sha256}).verdict == verdict, what


def test_a_dissent_by_a_stolen_key_blocks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.policy("default", DEFAULT_POLICY)
    story = world.story()
    world.attest(story)
    thief = new_key()
    world.enroll("worker-2", "work", thief)
    lie = world.story(rebuilt=b"PK other", outcome=Outcome.DIFFERS, cause=Cause("payload", "x"), recipe="other")
    lie.worker = thief
    lie.report = changed(lie.report, worker=Blob(thief.public_key.fingerprint))
    world.attest(lie)
    assert world.decide("default", {"sha256": story.resolution.original.sha256}).verdict == Verdict.DENY
    stolen = TrustedKey(thief.public_key, 0, compromised_since=1)
    believed = replace(world.trust_file(), operators=(Operator(OPERATOR, (TrustedKey(world.attester.public_key, 0),), (stolen,)),))
    monkeypatch.setattr(world.decisions, "_opinions", Opinions(believed, world.trust))
    assert world.decide("default", {"sha256": story.resolution.original.sha256}).verdict == Verdict.ALLOW
