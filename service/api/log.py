"""``/log``: the transparency log for readers: checkpoint, tiles, bundles, proofs (C2SP tlog-tiles), and envelopes beside the leaves.

Tiles and entry bundles are the sequencer's files, served as they lie there. Envelope bundles come from the records: a line for each leaf,
the envelope or, for a private one, ``{"id", "withheld": true}``; a bundle with an unknown leaf is not served at all.
"""

from __future__ import annotations

from flask import Response

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.tiles import TILE_WIDTH, TilePath, parse_entries_path, parse_envelopes_path, parse_tile_path
from reprove.core.tlog_proof import format_proof
from service.api.attestations import one
from service.api.operation import Answer, Call, Query, immutable, operation
from service.records import statements
from service.records.principals import Role

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
JSON_LINES = "application/jsonl"
_NOT_CHANGED = Answer("The caller has it already (If-None-Match).", media=())


@operation(
    "GET",
    "/log/checkpoint",
    role=Role.READ,
    answers={200: Answer("The newest published checkpoint, a signed note with cosignatures.", media=("text/plain",)), 304: _NOT_CHANGED},
    problems=(Slug.UNAVAILABLE,),
)
def get_checkpoint(call: Call) -> Response:
    """Read the newest checkpoint."""
    data = call.api.files.checkpoint()
    answer = immutable(data, TEXT, sha256(data)[:32])
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@operation(
    "GET",
    "/log/tile/<path:path>",
    role=Role.READ,
    answers={
        200: Answer("A tile, an entry bundle (entries/…) or an envelope bundle (envelopes/…).", media=(BYTES, JSON_LINES)),
        304: _NOT_CHANGED,
    },
)
def get_tile(call: Call, *, path: str) -> Response:
    """Read a tile, an entry bundle or an envelope bundle by its tlog-tiles path."""
    name = f"tile/{path}"
    if path.startswith("envelopes/"):
        return _envelopes(call, name, parse_envelopes_path(name))
    # the canonical form was checked: no dots, no doubled slashes, nothing that leaves the folder
    parse_entries_path(name) if path.startswith("entries/") else parse_tile_path(name)
    data = call.api.files.tile(name)
    return immutable(data, BYTES, sha256(data)[:32])


@operation(
    "GET",
    "/log/proof",
    role=Role.READ,
    query=(Query("attestation", "an attestation's id: 64 lower-case hex characters", r"[0-9a-f]{64}"),),
    answers={200: Answer("The inclusion proof as c2sp.org/tlog-proof@v1.", media=("text/plain",)), 304: _NOT_CHANGED},
)
def get_proof(call: Call) -> Response:
    """Read the inclusion proof of an attestation."""
    identifier = call.query.get("attestation")
    if identifier is None:
        raise ProblemError(Slug.INVALID_REQUEST, "name an attestation: /log/proof?attestation=<id>")
    with call.api.database.read() as conn:
        logged = one(call, conn, identifier).logged
    text = format_proof(logged.index, logged.proof, logged.checkpoint)
    return immutable(text.encode(), TEXT, f"{identifier}-proof")


def _envelopes(call: Call, name: str, wanted: TilePath) -> Response:
    with call.api.database.read() as conn:
        rows = statements.by_log_range(conn, wanted.n * TILE_WIDTH, wanted.width)
        proven = {one.row.id: one for one in call.api.prover.prove(conn, [row for row in rows if row.visibility == "public"])}
    lines: list[bytes] = []
    for row in rows:
        if row.visibility != "public":
            lines.append(canonical({"id": row.id, "withheld": True}))
        elif row.id in proven:
            lines.append(proven[row.id].logged.envelope.encode())
    if len(lines) != wanted.width:
        raise ProblemError(Slug.NOT_FOUND, f"the records do not hold all {wanted.width} envelopes of {name} (yet)")
    data = b"".join(line + b"\n" for line in lines)
    return immutable(data, JSON_LINES, sha256(data)[:32])
