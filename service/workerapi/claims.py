"""``POST /w/v1/claims``: from a ring of the bell to a lease."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint

from reprove.core import dsse
from reprove.core.digests import parse_sha256
from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.crashpoints import crash_point
from reprove.settings import Settings
from service.access.authentication import require
from service.records import attempts, fenced, ids, reports
from service.records.attempts import AttemptKind
from service.records.fenced import Claimed
from service.workerapi.context import ROLE_OF_KIND, api, body_object, caller, moment

blueprint = Blueprint("claims", __name__)
_MEMBERS = frozenset({"attempt", "worker"})


@blueprint.post("/w/v1/claims")
def claim() -> dict[str, Any]:
    """Claim an attempt for a worker's key; 409 ``lease-lost`` when it is not to be had (a second ring, a cancellation)."""
    now = moment()
    principal = caller(now)
    body = body_object(_MEMBERS, required=_MEMBERS)
    attempt_id, worker = body["attempt"], parse_sha256(body["worker"], pointer="/worker")
    if not isinstance(attempt_id, str) or not ids.is_id(attempt_id, "at"):
        raise ProblemError(Slug.INVALID_REQUEST, "not an attempt's id", pointer="/attempt")
    settings = api().settings
    with api().database.read() as conn:
        row = attempts.get(conn, attempt_id)
    if row is None:
        raise ProblemError(Slug.LEASE_LOST, "there is no such attempt")
    role = ROLE_OF_KIND[row.kind]
    require(principal, role)
    if api().enrolled.current().find(worker, role, now) is None:
        raise ProblemError(Slug.FORBIDDEN, f"key {worker} is not enrolled for role {role}: `reprove worker enroll`")

    claimed = api().database.grouped(
        lambda conn: fenced.claim(conn, attempt_id, row.kind, principal=principal, worker_sha256=worker, now=now, seconds=settings.lease_seconds)
    )
    # a crash here leaves a lease that nobody has: it expires, and the next attempt follows
    crash_point("claim.committed")
    if row.kind is AttemptKind.REBUILD:
        (settings.home / "logs" / f"{row.rebuild_id}.log").unlink(missing_ok=True)
    return _answer(claimed, settings)


def _answer(claimed: Claimed, settings: Settings) -> dict[str, Any]:
    row, rebuild = claimed.attempt, claimed.rebuild
    body: dict[str, Any] = {
        "lease": claimed.lease,
        "lease_seconds": settings.lease_seconds,
        "attempt": {"id": row.id, "n": row.n, "kind": row.kind.value},
        "rebuild": {"id": rebuild.id, "request": json.loads(rebuild.request), "request_sha256": rebuild.request_sha256},
        "limits": {
            "time": settings.limit_time,
            "memory": settings.limit_memory,
            "disk": settings.limit_disk,
            "pids": settings.limit_pids,
            "log": settings.limit_log,
        },
    }
    if row.kind is AttemptKind.REBUILD:
        with api().database.read() as conn:
            resolution = reports.get(conn, rebuild.resolution_id or "")
        if resolution is None:
            raise OwnError(f"rebuild {rebuild.id} has a rebuild attempt and no resolution")
        body["resolution"] = {"id": resolution.id, "envelope": dsse.decode(resolution.envelope).as_json()}
    return body
