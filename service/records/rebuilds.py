"""Rebuilds: the shared work. ``get`` reads one, ``move`` changes its state by the transition table, ``as_json`` is INTERFACE section 5.

Callers: the API reads (``get``, ``as_json``, ``events``, ``seq_of``); the attester takes ``attesting(conn, limit)`` and ends each with
``move(conn, id, RebuildState.DONE, now=..., outcome=..., level=..., findings=[...], ...)`` in the transaction that records the entries.
Every change bumps ``seq``, which long polls wait on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from reprove.core.errors import OwnError
from reprove.core.states import REBUILD_TRANSITIONS, RebuildState
from service.records import times
from service.records.ids import RebuildId
from service.records.schema import attempt, entry, event, rebuild, statement


class SettledBy(StrEnum):
    """What the attester finds when a rebuild is ``attesting``."""

    REPORT = "report"
    """``report_id`` names the worker's signed report."""
    RESOLUTION = "resolution"
    """``resolution_id`` names a resolution with its own outcome; there is no report."""
    INFRASTRUCTURE = "infrastructure"
    """Retries are spent: outcome ``inconclusive``; ``cause_detail`` says what failed; ``resolution_id`` is there."""


@dataclass(frozen=True, slots=True)
class RebuildRow:
    """One row of ``rebuild``; JSON columns are Python values."""

    id: RebuildId
    request: str
    request_sha256: str
    purl: str | None
    state: RebuildState
    phase: str | None
    waiting: dict[str, str] | None
    settled_by: SettledBy | None
    outcome: str | None
    level: str | None
    cause_class: str | None
    cause_detail: str | None
    findings: list[Any] | None
    original_sha256: str | None
    original_file: str | None
    original_purl: str | None
    original_size: int | None
    rebuilt_sha256: str | None
    rebuilt_size: int | None
    recipe_digest: str | None
    recipe_origin: str | None
    environment_digest: str | None
    inputs: list[Any] | None
    differences: list[Any] | None
    causes: list[Any] | None
    resolution_id: str | None
    report_id: str | None
    visibility: str
    arch: str
    priority: int
    seq: int
    created: datetime
    updated: datetime
    finished: datetime | None


_NAMES = tuple(field.name for field in fields(RebuildRow))
_GET = select(rebuild).where(rebuild.c.id == bindparam("id"))
_SEQ = select(rebuild.c.seq, rebuild.c.state).where(rebuild.c.id == bindparam("id"))


def get(conn: Connection, id: str) -> RebuildRow | None:  # noqa: A002  # the column's name
    """Read one rebuild, None when there is none."""
    row = conn.execute(_GET, {"id": id}).mappings().first()
    return None if row is None else _read(row)


def seq_of(conn: Connection, id: str) -> tuple[int, RebuildState] | None:  # noqa: A002  # the column's name
    """Answer the long poll: the sequence number and the state; another number means that something changed."""
    row = conn.execute(_SEQ, {"id": id}).first()
    return None if row is None else (row.seq, RebuildState(row.state))


def move(conn: Connection, id: str, to: RebuildState, *, now: datetime | None = None, **columns: object) -> RebuildRow:  # noqa: A002  # the column's name
    """Change the state, set other columns, bump ``seq``. A terminal state sets ``finished``, and ends phase and waiting.

    Raises OwnError for a transition that the table does not have: the caller's transaction must be undone.
    """
    moment = now or times.now()
    current = conn.execute(_SEQ, {"id": id}).first()
    if current is None:
        raise OwnError(f"rebuild {id} does not exist")
    if to not in REBUILD_TRANSITIONS[RebuildState(current.state)]:
        raise OwnError(f"rebuild {id} is {current.state}, it cannot become {to}")
    values: dict[str, object] = {"state": to.value, "waiting": None, "updated": moment, **columns}
    if to.terminal:
        values |= {"finished": moment, "phase": None}
    conn.execute(rebuild.update().where(rebuild.c.id == id).values(seq=rebuild.c.seq + 1, **values))
    row = get(conn, id)
    assert row is not None
    return row


def touch(conn: Connection, id: str, *, now: datetime, **columns: object) -> None:  # noqa: A002  # the column's name
    """Set columns without changing the state (phase, waiting), and bump ``seq``."""
    conn.execute(rebuild.update().where(rebuild.c.id == id).values(seq=rebuild.c.seq + 1, updated=now, **columns))


def attesting(conn: Connection, limit: int = 32) -> list[RebuildRow]:
    """The attester's queue: rebuilds in state ``attesting``, oldest first; ``settled_by`` says what to read."""
    query = select(rebuild).where(rebuild.c.state == RebuildState.ATTESTING.value).order_by(rebuild.c.id).limit(limit)
    return [_read(row) for row in conn.execute(query).mappings()]


def ids_in(conn: Connection, state: RebuildState) -> list[str]:
    """The ids of all rebuilds in a state."""
    return list(conn.execute(select(rebuild.c.id).where(rebuild.c.state == state.value)).scalars())


def count_by_state(conn: Connection) -> dict[str, int]:
    """How many rebuilds are in each state, for metrics."""
    return {row.state: row.n for row in conn.execute(select(rebuild.c.state, func.count().label("n")).group_by(rebuild.c.state))}


def under_way(conn: Connection, *, sha256: str | None = None, purl: str | None = None) -> str | None:
    """The id of a rebuild that is not terminal, of this original or purl (as posted or canonical); decisions answer ``pending`` by it."""
    query = select(rebuild.c.id).where(rebuild.c.state.in_([state.value for state in RebuildState if not state.terminal]))
    query = query.where(rebuild.c.original_sha256 == sha256) if sha256 is not None else query.where(rebuild.c.purl == purl)
    return conn.execute(query.order_by(rebuild.c.id.desc()).limit(1)).scalar()


def add_events(conn: Connection, id: str, bodies: list[dict[str, Any]], *, attempt_id: str | None, now: datetime) -> None:  # noqa: A002  # the column's name
    """Append progress events; the last one started gives the rebuild's ``phase``."""
    if not bodies:
        return
    last = conn.execute(select(func.max(event.c.n)).where(event.c.rebuild_id == id)).scalar() or 0
    rows = [{"rebuild_id": id, "n": last + 1 + offset, "attempt_id": attempt_id, "at": now, "body": body} for offset, body in enumerate(bodies)]
    conn.execute(event.insert(), rows)


def events(conn: Connection, id: str, *, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:  # noqa: A002  # the column's name
    """Progress events after number ``after``: ``{n, at, attempt?, phase, status, detail, seconds, candidate?}``."""
    query = select(event).where(event.c.rebuild_id == id, event.c.n > after).order_by(event.c.n).limit(limit)
    found = []
    for row in conn.execute(query):
        head = {"n": row.n, "at": times.rfc3339(row.at)} | ({"attempt": row.attempt_id} if row.attempt_id else {})
        found.append(head | row.body)
    return found


def as_json(conn: Connection, row: RebuildRow) -> dict[str, Any]:
    """The rebuild JSON of INTERFACE section 5. Absent parts are absent; ``outcome`` and what goes with it stand only in state ``done``."""
    body: dict[str, Any] = {"kind": "rebuild", "id": row.id, "state": row.state.value, "seq": row.seq, "visibility": row.visibility}
    body["created"] = times.rfc3339(row.created)
    _put(body, "finished", times.rfc3339(row.finished) if row.finished else None)
    _put(body, "phase", row.phase)
    _put(body, "waiting", row.waiting)
    _put(body, "purl", row.purl)
    _put(body, "original", _present(sha256=row.original_sha256, file=row.original_file, size=row.original_size, purl=row.original_purl))
    if row.state in (RebuildState.DONE, RebuildState.REJECTED):
        _put(body, "cause", _present(**{"class": row.cause_class, "detail": row.cause_detail}))
    if row.state is RebuildState.DONE:
        for name in ("outcome", "level", "inputs", "differences", "causes"):
            _put(body, name, getattr(row, name))
        body["findings"] = row.findings or []
        _put(body, "rebuilt", _present(sha256=row.rebuilt_sha256, size=row.rebuilt_size))
        _put(body, "recipe", _present(digest=row.recipe_digest, origin=row.recipe_origin))
        _put(body, "environment", _present(digest=row.environment_digest))
    body["attempts"] = _attempts(conn, row.id)
    body["attestations"] = _attestations(conn, row.id)
    body["links"] = {"self": f"/v1/rebuilds/{row.id}", "events": f"/v1/rebuilds/{row.id}/events", "log": f"/v1/rebuilds/{row.id}/log"}
    if row.state in (RebuildState.QUEUED, RebuildState.RUNNING):
        body["links"]["cancel"] = f"/v1/rebuilds/{row.id}/cancel"
    return body


_ATTEMPTS = (
    select(attempt.c.id, attempt.c.kind, attempt.c.n, attempt.c.state, attempt.c.reason)
    .where(attempt.c.rebuild_id == bindparam("id"))
    .order_by(attempt.c.id)
)
_ATTESTATIONS = (
    select(statement.c.id, statement.c.predicate_type, entry.c.log_index)
    .join(entry, entry.c.statement_id == statement.c.id)
    .where(statement.c.rebuild_id == bindparam("id"))
    .order_by(entry.c.log_index)
)


def _attempts(conn: Connection, id: str) -> list[dict[str, Any]]:  # noqa: A002  # the column's name
    return [_present(id=row.id, kind=row.kind, n=row.n, state=row.state, reason=row.reason) or {} for row in conn.execute(_ATTEMPTS, {"id": id})]


def _attestations(conn: Connection, id: str) -> list[dict[str, Any]]:  # noqa: A002  # the column's name
    """Only those that have an entry: nothing is shown that has no inclusion proof (G3)."""
    return [{"id": row.id, "predicateType": row.predicate_type, "logIndex": row.log_index} for row in conn.execute(_ATTESTATIONS, {"id": id})]


def _present(**members: object) -> dict[str, Any] | None:
    found = {name: value for name, value in members.items() if value is not None}
    return found or None


def _put(body: dict[str, Any], name: str, value: object) -> None:
    if value is not None:
        body[name] = value


def _read(row: RowMapping) -> RebuildRow:
    values = {name: row[name] for name in _NAMES}
    values["state"] = RebuildState(values["state"])
    values["settled_by"] = SettledBy(values["settled_by"]) if values["settled_by"] else None
    return RebuildRow(**values)
