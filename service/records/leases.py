"""Leader leases by name: one row, one holder, an expiry. Whoever finds it expired may take it; the holder extends it or has lost it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from service.records.schema import lease


def hold(conn: Connection, name: str, holder: str, *, now: datetime, seconds: int) -> bool:
    """Take or extend the lease; False while another holds it."""
    statement = insert(lease).values(name=name, holder=holder, expires=now + timedelta(seconds=seconds))
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": statement.excluded.holder, "expires": statement.excluded.expires},
        where=(lease.c.holder == holder) | (lease.c.expires <= now),
    )
    conn.execute(statement)
    return conn.execute(select(lease.c.holder).where(lease.c.name == name)).scalar() == holder


def let_go(conn: Connection, name: str, holder: str) -> None:
    """Give the lease up, so that another need not wait for its end."""
    conn.execute(lease.delete().where(lease.c.name == name, lease.c.holder == holder))
