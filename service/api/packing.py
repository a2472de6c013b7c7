"""Evidence put together from records: every envelope, proof, report and resolution of a rebuild, and the decision that rests on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from reprove.core import dsse
from reprove.core.digests import parse_sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.evidence import LoggedEnvelope, build_evidence
from service.api import shapes
from service.api.proven import Proven
from service.records import reports, statements

if TYPE_CHECKING:
    from service.api.context import Api


def evidence_of(api: Api, conn: Connection, proven: Proven, *, artifact: str | None = None) -> bytes:
    """The evidence of an attestation: of its whole rebuild, or of a decision for ``artifact`` (the first one when None)."""
    if proven.row.decision_id is not None:
        return _of_decision(api, conn, proven, artifact)
    together = api.prover.prove(conn, statements.of_rebuild(conn, proven.row.rebuild_id)) if proven.row.rebuild_id else [proven]
    return _pack(api, conn, together, None)


def _of_decision(api: Api, conn: Connection, decision: Proven, artifact: str | None) -> bytes:
    rows = decision.predicate.get("artifacts") or []
    row = next((row for row in rows if artifact is None or row.get("sha256") == artifact), None)
    if row is None:
        raise ProblemError(Slug.NOT_FOUND, "the decision has no such artifact")
    named = [found for identifier in row.get("attestations", []) if (found := statements.get(conn, str(identifier))) is not None]
    together: list[Proven] = []
    for one in named:
        together += api.prover.prove(conn, statements.of_rebuild(conn, one.rebuild_id) if one.rebuild_id else [one])
    return _pack(api, conn, together, decision.logged)


def _pack(api: Api, conn: Connection, together: list[Proven], decision: LoggedEnvelope | None) -> bytes:
    comparison = next((one for one in together if one.predicate_type == shapes.COMPARISON), None)
    if comparison is None:
        raise ProblemError(Slug.NOT_FOUND, "no comparison stands behind it, so there is no evidence of an outcome")
    subject = comparison.statement["subject"][0]
    envelopes: dict[str, list[dsse.Envelope]] = {"report": [], "resolution": []}
    for one in together:
        for kind, found in envelopes.items():
            stored = reports.get(conn, str(one.predicate.get(kind, ""))) if one.predicate_type == shapes.COMPARISON else None
            if stored is not None:
                found.append(dsse.decode(stored.envelope))
    return build_evidence(
        name=str(subject["name"]),
        sha256=parse_sha256(subject["digest"]["sha256"]),
        entries=[one.logged for one in together],
        hints=api.trust(),
        reports=envelopes["report"],
        resolutions=envelopes["resolution"],
        decision=decision,
    ).encode()
