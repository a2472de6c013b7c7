"""What follows when an attempt ends without a report: another attempt, or the end of the rebuild (DESIGN section 2).

A lost worker is never ``differs``: retries spent, a rebuild whose original is known becomes ``inconclusive`` (the attester signs that), one whose
original is not is ``rejected`` with slug ``unavailable``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from reprove.core.errors import OwnError, Slug
from reprove.core.states import AttemptState, Phase, RebuildState
from service.records import attempts, blobs, rebuilds
from service.records.attempts import AttemptKind, AttemptRow
from service.records.rebuilds import SettledBy
from service.records.schema import attempt

BACKOFF = timedelta(seconds=2)
"""Wait before an attempt that follows a released one, times its number; a lost one is repeated at once."""


def expired(conn: Connection, now: datetime, limit: int = 100) -> list[AttemptRow]:
    """Running attempts whose lease has ended: their worker is gone, or cannot reach us, which is the same."""
    query = select(attempt).where(attempt.c.state == AttemptState.RUNNING.value, attempt.c.expires <= now).order_by(attempt.c.expires).limit(limit)
    return [attempts.read(row) for row in conn.execute(query).mappings()]


def lose(conn: Connection, row: AttemptRow, *, retries: int, now: datetime) -> None:
    """Mark an expired attempt lost and go on. Whatever its worker still sends is refused from this commit on."""
    attempts.set_state(conn, row, AttemptState.LOST, now=now, reason="the worker's lease ended without a report")
    go_on(conn, row, "the worker was lost", retries=retries, now=now, due=now)


def go_on(conn: Connection, row: AttemptRow, reason: str, *, retries: int, now: datetime, due: datetime | None) -> None:
    """After attempt ``row`` has ended: the next one (not before ``due``), or the rebuild's end when ``retries`` are spent or ``due`` is None."""
    found = rebuilds.get(conn, row.rebuild_id)
    if found is None:
        raise OwnError(f"attempt {row.id} has no rebuild")
    blobs.release(conn, row.id)
    if found.state not in (RebuildState.QUEUED, RebuildState.RUNNING):
        return
    if due is not None and row.n - attempts.drained(conn, row) <= retries:
        attempts.create(conn, row.rebuild_id, row.kind, arch=found.arch, priority=found.priority, now=now, n=row.n + 1, due=due)
        if found.state is RebuildState.RUNNING:
            rebuilds.move(conn, found.id, RebuildState.QUEUED, now=now, phase=Phase.WAIT.value)
        else:
            rebuilds.touch(conn, found.id, now=now, waiting=None)
        return
    if row.kind is AttemptKind.RESOLVE or found.resolution_id is None:
        detail = f"nobody could say what the original is: {reason}, {row.n} attempts"
        rebuilds.move(conn, found.id, RebuildState.REJECTED, now=now, cause_class=Slug.UNAVAILABLE.value, cause_detail=detail)
        return
    rebuilds.move(
        conn,
        found.id,
        RebuildState.ATTESTING,
        now=now,
        phase=Phase.ATTEST.value,
        settled_by=SettledBy.INFRASTRUCTURE.value,
        cause_class="infrastructure",
        cause_detail=f"{reason} ({row.n} attempts)",
    )
