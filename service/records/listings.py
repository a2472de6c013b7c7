"""Listings: the files of a release as a resolver saw them, one set of rows per resolution (DESIGN section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from service.records.schema import listing


def record(conn: Connection, rebuild_id: str, purl: str, files: Sequence[tuple[str, str | None]], now: datetime) -> None:
    """Record what one look saw: ``(name, sha256)`` of each file of the release ``purl`` (without file_name)."""
    rows = [{"rebuild_id": rebuild_id, "purl": purl, "name": name, "sha256": digest, "recorded": now} for name, digest in dict(files).items()]
    if rows:
        conn.execute(listing.insert(), rows)


def last(conn: Connection, purl: str) -> list[tuple[str, str | None]]:
    """The files of the last recorded listing of a release, by name; empty when nobody has looked."""
    newest = select(listing.c.rebuild_id).where(listing.c.purl == purl).order_by(listing.c.recorded.desc(), listing.c.rebuild_id.desc()).limit(1)
    query = select(listing.c.name, listing.c.sha256).where(listing.c.rebuild_id == newest.scalar_subquery(), listing.c.purl == purl)
    return [(row.name, row.sha256) for row in conn.execute(query.order_by(listing.c.name))]


def conflicts(conn: Connection, purl: str) -> list[str]:
    """File names of a release that two looks mapped to different digests: a ``purl-conflict``."""
    query = select(listing.c.name).where(listing.c.purl == purl).group_by(listing.c.name).having(func.count(listing.c.sha256.distinct()) > 1)
    return list(conn.execute(query.order_by(listing.c.name)).scalars())
