"""What every request of this process shares: settings, records, blobs, long polls. Made once per process, after the fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import Connection, select

from reprove.core.canonical import parse
from reprove.core.digests import Sha256, parse_sha256
from reprove.core.dsse import decode
from reprove.core.errors import ProblemError, Slug
from reprove.core.trust import TrustFile
from reprove.settings import Settings
from service.access import authentication
from service.api.completeness import Completeness
from service.api.files import Published
from service.api.polling import LongPolls
from service.api.proven import Prover
from service.records import times
from service.records.database import Database
from service.records.principals import Principal, Role
from service.records.rebuilds import RebuildRow
from service.records.schema import rebuild, report

_KEY = "reprove"


@dataclass(frozen=True, slots=True)
class Api:
    """This process's share of the service; immutable, its parts do their own locking."""

    settings: Settings
    database: Database
    polls: LongPolls
    prover: Prover
    completeness: Completeness
    files: Published
    signing: threading.BoundedSemaphore

    def trust(self) -> TrustFile:
        """The instance's published keys (``trust.json``), as they are now."""
        return self.files.trust()

    def authenticate(self, header: str | None) -> Principal:
        """Whoever an ``Authorization`` header speaks for. Raises ``unauthenticated``."""
        return authentication.authenticate(self.database, header, times.now())

    def require(self, principal: Principal, role: Role) -> None:
        """Raise ``forbidden`` unless the principal's token carries the role."""
        authentication.require(principal, role)

    def refuse_when_full(self) -> None:
        """Raise ``storage-full`` below the operator's floor of free bytes: nothing is half-written then."""
        status = os.statvfs(self.settings.home)
        free = status.f_bavail * status.f_frsize
        if free < self.settings.min_free:
            raise ProblemError(Slug.STORAGE_FULL, f"{free // 1024**2} MiB are free, the floor is {self.settings.min_free // 1024**2} MiB")

    def final_log(self, conn: Connection, row: RebuildRow) -> Path | None:
        """The log blob that a rebuild's report names; None while there is no report, or when it names none."""
        if row.report_id is None:
            return None
        envelope = conn.execute(select(report.c.envelope).where(report.c.id == row.report_id)).scalar()
        if envelope is None:
            return None
        predicate = parse(decode(envelope).payload, max_bytes=16 * 1024**2, what="the report").get("predicate", {})
        log = predicate.get("log")
        if not isinstance(log, dict):
            return None
        path = self.blob_path(parse_sha256(log.get("sha256")))
        return path if path.exists() else None

    def blob_path(self, digest: Sha256) -> Path:
        """Where a blob lies (INTERFACE section 1)."""
        return self.settings.home / "blobs" / "sha256" / digest[:2] / digest


def make(settings: Settings, database: Database) -> Api:
    """Bind the parts together."""

    def sequences(identifiers: tuple[str, ...]) -> Mapping[str, int]:
        with database.read() as conn:
            rows = conn.execute(select(rebuild.c.id, rebuild.c.seq).where(rebuild.c.id.in_(identifiers)))
            return {row.id: row.seq for row in rows}

    files = Published(settings.home)
    return Api(
        settings,
        database,
        LongPolls(settings.api_threads, sequences),
        Prover(files.trust),
        Completeness(),
        files,
        # a caller that waits for a decision's proof holds a thread; a quarter of them may
        threading.BoundedSemaphore(max(1, settings.api_threads // 4)),
    )


def current() -> Api:
    """The running application's :class:`Api`."""
    api = current_app.extensions[_KEY]
    assert isinstance(api, Api)
    return api


def key() -> str:
    """Where the application keeps its :class:`Api`."""
    return _KEY
