"""Questions made, or altered in SQL, to get an allow that today's evidence does not carry, or to stop the attester."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.records import schema as tables
from service.records import times
from service.records.decisions import DecisionState
from service.setup.defaults import DEFAULT_POLICY
from tests.service.attester.rig import World


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
