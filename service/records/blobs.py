"""Blob rows: which bytes exist and who refers to them. A blob is reached through a reference only, and expires 24 h after nobody has one.

A holder is the id of a row: a request (its upload), an attempt (what its lease put or may read), a rebuild (what its reports name: kept for ever).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from reprove.core.errors import ProblemError, Slug
from service.records.blobstore import BlobStore
from service.records.schema import blob, blob_ref

UNREFERENCED_FOR = timedelta(hours=24)
_CHUNK = 500


def add(conn: Connection, store: BlobStore, sha256: str, size: int, holder: str, now: datetime) -> None:
    """Record a stored blob and that ``holder`` refers to it. The bytes must be durable before.

    Raises ``unavailable`` when the bytes expired between their put and this transaction: put them again.
    """
    if not store.has(sha256):
        raise ProblemError(Slug.UNAVAILABLE, f"blob sha256:{sha256} expired while it was put: put it again")
    conn.execute(insert(blob).values(sha256=sha256, size=size, created=now).on_conflict_do_nothing())
    refer(conn, [sha256], holder)


def refer(conn: Connection, sha256s: Iterable[str], holder: str) -> None:
    """Add references; existing ones stay."""
    rows = [{"sha256": digest, "holder": holder} for digest in sorted(set(sha256s))]
    if rows:
        conn.execute(insert(blob_ref).on_conflict_do_nothing(), rows)


def release(conn: Connection, holder: str) -> None:
    """Drop every reference of a holder."""
    conn.execute(blob_ref.delete().where(blob_ref.c.holder == holder))


def missing(conn: Connection, sha256s: Iterable[str]) -> list[str]:
    """Those that are not recorded, in order."""
    wanted = sorted(set(sha256s))
    known: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        known |= set(conn.execute(select(blob.c.sha256).where(blob.c.sha256.in_(wanted[start : start + _CHUNK]))).scalars())
    return [digest for digest in wanted if digest not in known]


def reachable(conn: Connection, sha256: str, holders: Iterable[str]) -> bool:
    """Say whether one of the holders refers to the blob."""
    query = select(blob_ref.c.holder).where(blob_ref.c.sha256 == sha256, blob_ref.c.holder.in_(list(holders))).limit(1)
    return conn.execute(query).scalar() is not None


def expired(conn: Connection, now: datetime, limit: int = 200) -> list[str]:
    """Blobs that nobody refers to and that are older than 24 h."""
    referred = select(blob_ref.c.sha256).where(blob_ref.c.sha256 == blob.c.sha256).exists()
    query = select(blob.c.sha256).where(blob.c.created < now - UNREFERENCED_FOR, ~referred).limit(limit)
    return list(conn.execute(query).scalars())


def forget(conn: Connection, store: BlobStore, sha256: str) -> None:
    """Drop the row and the bytes in the caller's transaction, so that nobody can refer to it in between.

    A crash before the commit leaves a row without bytes: ``present`` does not count it, and a put heals it.
    """
    conn.execute(blob.delete().where(blob.c.sha256 == sha256))
    store.remove(sha256)


def orphans(conn: Connection, store: BlobStore, prefix: str, older_than: float) -> list[str]:
    """Files of one folder of the store (``prefix``: two hex digits) that no row knows, last written before ``older_than`` (Unix time)."""
    files = {name for name, written in store.names(prefix) if written < older_than}
    return [digest for digest in missing(conn, files) if digest in files]
