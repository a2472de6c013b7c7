"""Attempts: one lease of a rebuild by one worker. Kinds ``resolve`` and ``rebuild`` have the same states and the same rules.

Birth, bell and cancellation are here; what a worker does under its lease is in ``fenced``, what happens without it in ``recovery``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from reprove.core.errors import OwnError
from reprove.core.states import ATTEMPT_TRANSITIONS, AttemptState
from service.records import ids, outbox
from service.records.ids import AttemptId, RebuildId
from service.records.schema import attempt
from service.records.schema import outbox as outbox_table


class AttemptKind(StrEnum):
    """What an attempt does."""

    RESOLVE = "resolve"
    REBUILD = "rebuild"

    def queue(self, arch: str) -> str:
        """The RQ queue on which the bell for this kind is rung."""
        return "resolve" if self is AttemptKind.RESOLVE else f"rebuild-{arch}"

    @property
    def function(self) -> str:
        """The only function that a job of this kind may name."""
        return f"workers.jobs.{self.value}"


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One row of ``attempt``."""

    id: AttemptId
    rebuild_id: RebuildId
    kind: AttemptKind
    n: int
    state: AttemptState
    reason: str | None
    lease_sha256: str | None
    worker_sha256: str | None
    bytes_written: int
    claimed: datetime | None
    expires: datetime | None


OPEN = (AttemptState.WAITING.value, AttemptState.DISPATCHED.value, AttemptState.RUNNING.value)
MAX_DRAINED = 10
"""Restarts of workers that cost a rebuild no retry; a worker that always gives back must not keep a rebuild from its end (G1)."""
_CREATE = attempt.insert()
_GET = select(attempt).where(attempt.c.id == bindparam("id"))


def create(
    conn: Connection, rebuild_id: RebuildId, kind: AttemptKind, *, arch: str, priority: int, now: datetime, n: int = 1, due: datetime | None = None
) -> AttemptId:
    """Make attempt number ``n`` and ask for its bell, not before ``due``. At most one attempt of a rebuild is open at a time."""
    made = ids.attempt_id(now)
    row = {"id": made, "rebuild_id": rebuild_id, "kind": kind.value, "n": n, "state": AttemptState.WAITING.value, "bytes_written": 0, "created": now}
    conn.execute(_CREATE, row)
    outbox.add(conn, made, queue=kind.queue(arch), function=kind.function, priority=priority, due=due or now)
    return made


def get(conn: Connection, id: str) -> AttemptRow | None:  # noqa: A002  # the column's name
    """Read one attempt."""
    row = conn.execute(_GET, {"id": id}).mappings().first()
    return None if row is None else read(row)


def set_state(conn: Connection, row: AttemptRow, to: AttemptState, *, now: datetime, **columns: object) -> None:
    """Change an attempt's state by the table; an end drops its bell. Raises OwnError for a transition that the table does not have."""
    if to not in ATTEMPT_TRANSITIONS[row.state]:
        raise OwnError(f"attempt {row.id} is {row.state}, it cannot become {to}")
    values: dict[str, object] = {"state": to.value, **columns}
    if not ATTEMPT_TRANSITIONS[to]:
        values["ended"] = now
    done = conn.execute(update(attempt).where(attempt.c.id == row.id, attempt.c.state == row.state.value).values(**values))
    if done.rowcount != 1:
        raise OwnError(f"attempt {row.id} changed under its transaction")
    if to not in (AttemptState.WAITING, AttemptState.DISPATCHED):
        outbox.drop(conn, row.id)


def open_of(conn: Connection, rebuild_id: str) -> list[AttemptRow]:
    """The attempts of a rebuild that have not ended (at most one, or a bug)."""
    query = select(attempt).where(attempt.c.rebuild_id == rebuild_id, attempt.c.state.in_(OPEN))
    return [read(row) for row in conn.execute(query).mappings()]


def cancel_open(conn: Connection, rebuild_id: str, now: datetime) -> None:
    """Cancel what has not ended; a worker that holds the lease hears of it at its next heartbeat, and can store nothing more."""
    for row in open_of(conn, rebuild_id):
        set_state(conn, row, AttemptState.CANCELLED, now=now, reason="cancelled")


def raise_priority(conn: Connection, rebuild_id: str, priority: int) -> None:
    """A more urgent request joined: its bell is rung earlier."""
    mine = select(attempt.c.id).where(attempt.c.rebuild_id == rebuild_id)
    conn.execute(update(outbox_table).where(outbox_table.c.attempt_id.in_(mine), outbox_table.c.priority < priority).values(priority=priority))


def drained(conn: Connection, row: AttemptRow) -> int:
    """How many attempts of this kind ended because their worker was told to stop; at most :data:`MAX_DRAINED` are forgiven."""
    query = select(func.count()).where(
        attempt.c.rebuild_id == row.rebuild_id, attempt.c.kind == row.kind.value, attempt.c.state == AttemptState.DRAINED.value
    )
    return min(int(conn.execute(query).scalar_one()), MAX_DRAINED)


def latest_n(conn: Connection, rebuild_id: str, kind: AttemptKind) -> int:
    """The highest attempt number of this kind, 0 when there is none."""
    query = select(func.max(attempt.c.n)).where(attempt.c.rebuild_id == rebuild_id, attempt.c.kind == kind.value)
    return int(conn.execute(query).scalar() or 0)


def read(row: RowMapping) -> AttemptRow:
    """Turn a result row of ``attempt`` into a value."""
    return AttemptRow(
        AttemptId(row["id"]),
        RebuildId(row["rebuild_id"]),
        AttemptKind(row["kind"]),
        row["n"],
        AttemptState(row["state"]),
        row["reason"],
        row["lease_sha256"],
        row["worker_sha256"],
        row["bytes_written"],
        row["claimed"],
        row["expires"],
    )
