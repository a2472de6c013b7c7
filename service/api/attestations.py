"""``/v1/attestations``: search what is in the log, and read one in any of its forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from flask import Response
from sqlalchemy import Connection

from reprove.core.canonical import canonical
from reprove.core.checkpoints import parse_checkpoint
from reprove.core.digests import parse_prefixed, sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.leaf import parse_leaf
from reprove.core.notes import parse_note
from reprove.core.outcomes import Level, Outcome
from reprove.core.purls import parse_purl
from reprove.core.sigstore import BUNDLE_TYPE, bundle
from service.api import shapes
from service.api.negotiation import DSSE, EVIDENCE, STATEMENT, choose
from service.api.operation import Answer, Call, Query, immutable, json_response, operation
from service.api.packing import evidence_of
from service.api.proven import Proven
from service.records import statements, times
from service.records.principals import Role
from service.records.statements import Search

PAGE, MAX_PAGE = 100, 200
_ID = re.compile(r"[0-9a-f]{64}")
_HEX = r"(?:sha256:)?[0-9a-f]{64}"
_TAGS = {STATEMENT: "statement", DSSE: "dsse", BUNDLE_TYPE: "bundle"}
_FILTERS = (
    Query("digest", "sha256:<64 lower-case hex>: a subject, or what was rebuilt", r"sha256:[0-9a-f]{64}"),
    Query("purl", "a package URL; without a version, every version of the package"),
    Query("outcome", f"one of {', '.join(Outcome)}", "|".join(Outcome)),
    Query("level", f"one of {', '.join(Level)}", "|".join(Level)),
    Query("operator", "the operator's name"),
    Query("worker", "SHA-256 of a worker's key", _HEX),
    Query("input", "SHA-256 of something that the build read", _HEX),
    Query("environment", "SHA-256 of an environment's lock", _HEX),
    Query("source", "the source's URI, or its SHA-256"),
    Query("since", "RFC 3339: logged then or later", r"[0-9T:.Z+-]{10,40}"),
    Query("until", "RFC 3339: logged then or earlier", r"[0-9T:.Z+-]{10,40}"),
    Query("after", "the next of the page before", r"[0-9]{1,15}-[0-9]{1,15}"),
    Query("limit", f"items on a page, 1 to {MAX_PAGE}", r"[1-9][0-9]{0,2}"),
)


@operation(
    "GET",
    "/v1/attestations",
    role=Role.READ,
    query=_FILTERS,
    answers={
        200: Answer("Attestations, newest first; outcome and level find comparisons only.", schema=shapes.page(shapes.ATTESTATION, complete=True))
    },
    problems=(Slug.INVALID_PURL,),
)
def list_attestations(call: Call) -> Response:
    """Search the attestations that are in the log."""
    limit = min(int(call.query.get("limit", PAGE)), MAX_PAGE)
    wanted = _search(call)
    cursor = call.query.get("after")
    with call.api.database.read() as conn:
        complete = call.api.completeness.size(conn)
        below: int | None = None
        if cursor is not None:
            # the cursor carries the first page's size, so that every page speaks of the same tree
            below, first = (int(part) for part in cursor.split("-"))
            complete = min(first, complete)
        rows = statements.search(conn, wanted, below=below, limit=limit + 1)
        items = [proven.item() for proven in call.api.prover.prove(conn, rows[:limit])]
    more = f"{rows[limit - 1].log_index}-{complete}" if len(rows) > limit else None
    return json_response({"items": items, "next": more, "complete_to": complete}, headers={"Cache-Control": "no-cache"})


@operation(
    "GET",
    "/v1/attestations/<id>",
    role=Role.READ,
    answers={
        200: Answer("The attestation, in the form that Accept asks for.", media=(STATEMENT, DSSE, BUNDLE_TYPE, EVIDENCE), schema=shapes.ANY_OBJECT),
        304: Answer("The caller has it already (If-None-Match).", media=()),
        406: Answer("None of the forms is acceptable.", media=("application/problem+json",), schema=shapes.PROBLEM),
    },
)
def get_attestation(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """Read one attestation: statement, envelope, Sigstore bundle or evidence."""
    media = choose((STATEMENT, DSSE, BUNDLE_TYPE, EVIDENCE))
    with call.api.database.read() as conn:
        proven = one(call, conn, id)
        if media == EVIDENCE:
            data = evidence_of(call.api, conn, proven)
            answer = immutable(data, media, f"{id}-{sha256(data)[:16]}")
            # hints may name other keys tomorrow: to be asked for again, by its tag
            answer.headers["Cache-Control"] = "no-cache"
            answer.headers["Vary"] = "Accept"
            return answer
    answer = immutable(_form(call, proven, media), media, f"{id}-{_TAGS[media]}")
    answer.headers["Vary"] = "Accept"
    return answer


def one(call: Call, conn: Connection, identifier: str) -> Proven:
    """The attestation with this id. Raises ``not-found`` for one that is not in the log, or not public."""
    if _ID.fullmatch(identifier):
        row = statements.get(conn, identifier)
        found = call.api.prover.prove(conn, [row]) if row is not None and row.visibility == "public" else []
        if found:
            return found[0]
    raise ProblemError(Slug.NOT_FOUND, "there is no such attestation in the log")


def _form(call: Call, proven: Proven, media: str) -> bytes:
    if media == STATEMENT:
        return proven.logged.envelope.payload
    if media == DSSE:
        return proven.logged.envelope.encode()
    return bundle_of(call, proven)


def bundle_of(call: Call, proven: Proven) -> bytes:
    """The attestation as a Sigstore bundle v0.3 with a bare key."""
    logged = proven.logged
    checkpoint = parse_checkpoint(parse_note(logged.checkpoint).text)
    key = parse_leaf(logged.leaf).key
    log = next(log for log in call.api.trust().logs if log.origin == checkpoint.origin)
    return canonical(
        bundle(logged.envelope, key, logged.index, logged.proof, checkpoint.size, checkpoint.root, logged.checkpoint, logged.leaf, log_vkey=log.vkey)
    )


def _search(call: Call) -> Search:
    query = call.query
    wanted = Search(
        outcome=query.get("outcome"),
        level=query.get("level"),
        operator=query.get("operator"),
        source=query.get("source"),
        worker=_bare(query.get("worker")),
        input=_bare(query.get("input")),
        environment=_bare(query.get("environment")),
        since=_time(query, "since"),
        until=_time(query, "until"),
    )
    if "digest" in query:
        wanted = replace(wanted, digest=parse_prefixed(query["digest"]))
    if wanted.outcome or wanted.level:
        wanted = replace(wanted, predicate_type=shapes.COMPARISON)
    if "purl" in query:
        purl = parse_purl(query["purl"])
        if purl.file_name is not None:
            return replace(wanted, purl=str(purl))
        # statements always carry the file's name, so a release is a prefix that ends where its files begin
        return replace(wanted, purl_prefix=f"{purl}?" if purl.version else f"{purl}@")
    return wanted


def _bare(text: str | None) -> str | None:
    return None if text is None else text.removeprefix("sha256:")


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return times.parse_rfc3339(text)
    except ValueError:
        raise ProblemError(Slug.INVALID_REQUEST, f"query parameter {name}: RFC 3339 with a zone, such as 2026-11-24T12:00:00Z") from None
