"""The outbox rung out: few rings at a time, by priority and age, so that priorities and cancellations act at once (stack.md 2.5)."""

from __future__ import annotations

from datetime import datetime

import structlog

from reprove.core.states import AttemptState
from reprove.crashpoints import crash_point
from service.records import attempts, outbox
from service.records.database import Database
from service.records.outbox import Ring
from service.scheduling.bell import Bell

RESOLVE_RINGS = 16
"""Rings out at a time on the queue ``resolve``; rebuild queues have two for each worker."""
_log = structlog.get_logger()


def dispatch(database: Database, bell: Bell, *, workers: int, now: datetime) -> int:
    """Ring for what is due, as far as the queues' places allow; returns how many. Raises BellError: what was not rung stays in the outbox."""
    rung = 0
    for ring in _due(database, workers, now):
        bell.ring(ring)
        # a crash here: the row is not marked, the next leader rings again, and RQ knows the id
        crash_point("dispatch.enqueued")
        _mark(database, ring, now)
        # a crash here loses nothing: whoever claims drops the row, whoever does not is found by the reconciler
        crash_point("dispatch.marked")
        rung += 1
        _log.debug("rang", attempt=ring.attempt_id, queue=ring.queue)
    return rung


def _due(database: Database, workers: int, now: datetime) -> list[Ring]:
    found: list[Ring] = []
    with database.read() as conn:
        for queue in outbox.queues(conn):
            places = RESOLVE_RINGS if queue == "resolve" else 2 * max(1, workers)
            free = places - outbox.count_rung(conn, queue)
            if free > 0:
                found += outbox.next_to_ring(conn, queue, now=now, limit=free)
    return found


def _mark(database: Database, ring: Ring, now: datetime) -> None:
    with database.write() as conn:
        row = attempts.get(conn, ring.attempt_id)
        # a quick worker may have claimed it already: then the row is gone and the attempt is running
        if row is not None and row.state is AttemptState.WAITING:
            attempts.set_state(conn, row, AttemptState.DISPATCHED, now=now, dispatched=now)
            outbox.mark_rung(conn, ring.attempt_id, now)
