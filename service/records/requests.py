"""Requests: one principal's wish, joined to the work that serves it.

``accept`` is what ``POST /v1/requests`` calls; when it returns, the request is durable and the 202 may be sent. ``cancel`` detaches one principal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.outcomes import Outcome
from reprove.core.states import RebuildState
from reprove.crashpoints import crash_point
from service.records import attempts, audit, ids, limits, rebuilds
from service.records.database import Database
from service.records.ids import RebuildId, RequestId
from service.records.principals import Principal
from service.records.schema import idempotency, rebuild, request

MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request became. ``created`` is False when it joined a rebuild, or repeats an answer given before."""

    request_id: RequestId
    rebuild_id: RebuildId
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Everything of a request that goes into records; ``canonical_request`` is the natural key's preimage."""

    principal: Principal
    canonical_request: dict[str, Any]
    body: dict[str, Any]
    key: str | None
    priority: int
    visibility: str
    max_age: timedelta
    force: bool
    arch: str
    per_minute: int


_NEW_REQUEST, _NEW_KEY, _NEW_REBUILD = request.insert(), idempotency.insert(), rebuild.insert()
_SEEN = (
    select(idempotency.c.body_sha256, idempotency.c.request_id, request.c.rebuild_id)
    .join(request)
    .where(idempotency.c.principal_id == bindparam("principal"), idempotency.c.key == bindparam("key"))
)
# "the newest that may be shared": one under way, or one with a verdict that is young enough; forced ones included
_SHARED = (
    select(rebuild.c.id, rebuild.c.state, rebuild.c.priority)
    .where(
        rebuild.c.request_sha256 == bindparam("digest"),
        rebuild.c.visibility == bindparam("visibility"),
        rebuild.c.state.in_([RebuildState.QUEUED.value, RebuildState.RUNNING.value, RebuildState.ATTESTING.value])
        | (
            (rebuild.c.state == RebuildState.DONE.value)
            & (rebuild.c.outcome != Outcome.INCONCLUSIVE.value)
            & (rebuild.c.finished >= bindparam("oldest", type_=rebuild.c.finished.type))
        ),
    )
    .order_by(rebuild.c.created.desc(), rebuild.c.id.desc())
    .limit(1)
)


def accept(
    db: Database,
    principal: Principal,
    canonical_request: dict[str, Any],
    *,
    body: dict[str, Any],
    key: str | None = None,
    priority: int = 0,
    visibility: str = "public",
    max_age: timedelta = timedelta(days=30),
    force: bool = False,
    now: datetime,
    arch: str = "amd64",
    per_minute: int = 0,
) -> Accepted:
    """Store the request, and its rebuild unless one can be joined, in one durable transaction (DESIGN section 5.1).

    ``body`` is the posted JSON, kept, and compared under an idempotency ``key``: the same key and body give the same answer, another body
    ``idempotency-conflict``. ``per_minute`` limits this principal's writes (0: no limit; ``rate-limited``).
    """
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise ProblemError(Slug.INVALID_REQUEST, f"Idempotency-Key has 1 to {MAX_KEY} characters")
    wish = Wish(
        principal=principal,
        canonical_request=canonical_request,
        body=body,
        key=key,
        priority=priority,
        visibility=visibility,
        max_age=max_age,
        force=force,
        arch=arch,
        per_minute=per_minute,
    )
    accepted = db.grouped(lambda conn: _accept(conn, wish, now))
    # a crash here loses nothing: the client repeats with its key and gets this answer, or finds the rebuild
    crash_point("accept.committed")
    return accepted


def cancel(conn: Connection, principal: Principal, rebuild_id: str, now: datetime) -> RebuildState:
    """Detach this principal's requests from a rebuild, and stop it when nobody waits for it any more; returns the state after.

    A running attempt hears of it at its next heartbeat. Raises ``not-found`` when the principal has no request there, and
    ``invalid-request`` from ``attesting`` on. Cancelling twice answers the same.
    """
    row = rebuilds.get(conn, rebuild_id)
    mine = (request.c.rebuild_id == rebuild_id) & (request.c.principal_id == principal.id)
    if row is None or conn.execute(select(request.c.id).where(mine).limit(1)).scalar() is None:
        raise ProblemError(Slug.NOT_FOUND, "no request of yours waits for such a rebuild")
    if row.state is RebuildState.CANCELLED:
        return row.state
    if row.state not in (RebuildState.QUEUED, RebuildState.RUNNING):
        raise ProblemError(Slug.INVALID_REQUEST, f"the rebuild is {row.state}: it can no longer be cancelled")
    conn.execute(update(request).where(mine, request.c.cancelled.is_(None)).values(cancelled=now))
    audit.write(conn, principal, "request.cancel", rebuild_id, now)
    waits = select(request.c.id).where(request.c.rebuild_id == rebuild_id, request.c.cancelled.is_(None)).limit(1)
    if conn.execute(waits).scalar() is not None:
        return row.state
    attempts.cancel_open(conn, rebuild_id, now)
    return rebuilds.move(conn, rebuild_id, RebuildState.CANCELLED, now=now).state


def _accept(conn: Connection, wish: Wish, now: datetime) -> Accepted:
    body_sha256 = sha256(canonical(wish.body))
    if wish.key is not None:
        seen = conn.execute(_SEEN, {"principal": wish.principal.id, "key": wish.key}).first()
        if seen is not None:
            if seen.body_sha256 != body_sha256:
                raise ProblemError(Slug.IDEMPOTENCY_CONFLICT, "this Idempotency-Key was used with another body")
            return Accepted(RequestId(seen.request_id), RebuildId(seen.rebuild_id), created=False)
    if wish.per_minute:
        limits.spend(conn, wish.principal.id, wish.per_minute, now)
    joined = None if wish.force else _join(conn, wish, now)
    rebuild_id = joined or _create(conn, wish, now)
    request_id = ids.request_id(now)
    conn.execute(
        _NEW_REQUEST,
        {
            "id": request_id,
            "principal_id": wish.principal.id,
            "rebuild_id": rebuild_id,
            "body": wish.body,
            "priority": wish.priority,
            "visibility": wish.visibility,
            "created": now,
        },
    )
    if wish.key is not None:
        row = {"principal_id": wish.principal.id, "key": wish.key, "body_sha256": body_sha256, "request_id": request_id, "created": now}
        conn.execute(_NEW_KEY, row)
    return Accepted(request_id, rebuild_id, created=joined is None)


def _join(conn: Connection, wish: Wish, now: datetime) -> RebuildId | None:
    found = conn.execute(
        _SHARED, {"digest": sha256(canonical(wish.canonical_request)), "visibility": wish.visibility, "oldest": now - wish.max_age}
    ).first()
    if found is None:
        return None
    if wish.priority > found.priority and not RebuildState(found.state).terminal:
        attempts.raise_priority(conn, found.id, wish.priority)
    return RebuildId(found.id)


def _create(conn: Connection, wish: Wish, now: datetime) -> RebuildId:
    text = canonical(wish.canonical_request)
    rebuild_id = ids.rebuild_id(now)
    conn.execute(
        _NEW_REBUILD,
        {
            "id": rebuild_id,
            "request": text.decode(),
            "request_sha256": sha256(text),
            "purl": wish.canonical_request.get("purl"),
            "state": RebuildState.QUEUED.value,
            "visibility": wish.visibility,
            "arch": wish.arch,
            "priority": wish.priority,
            "seq": 1,
            "created": now,
            "updated": now,
        },
    )
    attempts.create(conn, rebuild_id, attempts.AttemptKind.RESOLVE, arch=wish.arch, priority=wish.priority, now=now)
    return rebuild_id
