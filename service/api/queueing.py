"""Where a queued rebuild stands: what a person who waits wants to know, computed when it is asked for."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, or_, select

from reprove.core.states import AttemptState
from service.records.schema import attempt, outbox


def waiting(conn: Connection, rebuild_id: str) -> dict[str, str] | None:
    """``{reason: "queue", detail: "position 3 …"}`` while the rebuild's attempt waits for its bell to be answered; None otherwise."""
    mine = conn.execute(
        select(outbox.c.id, outbox.c.queue, outbox.c.priority)
        .join(attempt, attempt.c.id == outbox.c.attempt_id)
        .where(attempt.c.rebuild_id == rebuild_id)
    ).first()
    if mine is None:
        return None
    before = or_(outbox.c.priority > mine.priority, and_(outbox.c.priority == mine.priority, outbox.c.id < mine.id))
    ahead = conn.execute(select(func.count()).select_from(outbox).where(outbox.c.queue == mine.queue, before)).scalar_one()
    kind = "resolve" if mine.queue == "resolve" else "rebuild"
    busy = conn.execute(
        select(func.count()).select_from(attempt).where(attempt.c.kind == kind, attempt.c.state == AttemptState.RUNNING.value)
    ).scalar_one()
    who = "the resolver" if kind == "resolve" else f"a worker for {mine.queue.removeprefix('rebuild-')}"
    return {"reason": "queue", "detail": f"position {ahead + 1} for {who}, {busy} running"}
