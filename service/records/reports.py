"""Reports and resolutions: what workers signed, kept for ever, one per attempt. The id is the SHA-256 of the PAE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from reprove.core.digests import AttestationId
from service.records.schema import report


class ReportKind(StrEnum):
    """Who signed it and after which kind of attempt."""

    RESOLUTION = "resolution"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One envelope (its JCS bytes as they came) and what it was fenced by."""

    id: AttestationId
    kind: ReportKind
    rebuild_id: str
    attempt_id: str
    envelope: bytes
    worker_sha256: str
    lease_sha256: str
    created: datetime


def get(conn: Connection, id: str) -> ReportRow | None:  # noqa: A002  # the column's name
    """Read one by id."""
    row = conn.execute(select(report).where(report.c.id == id)).mappings().first()
    return None if row is None else ReportRow(**{**row, "kind": ReportKind(row["kind"])})


def of_rebuild(conn: Connection, rebuild_id: str) -> list[ReportRow]:
    """Resolution and reports of a rebuild, in order of arrival."""
    query = select(report).where(report.c.rebuild_id == rebuild_id).order_by(report.c.created, report.c.kind.desc())
    return [ReportRow(**{**row, "kind": ReportKind(row["kind"])}) for row in conn.execute(query).mappings()]


def of_attempt(conn: Connection, attempt_id: str) -> ReportRow | None:
    """What an attempt ended with."""
    row = conn.execute(select(report).where(report.c.attempt_id == attempt_id)).mappings().first()
    return None if row is None else ReportRow(**{**row, "kind": ReportKind(row["kind"])})
