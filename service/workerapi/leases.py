"""``/w/v1/leases/<lease>/…``: everything that a worker does while it holds an attempt."""

from __future__ import annotations

import math
import os
from typing import Any

import structlog
from flask import Blueprint, request

from reprove.core.dsse import MAX_ENVELOPE_BYTES, Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.states import Phase
from reprove.crashpoints import crash_point
from service.access.authentication import require
from service.records import fenced, listings, rebuilds
from service.records.attempts import AttemptKind
from service.workerapi import intake
from service.workerapi.context import ROLE_OF_KIND, api, body_bytes, body_object, caller, moment
from service.workerapi.intake import Fence

blueprint = Blueprint("leases", __name__, url_prefix="/w/v1/leases/<string(maxlength=64):lease>")
MAX_LOG_CHUNK = 256 * 1024
MAX_DETAIL = 400
MAX_EVENTS = 500
_STATUSES = frozenset({"started", "done", "failed"})
_PHASES = frozenset(phase.value for phase in Phase)
_log = structlog.get_logger(__name__)


@blueprint.post("/heartbeat")
def heartbeat(lease: str) -> dict[str, Any]:
    """Extend the lease, record events, say whether to stop."""
    now = moment()
    caller(now)
    body = body_object(frozenset({"events", "waiting"}), required=frozenset())
    rows = body.get("events", [])
    if not isinstance(rows, list) or len(rows) > MAX_EVENTS:
        raise ProblemError(Slug.INVALID_REQUEST, f"events is a list of at most {MAX_EVENTS}", pointer="/events")
    events = [_event(row, f"/events/{index}") for index, row in enumerate(rows)]
    waiting = _waiting(body.get("waiting"))
    seconds = api().settings.lease_seconds
    cancel = api().database.grouped(lambda conn: fenced.heartbeat(conn, lease, events, waiting, now=now, seconds=seconds))
    return {"lease_seconds": seconds, "cancel": cancel}


@blueprint.post("/log")
def log(lease: str) -> dict[str, Any]:
    """Write a piece of the running log at an offset; the same call again writes the same bytes again. For people, never evidence."""
    now = moment()
    caller(now)
    offset_text = request.args.get("offset", "")
    if not offset_text.isascii() or not offset_text.isdigit() or len(offset_text) > 15:
        raise ProblemError(Slug.INVALID_REQUEST, "offset is a number of bytes")
    offset = int(offset_text)
    data = body_bytes(MAX_LOG_CHUNK, "a piece of log")
    if offset + len(data) > api().settings.limit_log:
        raise ProblemError(Slug.TOO_LARGE, f"a log has at most {api().settings.limit_log} bytes")
    with api().database.read() as conn:
        row = fenced.held(conn, lease, now)
    folder = api().settings.home / "logs"
    descriptor = os.open(folder / f"{row.rebuild_id}.log", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        if offset > size:
            raise ProblemError(Slug.INVALID_REQUEST, f"the log has {size} bytes; continue there")
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)
    return {"size": max(size, offset + len(data))}


@blueprint.post("/resolution")
def resolution(lease: str) -> dict[str, Any]:
    """Store the signed resolution; the attempt ends, the rebuild attempt begins (or the outcome is settled)."""
    now = moment()
    envelope = _signed_body(lease, AttemptKind.RESOLVE)
    if envelope.repeated:
        return {"id": envelope.id}
    signed, facts = intake.check_resolution(envelope.value, envelope.fence)
    api().database.grouped(lambda conn: fenced.store_resolution(conn, lease, signed, facts, now))
    # a crash here loses nothing: the worker posts the same bytes again and gets the same id
    crash_point("resolution.stored")
    _alarm(facts.release)
    return {"id": signed.id}


def _alarm(release: str) -> None:
    """Tell the operator when two looks at a release saw other bytes under one name (DESIGN section 5.2); decisions deny it by themselves."""
    with api().database.read() as conn:
        names = listings.conflicts(conn, release)
    if names:
        _log.error("purl_conflict", purl=release, files=names[:20], count=len(names))


@blueprint.post("/report")
def report(lease: str) -> dict[str, Any]:
    """Store the signed report; the attempt ends and the attester goes on."""
    now = moment()
    envelope = _signed_body(lease, AttemptKind.REBUILD)
    if envelope.repeated:
        return {"id": envelope.id}
    signed, candidates = intake.check_report(envelope.value, envelope.fence, api().store)
    api().database.grouped(lambda conn: fenced.store_report(conn, lease, signed, candidates, now))
    # a crash here loses nothing: the worker posts the same bytes again and gets the same id
    crash_point("report.stored")
    return {"id": signed.id}


@blueprint.post("/reject")
def reject(lease: str) -> dict[str, Any]:
    """End the rebuild as ``rejected``: the original cannot be determined."""
    now = moment()
    caller(now)
    cause = body_object(frozenset({"cause"}), required=frozenset({"cause"}))["cause"]
    if not isinstance(cause, dict) or set(cause) != {"class", "detail"} or not isinstance(cause["detail"], str):
        raise ProblemError(Slug.INVALID_REQUEST, "cause is {class, detail}", pointer="/cause")
    try:
        slug = Slug(cause["class"])
    except ValueError:
        raise ProblemError(Slug.INVALID_REQUEST, "the class is a problem slug", pointer="/cause/class") from None
    api().database.grouped(lambda conn: fenced.reject(conn, lease, slug, cause["detail"][:2000], now))
    return {}


@blueprint.post("/release")
def release(lease: str) -> dict[str, Any]:
    """Give the attempt back: the worker's own infrastructure failed."""
    now = moment()
    caller(now)
    body = body_object(frozenset({"reason", "retry", "drained"}), required=frozenset({"reason"}))
    reason, retry, drained = body["reason"], body.get("retry", True), body.get("drained", False)
    if not isinstance(reason, str) or not isinstance(retry, bool) or not isinstance(drained, bool):
        raise ProblemError(Slug.INVALID_REQUEST, "reason is text, retry and drained are true or false")
    retries = api().settings.retries
    api().database.grouped(lambda conn: fenced.release(conn, lease, reason[:MAX_DETAIL], retry=retry, drained=drained, retries=retries, now=now))
    return {}


class _SignedBody:
    """An envelope that came under a lease: either a repetition, or one to check against its fence."""

    def __init__(self, value: Envelope, fence: Fence | None) -> None:
        self.value = value
        self.id = value.id
        self._fence = fence

    @property
    def repeated(self) -> bool:
        return self._fence is None

    @property
    def fence(self) -> Fence:
        assert self._fence is not None
        return self._fence


def _signed_body(lease: str, kind: AttemptKind) -> _SignedBody:
    now = moment()
    principal = caller(now)
    role = ROLE_OF_KIND[kind]
    require(principal, role)
    envelope = intake.read_envelope(body_bytes(MAX_ENVELOPE_BYTES, "the envelope"))
    with api().database.read() as conn:
        if fenced.answered(conn, lease, envelope.id):
            return _SignedBody(envelope, None)
        row = fenced.held(conn, lease, now)
        found = rebuilds.get(conn, row.rebuild_id)
    if row.kind is not kind or found is None:
        raise ProblemError(Slug.INVALID_REQUEST, f"this lease is of a {row.kind} attempt")
    key = api().enrolled.current().find(row.worker_sha256 or "", role, now)
    if key is None:
        raise ProblemError(Slug.FORBIDDEN, "the key that claimed this attempt is no longer enrolled")
    return _SignedBody(envelope, Fence(lease, row, found, key))


def _event(row: object, pointer: str) -> dict[str, Any]:
    if not isinstance(row, dict) or not {"phase", "status"} <= set(row) <= {"phase", "status", "detail", "seconds", "candidate"}:
        raise ProblemError(Slug.INVALID_REQUEST, "an event has phase, status, and perhaps detail, seconds, candidate", pointer=pointer)
    seconds, detail, candidate = row.get("seconds", 0), row.get("detail", ""), row.get("candidate")
    good = (
        isinstance(row["phase"], str)
        and row["phase"] in _PHASES
        and isinstance(row["status"], str)
        and row["status"] in _STATUSES
        and isinstance(detail, str)
        and isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and (candidate is None or (isinstance(candidate, int) and not isinstance(candidate, bool)))
    )
    if not good:
        raise ProblemError(Slug.INVALID_REQUEST, "an event's member has a value that it cannot have", pointer=pointer)
    body = {"phase": row["phase"], "status": row["status"], "detail": detail[:MAX_DETAIL], "seconds": round(seconds, 3)}
    return body if candidate is None else body | {"candidate": candidate}


def _waiting(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    named = isinstance(value, dict) and {"reason"} <= set(value) <= {"reason", "detail"}
    if not isinstance(value, dict) or not named or not all(isinstance(each, str) for each in value.values()):
        raise ProblemError(Slug.INVALID_REQUEST, "waiting is {reason, detail} or null", pointer="/waiting")
    return {name: str(text)[:MAX_DETAIL] for name, text in value.items()}
