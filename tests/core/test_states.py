"""Words are closed lists, states have one table, levels have one order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reprove.core.outcomes import CAUSE_CLASSES, LEVEL_ORDER, Level, Outcome
from reprove.core.states import ATTEMPT_TRANSITIONS, REBUILD_TRANSITIONS, AttemptState, RebuildState

levels = st.sampled_from(Level)


def test_every_state_has_its_row_and_every_row_leads_to_known_states() -> None:
    assert set(REBUILD_TRANSITIONS) == set(RebuildState)
    assert set(ATTEMPT_TRANSITIONS) == set(AttemptState)
    assert set(itertools.chain(*REBUILD_TRANSITIONS.values())) <= set(RebuildState)
    assert set(itertools.chain(*ATTEMPT_TRANSITIONS.values())) <= set(AttemptState)


def test_terminal_states_are_done_rejected_and_cancelled() -> None:
    assert {state for state in RebuildState if state.terminal} == {RebuildState.DONE, RebuildState.REJECTED, RebuildState.CANCELLED}


def test_every_rebuild_can_reach_a_terminal_state_from_wherever_it_is() -> None:
    reaching = {state for state in RebuildState if state.terminal}
    for _ in RebuildState:
        reaching |= {state for state in RebuildState if REBUILD_TRANSITIONS[state] & reaching}
    assert reaching == set(RebuildState)


def test_done_is_reached_only_through_attesting() -> None:
    assert {state for state in RebuildState if RebuildState.DONE in REBUILD_TRANSITIONS[state]} == {RebuildState.ATTESTING}


def test_every_outcome_has_its_cause_classes_and_no_class_belongs_to_two() -> None:
    assert set(CAUSE_CLASSES) == set(Outcome)
    named = list(itertools.chain(*CAUSE_CLASSES.values()))
    assert len(named) == len(set(named))
    assert CAUSE_CLASSES[Outcome.INCONCLUSIVE] == {"infrastructure"}


def test_every_level_stands_in_the_order_once() -> None:
    assert sorted(LEVEL_ORDER) == sorted(Level)
    assert LEVEL_ORDER[0] is Level.BITWISE


@given(levels, levels, levels)
def test_levels_are_totally_ordered(first: Level, second: Level, third: Level) -> None:
    assert first.satisfies(first)
    assert first.satisfies(second) or second.satisfies(first)
    if first.satisfies(second) and second.satisfies(first):
        assert first is second
    if first.satisfies(second) and second.satisfies(third):
        assert first.satisfies(third)
    assert Level.BITWISE.satisfies(first)
    assert first.satisfies(Level.SEMANTIC)
