"""Audit rows: who did what to what, when; written in the transaction that does it, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from service.records.principals import Principal
from service.records.schema import audit


def write(conn: Connection, principal: Principal, action: str, target: str, now: datetime, **detail: object) -> None:
    """Record an action, such as ``token.revoke``, on a target, such as a token's id. No secret goes into ``detail``."""
    conn.execute(audit.insert().values(at=now, principal_id=principal.id, action=action, target=target, detail=detail or None))


def of_target(conn: Connection, target: str) -> list[dict[str, Any]]:
    """What was done to one target, oldest first."""
    return [dict(row) for row in conn.execute(select(audit).where(audit.c.target == target).order_by(audit.c.id)).mappings()]
