"""``/v1/artifacts/sha256:{hex}``: everything known about an artifact; what speaks against it comes first."""

from __future__ import annotations

from typing import Any

from flask import Response
from sqlalchemy import Connection

from reprove.core.digests import Sha256, parse_prefixed
from reprove.core.outcomes import LEVEL_ORDER, Level, Outcome
from service.api import shapes
from service.api.decisions import signed_body
from service.api.operation import Answer, Call, json_response, operation
from service.records import decisions, statements
from service.records.principals import Role
from service.records.statements import Search

MAX_ROWS = 1000
_RANK = {
    Outcome.DIFFERS: 0,
    Outcome.AMBIGUOUS_ARCHIVE: 1,
    Outcome.BUILD_FAILED: 2,
    Outcome.INPUT_UNAVAILABLE: 3,
    Outcome.NOT_ATTEMPTABLE: 4,
    Outcome.LIMIT_EXCEEDED: 5,
    Outcome.INCONCLUSIVE: 6,
    Outcome.REPRODUCED: 7,
}
"""Negative first: a difference weighs more than a failure to look, and that more than a success."""


@operation(
    "GET",
    "/v1/artifacts/<name>",
    role=Role.READ,
    answers={200: Answer("Everything known; an artifact that nobody asked about has empty lists.", schema=shapes.ARTIFACT)},
)
def get_artifact(call: Call, *, name: str) -> Response:
    """Show everything known about an artifact, negative outcomes first."""
    digest = parse_prefixed(name)
    with call.api.database.read() as conn:
        complete = call.api.completeness.size(conn)
        rows = statements.search(conn, Search(digest=digest, predicate_type=shapes.COMPARISON), limit=MAX_ROWS)
        proven = call.api.prover.prove(conn, rows)
        items = sorted((one.item() for one in proven), key=_rank)
        names = sorted({str(one.item()["subject"]["name"]) for one in proven if one.item()["subject"]["sha256"] == digest})
        body = {"sha256": digest, "names": names, "outcomes": items, "decisions": _decisions(call, conn, digest), "complete_to": complete}
    return json_response(body, headers={"Cache-Control": "no-cache"})


def _rank(item: dict[str, Any]) -> tuple[int, int, int]:
    """Outcome, then the lowest level, then the newest."""
    outcome, level = item.get("outcome"), item.get("level")
    worst = -LEVEL_ORDER.index(Level(level)) if level in set(Level) else 0
    return (_RANK[Outcome(outcome)] if outcome in set(Outcome) else -1, worst, -int(item["logIndex"]))


def _decisions(call: Call, conn: Connection, digest: Sha256) -> list[dict[str, Any]]:
    found = []
    for row in decisions.about(conn, digest):
        body = signed_body(call.api, conn, row)
        if body is not None:
            signed = body["attestation"]
            found.append({"id": row.id, "verdict": body["verdict"], "policy": body["policy"], "logIndex": signed["logIndex"], "time": body["now"]})
    return found
