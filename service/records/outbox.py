"""The outbox: attempts for which the bell (RQ) must be rung. A row lives from the attempt's birth until it is claimed or ends.

Redis holds nothing that is not here: rows whose bell was lost are rung again (DESIGN section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from service.records.ids import AttemptId
from service.records.schema import outbox


@dataclass(frozen=True, slots=True)
class Ring:
    """One attempt to ring the bell for."""

    attempt_id: AttemptId
    queue: str
    function: str
    tries: int
    dispatched: datetime | None


_ADD = outbox.insert()
_COLUMNS = (outbox.c.attempt_id, outbox.c.queue, outbox.c.function, outbox.c.tries, outbox.c.dispatched)


def add(conn: Connection, attempt_id: AttemptId, *, queue: str, function: str, priority: int, due: datetime) -> None:
    """Ask for a ring, not before ``due``."""
    row = {"attempt_id": attempt_id, "queue": queue, "function": function, "priority": priority, "due": due, "tries": 0}
    conn.execute(_ADD, row)


def next_to_ring(conn: Connection, queue: str, *, now: datetime, limit: int) -> list[Ring]:
    """Attempts of ``queue`` to ring for now: by priority, then oldest first."""
    query = (
        select(*_COLUMNS)
        .where(outbox.c.queue == queue, outbox.c.dispatched.is_(None), outbox.c.due <= now)
        .order_by(outbox.c.priority.desc(), outbox.c.id)
        .limit(limit)
    )
    return [Ring(AttemptId(row.attempt_id), row.queue, row.function, row.tries, row.dispatched) for row in conn.execute(query)]


def rung_before(conn: Connection, moment: datetime, *, limit: int) -> list[Ring]:
    """Attempts whose bell was rung before ``moment`` and that nobody has claimed."""
    query = select(*_COLUMNS).where(outbox.c.dispatched < moment).order_by(outbox.c.id).limit(limit)
    return [Ring(AttemptId(row.attempt_id), row.queue, row.function, row.tries, row.dispatched) for row in conn.execute(query)]


def queues(conn: Connection) -> list[str]:
    """Every queue that has rows."""
    return list(conn.execute(select(outbox.c.queue).distinct()).scalars())


def count_rung(conn: Connection, queue: str) -> int:
    """How many rings of ``queue`` are out and not answered by a claim."""
    query = select(func.count()).select_from(outbox).where(outbox.c.queue == queue, outbox.c.dispatched.is_not(None))
    return int(conn.execute(query).scalar_one())


def mark_rung(conn: Connection, attempt_id: AttemptId, now: datetime) -> None:
    """The bell was rung."""
    conn.execute(outbox.update().where(outbox.c.attempt_id == attempt_id).values(dispatched=now, tries=outbox.c.tries + 1))


def mark_lost(conn: Connection, attempt_id: AttemptId, *, due: datetime) -> None:
    """The ring was lost (Redis was emptied): ring again, not before ``due``."""
    conn.execute(outbox.update().where(outbox.c.attempt_id == attempt_id).values(dispatched=None, due=due))


def drop(conn: Connection, attempt_id: AttemptId) -> None:
    """Nobody needs to hear of this attempt any more: it was claimed or has ended."""
    conn.execute(outbox.delete().where(outbox.c.attempt_id == attempt_id))
