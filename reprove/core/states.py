"""States of a rebuild and of an attempt, each with its one table of transitions (DESIGN section 2)."""

from __future__ import annotations

from enum import StrEnum


class RebuildState(StrEnum):
    """Where a rebuild is. ``done``, ``rejected`` and ``cancelled`` are terminal; only ``done`` has an outcome."""

    QUEUED = "queued"
    RUNNING = "running"
    ATTESTING = "attesting"
    DONE = "done"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return not REBUILD_TRANSITIONS[self]


REBUILD_TRANSITIONS: dict[RebuildState, frozenset[RebuildState]] = {
    # queued -> attesting: the resolution alone settles the outcome (not-attemptable, input-unavailable), or the retries are spent
    RebuildState.QUEUED: frozenset({RebuildState.RUNNING, RebuildState.ATTESTING, RebuildState.REJECTED, RebuildState.CANCELLED}),
    # running -> queued: the attempt was lost or released, the next one waits for a worker
    RebuildState.RUNNING: frozenset({RebuildState.QUEUED, RebuildState.ATTESTING, RebuildState.CANCELLED}),
    # attesting -> rejected: no enrolled resolver has signed what the original is, so no statement can be made
    RebuildState.ATTESTING: frozenset({RebuildState.DONE, RebuildState.REJECTED}),
    RebuildState.DONE: frozenset(),
    RebuildState.REJECTED: frozenset(),
    RebuildState.CANCELLED: frozenset(),
}


class AttemptState(StrEnum):
    """Where one lease of a rebuild is. Attempts of kind ``resolve`` and ``rebuild`` use the same states."""

    WAITING = "waiting"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    REPORTED = "reported"
    LOST = "lost"
    RELEASED = "released"
    DRAINED = "drained"
    CANCELLED = "cancelled"


ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.WAITING: frozenset({AttemptState.DISPATCHED, AttemptState.RUNNING, AttemptState.CANCELLED}),
    # dispatched -> waiting: Redis was emptied, so the bell is rung again
    AttemptState.DISPATCHED: frozenset({AttemptState.WAITING, AttemptState.RUNNING, AttemptState.CANCELLED}),
    AttemptState.RUNNING: frozenset({AttemptState.REPORTED, AttemptState.LOST, AttemptState.RELEASED, AttemptState.DRAINED, AttemptState.CANCELLED}),
    AttemptState.REPORTED: frozenset(),
    AttemptState.LOST: frozenset(),
    AttemptState.RELEASED: frozenset(),
    AttemptState.DRAINED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
}


class Phase(StrEnum):
    """What is being done, in the order in which a user sees it."""

    RESOLVE = "resolve"
    WAIT = "wait"
    RECIPE = "recipe"
    FETCH = "fetch"
    BUILD = "build"
    COMPARE = "compare"
    REPORT = "report"
    ATTEST = "attest"
