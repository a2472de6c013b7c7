"""The parts that every call of the worker api needs, and how a call is read: bounded, with its principal."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import current_app, request

from reprove.core.canonical import parse
from reprove.core.errors import ProblemError, Slug
from reprove.settings import Settings
from service.access.authentication import authenticate, require
from service.access.enrolled import EnrolledFile
from service.records import times
from service.records.attempts import AttemptKind
from service.records.blobstore import BlobStore
from service.records.database import Database
from service.records.principals import Principal, Role

KEY = "reprove.workerapi"
THREADS = 32
MAX_JSON = 1024**2
ROLE_OF_KIND = {AttemptKind.RESOLVE: Role.RESOLVE, AttemptKind.REBUILD: Role.WORK}


@dataclass(frozen=True, slots=True)
class WorkerApi:
    """One process's state. ``uploads`` keeps half of the threads free of blobs, so that heartbeats are always heard."""

    settings: Settings
    database: Database
    store: BlobStore
    enrolled: EnrolledFile
    uploads: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(THREADS // 2))

    @property
    def lease_quota(self) -> int:
        """Bytes of blobs that one lease may store: what a build may write, and the inputs and packages besides."""
        return self.settings.limit_disk + self.settings.max_blob


def api() -> WorkerApi:
    """The running application's parts."""
    found = current_app.extensions[KEY]
    assert isinstance(found, WorkerApi)
    return found


def caller(now: datetime) -> Principal:
    """Who calls; a token with neither role ``work`` nor ``resolve`` gets nothing here."""
    principal = authenticate(api().database, request.headers.get("Authorization"), now)
    if not principal.roles & {Role.WORK, Role.RESOLVE}:
        require(principal, Role.WORK)
    return principal


def moment() -> datetime:
    """The time of this call."""
    return times.now()


def body_bytes(limit: int, what: str) -> bytes:
    """Read the whole body. Raises ``too-large`` by its declared length before a byte is read; a body without one is refused."""
    length = request.content_length
    if length is None:
        raise ProblemError(Slug.INVALID_REQUEST, f"{what} needs Content-Length")
    if length > limit:
        raise ProblemError(Slug.TOO_LARGE, f"{what} is larger than {limit} bytes")
    data = request.stream.read(length)
    if len(data) != length:
        raise ProblemError(Slug.INVALID_REQUEST, f"{what} ended early")
    return data


def body_object(members: frozenset[str], *, required: frozenset[str]) -> dict[str, Any]:
    """Read a JSON object with these members and no others."""
    value = parse(body_bytes(MAX_JSON, "the body"), max_bytes=MAX_JSON, what="the body")
    if not isinstance(value, dict) or not required <= set(value) <= members:
        raise ProblemError(Slug.INVALID_REQUEST, f"the body is an object with {', '.join(sorted(members))}")
    return value
