"""``/w/v1/blobs``: bytes by digest, put and read under a lease."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.wsgi import wrap_file

from reprove.core.digests import parse_prefixed, parse_sha256
from reprove.core.errors import ProblemError, Slug
from service.records import blobs, fenced
from service.workerapi.context import api, body_object, caller, moment

blueprint = Blueprint("blobs", __name__, url_prefix="/w/v1/blobs")
MAX_ASKED = 2000
MAX_LEASE = 64


@blueprint.post("/missing")
def missing() -> dict[str, Any]:
    """Say which of these digests are not stored."""
    caller(moment())
    asked = body_object(frozenset({"sha256"}), required=frozenset({"sha256"}))["sha256"]
    if not isinstance(asked, list) or len(asked) > MAX_ASKED:
        raise ProblemError(Slug.INVALID_REQUEST, f"sha256 is a list of at most {MAX_ASKED}", pointer="/sha256")
    digests = [parse_sha256(each, pointer=f"/sha256/{index}") for index, each in enumerate(asked)]
    with api().database.read() as conn:
        absent = blobs.missing(conn, digests)
    return {"missing": sorted({*absent, *(digest for digest in set(digests) if not api().store.has(digest))})}


@blueprint.put("/<name>")
def put(name: str) -> tuple[dict[str, Any], int]:
    """Store a blob: charged to the lease first, visible once its digest holds.

    The bytes are read even when they are here already: a digest alone proves nothing, and a reference gives access.
    """
    now = moment()
    caller(now)
    digest = parse_prefixed(name)
    length = request.content_length
    if length is None:
        raise ProblemError(Slug.INVALID_REQUEST, "a blob needs Content-Length")
    if length > api().settings.max_blob:
        raise ProblemError(Slug.TOO_LARGE, f"a blob has at most {api().settings.max_blob} bytes")
    lease, quota = _lease(), api().lease_quota
    if not api().uploads.acquire(timeout=5):
        raise ProblemError(Slug.UNAVAILABLE, "too many blobs are being stored; try again")
    try:
        attempt = api().database.grouped(lambda conn: fenced.reserve(conn, lease, length, quota=quota, now=now))
        stored = api().store.put(request.stream, digest, length)  # type: ignore[arg-type]  # Werkzeug's stream is a binary file
    finally:
        api().uploads.release()
    if stored.size != length:
        raise ProblemError(Slug.INVALID_REQUEST, "the blob ended early")
    api().database.grouped(lambda conn: blobs.add(conn, api().store, digest, stored.size, attempt.id, moment()))
    return {"sha256": digest, "size": stored.size}, 201 if stored.created else 200


@blueprint.get("/<name>")
def get(name: str) -> Response:
    """Read a blob that this lease reaches: what it put itself, and what its rebuild's resolution names."""
    now = moment()
    caller(now)
    digest, lease = parse_prefixed(name), _lease()
    with api().database.read() as conn:
        row = fenced.held(conn, lease, now)
        if not blobs.reachable(conn, digest, (row.id, row.rebuild_id)):
            raise ProblemError(Slug.NOT_FOUND, f"no blob sha256:{digest} is reached from this lease")
    file = api().store.open(digest)
    response = Response(wrap_file(request.environ, file), mimetype="application/octet-stream", direct_passthrough=True)
    response.content_length = api().store.size(digest)
    return response


def _lease() -> str:
    lease = request.headers.get("Reprove-Lease", "")
    if not 0 < len(lease) <= MAX_LEASE:
        raise ProblemError(Slug.INVALID_REQUEST, "send the lease in the header Reprove-Lease")
    return lease
