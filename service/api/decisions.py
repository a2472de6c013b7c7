"""``/v1/decisions``: a policy applied to a set of artifacts. The API stores the question; the attester answers, signs and logs it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask import Response
from pydantic import Field
from sqlalchemy import Connection

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import Problem, ProblemError, Slug
from service.api import problem, rates, shapes, tracing
from service.api.negotiation import DSSE, EVIDENCE, STATEMENT, choose
from service.api.operation import Answer, Body, Call, Query, immutable, json_response, operation
from service.api.packing import evidence_of
from service.api.proven import Proven
from service.api.questions import ArtifactName, expand
from service.records import decisions, ids, limits, statements, times
from service.records.decisions import DecisionRow, DecisionState
from service.records.principals import Role

if TYPE_CHECKING:
    from service.api.context import Api

PROOF_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_PREDICATE = "urn:reprove:predicate:decision:v0.1"


class DecisionBody(Body):
    """A question: which policy, which artifacts."""

    policy: str = Field(description="A policy of this instance, by name.", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    artifacts: tuple[ArtifactName, ...] = Field(description="1 to 10,000 digests or package URLs.", min_length=1, max_length=10_000, strict=False)
    release: str | None = Field(None, description="Name of the release, recorded in the decision.", min_length=1, max_length=200)
    waivers: bool = Field(True, description="False: decide as if there were no waivers.")


@operation(
    "POST",
    "/v1/decisions",
    role=Role.DECIDE,
    body=DecisionBody,
    answers={
        201: Answer(
            "The decision: allow and deny are signed and in the log, pending is neither.",
            schema=shapes.DECISION,
            headers={"Location": "The decision."},
        ),
        202: Answer("No proof within 10 s: state is signing, which is never an allow; ask at Location.", schema=shapes.DECISION),
    },
    problems=(Slug.INVALID_POLICY, Slug.INVALID_PURL, Slug.RATE_LIMITED, Slug.STORAGE_FULL),
)
def post_decision(call: Call) -> Response:
    """Ask whether a set of artifacts may ship."""
    body: DecisionBody = call.body
    now = times.now()
    rates.note(call.api, call.caller, now)
    call.api.refuse_when_full()
    with call.api.database.write() as conn:
        if call.api.settings.requests_per_minute:
            limits.spend(conn, call.caller.id, call.api.settings.requests_per_minute, now)
        question = expand(conn, body.artifacts) | ({"release": body.release} if body.release else {}) | ({} if body.waivers else {"waivers": False})
        identifier = decisions.ask(conn, call.caller, policy=body.policy, question=question, checkpoint=_checkpoint(call.api), now=now)
    tracing.about(decision=identifier)
    if call.api.signing.acquire(blocking=False):
        try:
            _await(call.api, identifier)
        finally:
            call.api.signing.release()
    return _answer(call, identifier, created=True)


@operation(
    "GET",
    "/v1/decisions/<id>",
    role=Role.READ,
    query=(Query("artifact", "which artifact the evidence is for: sha256:<hex>; the first one by default", r"sha256:[0-9a-f]{64}"),),
    answers={
        200: Answer("The decision, or its envelope or evidence by Accept.", media=(STATEMENT, DSSE, EVIDENCE), schema=shapes.DECISION),
        202: Answer("Being signed: no answer yet.", schema=shapes.DECISION),
        304: Answer("The caller has it already (If-None-Match).", media=()),
        406: Answer("None of the forms is acceptable.", media=("application/problem+json",), schema=shapes.PROBLEM),
    },
    problems=(Slug.INVALID_POLICY,),
)
def get_decision(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """Read a decision."""
    media = choose((STATEMENT, DSSE, EVIDENCE))
    if media == STATEMENT:
        return _answer(call, id, created=False)
    with call.api.database.read() as conn:
        signed = _signed(call.api, conn, _row(conn, id))
        if signed is None:
            raise ProblemError(Slug.NOT_FOUND, "the decision has no logged envelope: pending ones are not signed")
        if media == DSSE:
            return immutable(signed.logged.envelope.encode(), media, f"{signed.row.id}-dsse")
        artifact = call.query.get("artifact")
        return Response(evidence_of(call.api, conn, signed, artifact=artifact and artifact.removeprefix("sha256:")), content_type=media)


def signed_body(api: Api, conn: Connection, row: DecisionRow) -> dict[str, Any] | None:
    """The body of a decision out of its logged envelope; None when there is none that holds."""
    signed = _signed(api, conn, row)
    if signed is None:
        return None
    predicate = signed.predicate
    body = {
        key: predicate[key]
        for key in ("verdict", "artifacts", "rows", "policy", "bound", "checkpoint", "now", "release", "waivers")
        if key in predicate
    }
    listed = (row.result or {}).get("artifacts")
    if "rows" in body and isinstance(listed, list) and sha256(canonical(listed)) == body["rows"].get("sha256"):
        # above 256 artifacts the signed statement holds the digest of the rows: those that have it are shown
        body["artifacts"] = listed
    return body | {"kind": "decision", "id": row.id, "attestation": {"id": signed.row.id, "logIndex": signed.logged.index}}


def _signed(api: Api, conn: Connection, row: DecisionRow) -> Proven | None:
    proven = api.prover.prove(conn, statements.of_decision(conn, row.id))
    return next((one for one in proven if one.predicate_type == _PREDICATE), None)


def _row(conn: Connection, identifier: str) -> DecisionRow:
    row = decisions.get(conn, identifier) if ids.is_id(identifier, "dec") else None
    if row is None:
        raise ProblemError(Slug.NOT_FOUND, "there is no such decision")
    return row


def _answer(call: Call, identifier: str, *, created: bool) -> Response:
    location = f"/v1/decisions/{identifier}"
    with call.api.database.read() as conn:
        row = _row(conn, identifier)
        body = signed_body(call.api, conn, row) if row.state is DecisionState.DONE and row.verdict != "pending" else None
    if row.state is DecisionState.FAILED:
        return problem.response(_failure(row))
    if row.state is DecisionState.DONE and row.verdict == "pending":
        # pending is neither signed nor logged: it is said by the records, and permits nothing
        body = {**(row.result or {}), "kind": "decision", "id": row.id, "verdict": "pending"}
    headers = {"Location": location, "Cache-Control": "no-store"}
    if body is None:
        return json_response({"kind": "decision", "id": row.id, "state": "signing"}, 202, headers | {"Retry-After": "1"})
    if not created and "attestation" in body:
        # signed and logged: the same for ever, but other media types stand under this address too
        answer = immutable(canonical(body), STATEMENT, f"{row.id}-json")
        answer.headers["Vary"] = "Accept"
        return answer
    return json_response(body, 201 if created else 200, headers)


def _failure(row: DecisionRow) -> Problem:
    said = row.problem or {}
    slug = str(said.get("type", "")).removeprefix("urn:reprove:problem:") or str(said.get("slug", ""))
    known = Slug(slug) if slug in set(Slug) else Slug.UNAVAILABLE
    return Problem(
        known, str(said.get("detail", "no answer was possible; it is not an allow")), said.get("pointer"), said.get("line"), said.get("column")
    )


def _await(api: Api, identifier: str) -> None:
    """Look until the answer is there, at most ten seconds."""
    deadline = time.monotonic() + PROOF_SECONDS
    while time.monotonic() < deadline:
        with api.database.read() as conn:
            row = decisions.get(conn, identifier)
        if row is None or row.state in (DecisionState.DONE, DecisionState.FAILED):
            return
        time.sleep(_LOOK_SECONDS)


def _checkpoint(api: Api) -> str | None:
    """The checkpoint that was current when the question was asked; None while the log is empty."""
    try:
        return api.files.checkpoint().decode()
    except ProblemError:
        return None
