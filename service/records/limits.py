"""A write limit kept in SQL, so that Redis down still means 202, and an emptied Redis opens no gate."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from reprove.core.errors import ProblemError, Slug
from service.records.schema import write_limit
from service.records.times import to_milliseconds


def spend(conn: Connection, principal_id: str, per_minute: int, now: datetime) -> None:
    """Count one write of this principal in this minute. Raises ``rate-limited`` beyond ``per_minute``; nothing is counted then."""
    minute = to_milliseconds(now) // 60_000
    mine = (write_limit.c.principal_id == principal_id) & (write_limit.c.minute == minute)
    used = conn.execute(select(write_limit.c.used).where(mine)).scalar()
    if used is None:
        conn.execute(write_limit.delete().where(write_limit.c.principal_id == principal_id))
        conn.execute(write_limit.insert().values(principal_id=principal_id, minute=minute, used=1))
        return
    if used >= per_minute:
        wait = 60 - to_milliseconds(now) // 1000 % 60
        raise ProblemError(Slug.RATE_LIMITED, f"more than {per_minute} writes a minute; try again in {wait} s")
    conn.execute(write_limit.update().where(mine).values(used=used + 1))
