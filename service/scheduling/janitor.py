"""What is thrown away: blobs that nobody has referred to for 24 h, what crashes left in the blob folder, running logs of ended rebuilds."""

from __future__ import annotations

import time
from datetime import datetime

import structlog

from service.records import blobs, rebuilds
from service.records.blobstore import STALE_SECONDS, BlobStore
from service.records.database import Database
from service.records.ids import is_id

LOG_SECONDS = 3600
_log = structlog.get_logger()


class Janitor:
    """One leader's janitor: each round looks at one of the 256 folders of the store, so that no round is long."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        self._database = database
        self._store = store
        self._prefix = 0

    def sweep(self, now: datetime) -> int:
        """Do one round; returns how many files were removed."""
        removed = self._expired(now) + self._orphans() + self._store.sweep() + self._logs()
        if removed:
            _log.info("swept", files=removed)
        return removed

    def _expired(self, now: datetime) -> int:
        with self._database.read() as conn:
            candidates = blobs.expired(conn, now)
        if not candidates:
            return 0
        with self._database.write() as conn:
            # asked again under the write lock: somebody may have referred to one meanwhile
            gone = blobs.expired(conn, now)
            for digest in gone:
                blobs.forget(conn, self._store, digest)
        return len(gone)

    def _orphans(self) -> int:
        prefix, self._prefix = f"{self._prefix:02x}", (self._prefix + 1) % 256
        with self._database.read() as conn:
            found = blobs.orphans(conn, self._store, prefix, time.time() - STALE_SECONDS)
        if not found:
            return 0
        with self._database.write() as conn:
            found = blobs.orphans(conn, self._store, prefix, time.time() - STALE_SECONDS)
            for digest in found:
                self._store.remove(digest)
        return len(found)

    def _logs(self) -> int:
        removed = 0
        for file in (self._store.root.parent / "logs").glob("rb-*.log"):
            if not is_id(file.stem, "rb") or time.time() - file.stat().st_mtime < LOG_SECONDS:
                continue
            with self._database.read() as conn:
                row = rebuilds.get(conn, file.stem)
            if row is None or row.state.terminal:
                file.unlink(missing_ok=True)
                removed += 1
        return removed
