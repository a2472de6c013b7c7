"""One candidate's view of one index as of one moment, over a socket of its own; what it gave out is the candidate's input list.

A closed list: a file can be had only if a page that this session served lists it, and pages list wheels that were uploaded by the cut.
Bytes are checked against the index's digest before the first of them is given out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from packaging.utils import canonicalize_name

from reprove.core.canonical import canonical
from reprove.core.digests import Sha256
from reprove.core.errors import ProblemError, Slug
from workers.inputs.egress import FetchError, FetchKind
from workers.inputs.index import IndexFile, Page
from workers.inputs.mirror import Mirror
from workers.inputs.store import Stored

MAX_REFUSED = 100
MAX_LISTED_VERSIONS = 500
MAX_PAGES = 2000


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may give out: bytes and number of files."""

    bytes: int = 1024**3
    files: int = 500


@dataclass(frozen=True, slots=True)
class Given:
    """A file that was given out."""

    file: IndexFile
    project: str
    stored: Stored

    def as_json(self) -> dict[str, object]:
        """The row of the control protocol's ``files``."""
        return {
            "name": self.file.name,
            "uri": self.file.url,
            "sha256": self.stored.sha256,
            "size": self.stored.size,
            "path": str(self.stored.path),
            "project": self.project,
            "version": str(self.file.version),
        }


class RefusedError(Exception):
    """The session does not give this out; ``status`` is the HTTP status for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Session:
    """Threads of one session share it; ``lock`` guards the records."""

    mirror: Mirror
    cut: datetime | None
    limits: SessionLimits
    offered: dict[str, tuple[IndexFile, str]] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    pages: dict[str, dict[str, object]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    faults: list[dict[str, object]] = field(default_factory=list)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, name: str) -> bytes:
        """Return a project's page as of the cut, with our own addresses. Raises RefusedError."""
        project = canonicalize_name(name)
        if len(self.pages) >= MAX_PAGES:
            raise self.refuse(403, "more projects than a session may look at")
        try:
            page = self.mirror.page(project, not_before=self.cut)
        except FetchError as error:
            raise self._fault(f"the page of {project}", error, of_file=False) from None
        if page is None:
            raise RefusedError(404, f"the index has no project {project}")
        wheels, record = self._as_of(page)
        with self.lock:
            self.offered.update({f"{file.sha256}/{file.name}": (file, project) for file in wheels})
            self.pages[project] = record
        rows = [_row(file) for file in wheels]
        versions = sorted({str(file.version) for file in wheels})
        return canonical({"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": rows})

    def file(self, digest: str, name: str) -> Given:
        """Return a file that a page of this session lists, checked. Raises RefusedError."""
        key = f"{digest}/{name}"
        with self.lock:
            found = self.given.get(key)
            offer = self.offered.get(key)
            spent = sum(one.stored.size for one in self.given.values())
            count = len(self.given)
        if found is not None:
            return found
        if offer is None:
            raise self.refuse(404, f"a file that no page of this session lists: {key[:200]}")
        file, project = offer
        if count >= self.limits.files or spent + (file.size or 0) > self.limits.bytes:
            raise self.refuse(403, "more files or bytes than a session may fetch")
        try:
            stored = self.mirror.file(file, max_bytes=self.limits.bytes - spent)
        except FetchError as error:
            raise self._fault(file.name, error) from None
        except ProblemError as error:
            kind = "digest-mismatch" if error.problem.slug is Slug.DIGEST_MISMATCH else str(error.problem.slug)
            raise self._fault(file.name, None, kind) from None
        made = Given(file, project, stored)
        with self.lock:
            # What is not in the record that was handed over must not be given out either.
            if self.closed:
                raise RefusedError(403, "the session is closed")
            self.given[key] = made
        return made

    def close(self) -> None:
        """End it: from now on nothing is given out, and the record does not change."""
        with self.lock:
            self.closed = True

    def refuse(self, status: int, reason: str) -> RefusedError:
        """Note a refusal and return the error to raise."""
        with self.lock:
            if len(self.refused) < MAX_REFUSED:
                self.refused.append(reason)
        return RefusedError(status, reason)

    def names(self) -> list[dict[str, str]]:
        """What was given out so far, for the fetch driver: project, version and our own address of each file."""
        with self.lock:
            given = sorted(self.given.items())
        return [{"project": one.project, "version": str(one.file.version), "name": one.file.name, "path": f"/files/{key}"} for key, one in given]

    def record(self) -> dict[str, object]:
        """What the session did, as the answer to ``close``."""
        with self.lock:
            return {
                "files": [self.given[key].as_json() for key in sorted(self.given)],
                "refused": list(self.refused),
                "pages": [self.pages[key] for key in sorted(self.pages)],
                "faults": list(self.faults),
            }

    def _as_of(self, page: Page) -> tuple[list[IndexFile], dict[str, object]]:
        timed = [file for file in page.files if self.cut is None or (file.uploaded is not None and file.uploaded <= self.cut)]
        wheels = [file for file in timed if file.wheel is not None]
        with_wheel = {file.version for file in wheels}
        needing = sorted({file.version for file in timed} - with_wheel)
        record: dict[str, object] = {
            "project": page.project,
            "sha256": page.sha256,
            "fetched": int(page.fetched.timestamp()),
            "uri": page.url,
            "wheels": len(wheels),
            "untimed": sum(1 for file in page.files if file.uploaded is None),
            "sdist_only": [str(version) for version in needing[-MAX_LISTED_VERSIONS:]],
        }
        return wheels, record

    def _fault(self, what: str, error: FetchError | None, kind: str = "", *, of_file: bool = True) -> RefusedError:
        name = str(error.kind) if error is not None else kind
        gone = error is not None and error.status in (404, 410, 403)
        row: dict[str, object] = {
            "what": what,
            "kind": "gone" if gone else name,
            # A file that stays short after the mirror's own tries is a fact about the file; of a page it is a bad moment.
            "transient": error is not None and error.transient and not gone and not (error.kind is FetchKind.TRUNCATED and of_file),
            "detail": "" if error is None else str(error)[:300],
        }
        with self.lock:
            if len(self.faults) < MAX_REFUSED:
                self.faults.append(row)
        # A client must not try again what we tried: 4xx is final for it.
        return RefusedError(404 if error is not None and error.kind is not FetchKind.REFUSED else 403, f"{what} could not be had")


def _row(file: IndexFile) -> dict[str, Any]:
    row: dict[str, Any] = {
        "filename": file.name,
        "url": f"/files/{file.sha256}/{file.name}",
        "hashes": {"sha256": Sha256(file.sha256)},
        "yanked": file.yanked,
    }
    if file.size is not None:
        row["size"] = file.size
    if file.uploaded_text is not None:
        row["upload-time"] = file.uploaded_text
    if file.requires_python is not None:
        row["requires-python"] = file.requires_python
    return row
