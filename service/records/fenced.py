"""What a worker does under its lease. Every write checks the lease in its own transaction, so a worker that lost it can change nothing.

A lease is 256 random bits that only the worker has; rows keep its SHA-256, which the report names. The attempt's state is the fence; the
expiry tells the reconciler when to act, and nothing but a heartbeat may be late.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from reprove.core.digests import AttestationId, sha256
from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.core.states import AttemptState, Phase, RebuildState
from service.records import attempts, blobs, listings, rebuilds, recovery, reports
from service.records.attempts import AttemptKind, AttemptRow
from service.records.principals import Principal
from service.records.rebuilds import RebuildRow, SettledBy
from service.records.reports import ReportKind
from service.records.schema import attempt, candidate, report

MAX_EVENTS = 5000
"""Most progress events of one rebuild; later ones are dropped, they are for people."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A lease, at the only moment when its token is known."""

    lease: str
    attempt: AttemptRow
    rebuild: RebuildRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A checked envelope: its id, its JCS bytes, the blobs that it names; ``packages`` are those that its environment's ``lock`` names."""

    id: AttestationId
    envelope: bytes
    blobs: frozenset[str]
    lock: str | None = None
    packages: frozenset[str] = frozenset()


def claim(conn: Connection, attempt_id: str, kind: AttemptKind, *, principal: Principal, worker_sha256: str, now: datetime, seconds: int) -> Claimed:
    """Give the attempt to a worker. Raises ``lease-lost`` when it is not to be had: claimed before, ended, or of another kind."""
    row = attempts.get(conn, attempt_id)
    if row is None or row.kind is not kind or row.state not in (AttemptState.WAITING, AttemptState.DISPATCHED):
        raise _lost("this attempt is not to be claimed")
    lease = secrets.token_urlsafe(32)
    attempts.set_state(
        conn,
        row,
        AttemptState.RUNNING,
        now=now,
        lease_sha256=sha256(lease.encode()),
        worker_sha256=worker_sha256,
        principal_id=principal.id,
        claimed=now,
        expires=now + timedelta(seconds=seconds),
    )
    if kind is AttemptKind.REBUILD:
        found = rebuilds.move(conn, row.rebuild_id, RebuildState.RUNNING, now=now, phase=Phase.RECIPE.value)
    else:
        rebuilds.touch(conn, row.rebuild_id, now=now, phase=Phase.RESOLVE.value, waiting=None)
        found = _rebuild(conn, row)
    claimed = attempts.get(conn, attempt_id)
    assert claimed is not None
    return Claimed(lease, claimed, found)


def held(conn: Connection, lease: str, now: datetime) -> AttemptRow:
    """The attempt that this lease holds now. Raises ``lease-lost``."""
    row = _of_lease(conn, lease)
    if row is None or row.state is not AttemptState.RUNNING or row.expires is None or row.expires <= now:
        raise _lost("this lease is over: stop, and leave nothing running")
    return row


def heartbeat(conn: Connection, lease: str, events: Sequence[dict[str, Any]], waiting: dict[str, str] | None, *, now: datetime, seconds: int) -> bool:
    """Extend the lease and record progress; True when the rebuild was cancelled and the worker must stop. Raises ``lease-lost``.

    A late heartbeat of an attempt that nobody has declared lost is welcome: a pause of the whole host should not cost a build.
    """
    row = _of_lease(conn, lease)
    if row is not None and row.state is AttemptState.CANCELLED:
        return True
    if row is None or row.state is not AttemptState.RUNNING:
        raise _lost("this lease is over: stop, and leave nothing running")
    conn.execute(update(attempt).where(attempt.c.id == row.id).values(expires=now + timedelta(seconds=seconds)))
    found = _rebuild(conn, row)
    changes: dict[str, object] = {}
    if events:
        rebuilds.add_events(conn, row.rebuild_id, list(events), attempt_id=row.id, now=now)
        changes["phase"] = events[-1]["phase"]
    if waiting != found.waiting:
        changes["waiting"] = waiting
    if changes:
        rebuilds.touch(conn, row.rebuild_id, now=now, **changes)
    return False


def reserve(conn: Connection, lease: str, size: int, *, quota: int, now: datetime) -> AttemptRow:
    """Count ``size`` bytes against the lease's quota before they are read. Raises ``lease-lost``, ``too-large``."""
    row = held(conn, lease, now)
    if row.bytes_written + size > quota:
        raise ProblemError(Slug.TOO_LARGE, f"this lease may store {quota} bytes; {row.bytes_written} are used")
    conn.execute(update(attempt).where(attempt.c.id == row.id).values(bytes_written=attempt.c.bytes_written + size))
    return row


def answered(conn: Connection, lease: str, id: AttestationId) -> bool:  # noqa: A002  # the envelope's id
    """Whether this very envelope was stored under this lease before: the answer was lost, and is given again."""
    row = _of_lease(conn, lease)
    stored = None if row is None else reports.of_attempt(conn, row.id)
    return stored is not None and stored.id == id


def store_resolution(conn: Connection, lease: str, signed: Signed, facts: ResolutionFacts, now: datetime) -> None:
    """The resolution's transaction: envelope, original, listing, and either the rebuild attempt with its bell or state ``attesting``."""
    row = held(conn, lease, now)
    _store(conn, row, lease, signed, ReportKind.RESOLUTION, now)
    found = _rebuild(conn, row)
    listings.record(conn, found.id, facts.release, facts.listing, now)
    columns: dict[str, object] = {
        "resolution_id": signed.id,
        "original_sha256": facts.original_sha256,
        "original_file": facts.original_file,
        "original_size": facts.original_size,
        "original_purl": facts.original_purl,
        "waiting": None,
    }
    if facts.settled:
        columns |= {"phase": Phase.ATTEST.value, "settled_by": SettledBy.RESOLUTION.value}
        rebuilds.move(conn, found.id, RebuildState.ATTESTING, now=now, **columns)
        return
    attempts.create(conn, found.id, AttemptKind.REBUILD, arch=found.arch, priority=found.priority, now=now)
    rebuilds.touch(conn, found.id, now=now, phase=Phase.WAIT.value, **columns)


def store_report(conn: Connection, lease: str, signed: Signed, candidates: Sequence[dict[str, object]], now: datetime) -> None:
    """The report's transaction: envelope, candidates, and state ``attesting``. What it claims is the attester's to judge."""
    row = held(conn, lease, now)
    _store(conn, row, lease, signed, ReportKind.REPORT, now)
    if candidates:
        conn.execute(candidate.insert(), [{"attempt_id": row.id, **each} for each in candidates])
    rebuilds.move(
        conn, row.rebuild_id, RebuildState.ATTESTING, now=now, phase=Phase.ATTEST.value, settled_by=SettledBy.REPORT.value, report_id=signed.id
    )


def reject(conn: Connection, lease: str, cause: Slug, detail: str, now: datetime) -> None:
    """The original cannot be determined: the rebuild ends ``rejected``, without an outcome. Raises ``lease-lost``."""
    row = held(conn, lease, now)
    if row.kind is not AttemptKind.RESOLVE:
        raise ProblemError(Slug.INVALID_REQUEST, "only a resolve attempt can reject")
    attempts.set_state(conn, row, AttemptState.REPORTED, now=now, reason=cause.value)
    blobs.release(conn, row.id)
    rebuilds.move(conn, row.rebuild_id, RebuildState.REJECTED, now=now, cause_class=cause.value, cause_detail=detail)


def release(conn: Connection, lease: str, reason: str, *, retry: bool, drained: bool = False, retries: int, now: datetime) -> None:
    """The worker's infrastructure failed: the attempt ends, another follows after a pause, or the rebuild ends. Raises ``lease-lost``.

    ``drained``: the worker was told to stop, nothing failed; another attempt follows at once and costs no retry.
    """
    row = held(conn, lease, now)
    attempts.set_state(conn, row, AttemptState.DRAINED if drained else AttemptState.RELEASED, now=now, reason=reason)
    due = now if drained else now + recovery.BACKOFF * row.n if retry else None
    recovery.go_on(conn, row, reason, retries=retries, now=now, due=due)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionFacts:
    """What records repeat of a resolution, for search and for the next attempt; the envelope is what counts."""

    original_sha256: str
    original_file: str
    original_size: int
    original_purl: str
    release: str
    listing: Sequence[tuple[str, str | None]]
    settled: bool


def _store(conn: Connection, row: AttemptRow, lease: str, signed: Signed, kind: ReportKind, now: datetime) -> None:
    absent = blobs.missing(conn, signed.blobs | signed.packages)
    if absent:
        raise ProblemError(Slug.INVALID_REQUEST, f"{len(absent)} blobs that it names are not stored: {', '.join(absent[:20])}")
    conn.execute(
        report.insert().values(
            id=signed.id,
            kind=kind.value,
            rebuild_id=row.rebuild_id,
            attempt_id=row.id,
            envelope=signed.envelope,
            worker_sha256=row.worker_sha256,
            lease_sha256=sha256(lease.encode()),
            created=now,
        )
    )
    # from now on the rebuild holds them, for ever; the attempt's own references end with it
    blobs.refer(conn, signed.blobs, row.rebuild_id)
    if signed.lock is not None:
        # one holder for all rebuilds of an environment: hundreds of packages each
        blobs.refer(conn, signed.packages, f"lock:{signed.lock}")
    blobs.release(conn, row.id)
    attempts.set_state(conn, row, AttemptState.REPORTED, now=now)


def _of_lease(conn: Connection, lease: str) -> AttemptRow | None:
    row = conn.execute(select(attempt).where(attempt.c.lease_sha256 == sha256(lease.encode()))).mappings().first()
    return None if row is None else attempts.read(row)


def _rebuild(conn: Connection, row: AttemptRow) -> RebuildRow:
    found = rebuilds.get(conn, row.rebuild_id)
    if found is None:
        raise OwnError(f"attempt {row.id} has no rebuild")
    return found


def _lost(detail: str) -> ProblemError:
    return ProblemError(Slug.LEASE_LOST, detail)
