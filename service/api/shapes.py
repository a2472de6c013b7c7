"""JSON shapes of answers, for the OpenAPI document; open for more members, as INTERFACE promises."""

from __future__ import annotations

from collections.abc import Mapping

from reprove.core.outcomes import Certainty, Level, Origin, Outcome
from reprove.core.states import RebuildState

Schema = Mapping[str, object]

COMPARISON = "urn:reprove:predicate:comparison:v0.1"

_HEX: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXT: Schema = {"type": "string"}
_LIST: Schema = {"type": "array", "items": {"type": "object"}}


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


_PASSES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": _object(("id", "version"), id=_TEXT, version=_TEXT),
    "description": "With level normalized or semantic: the passes without which the bytes would not be equal.",
}
_CAUSES: Schema = {
    "type": "array",
    "items": _object(
        ("id", "certainty"),
        id=_TEXT,
        certainty={"enum": [certainty.value for certainty in Certainty]},
        fix=_TEXT,
        detail=_TEXT,
        count={"type": "integer", "minimum": 0},
    ),
    "description": "Why the bytes differ, also where they are equal at a level below bitwise.",
}


def page(item: Schema, *, complete: bool = False) -> Schema:
    """A list answer: ``items``, ``next``, and ``complete_to`` for what the log covers."""
    extra: dict[str, Schema] = (
        {"complete_to": {"type": "integer", "description": "Tree size up to which the answer is complete."}} if complete else {}
    )
    required = ("items", "next", *extra)
    return _object(required, items={"type": "array", "items": item}, next={"type": ["string", "integer", "null"]}, **extra)


REBUILD: Schema = _object(
    ("id", "state", "attempts", "attestations", "visibility", "links"),
    kind={"const": "rebuild"},
    id=_TEXT,
    state={"enum": [state.value for state in RebuildState]},
    seq={"type": "integer", "description": "Grows with each change; after= of the next long poll."},
    phase=_TEXT,
    waiting=_object(("reason",), reason=_TEXT, detail=_TEXT),
    outcome={"enum": [outcome.value for outcome in Outcome]},
    level={"enum": [level.value for level in Level]},
    passes=_PASSES,
    unstamped={"type": "string", "description": "With a level below times-stamped: why the times could not be stamped."},
    cause=_object(("class",), **{"class": _TEXT, "detail": _TEXT}),
    findings=_LIST,
    original=_object((), sha256=_HEX, purl=_TEXT, file=_TEXT),
    rebuilt=_object((), sha256=_HEX),
    recipe=_object((), digest=_HEX, origin={"enum": [origin.value for origin in Origin]}),
    environment=_object((), digest=_HEX),
    inputs=_LIST,
    differences=_LIST,
    causes=_CAUSES,
    attempts=_LIST,
    attestations=_LIST,
    visibility={"enum": ["public", "private"]},
    links={"type": "object", "additionalProperties": _TEXT},
)

EVENT: Schema = _object(
    ("n", "at", "phase", "status"), n={"type": "integer"}, at=_TEXT, phase=_TEXT, status=_TEXT, detail=_TEXT, seconds={"type": "number"}
)

PROBLEM: Schema = _object(
    ("type", "title", "status", "detail"),
    type={"type": "string", "pattern": "^urn:reprove:problem:[a-z-]+$"},
    title=_TEXT,
    status={"type": "integer"},
    detail=_TEXT,
    pointer=_TEXT,
    line={"type": "integer"},
    column={"type": "integer"},
)

ATTESTATION: Schema = _object(
    ("id", "logIndex", "predicateType", "operator", "subject", "time"),
    id=_HEX,
    logIndex={"type": "integer"},
    predicateType=_TEXT,
    operator=_TEXT,
    purl=_TEXT,
    subject=_object(("name", "sha256"), name=_TEXT, sha256=_HEX),
    outcome={"enum": [outcome.value for outcome in Outcome]},
    level={"enum": [level.value for level in Level]},
    passes=_PASSES,
    origin={"enum": [origin.value for origin in Origin]},
    time=_TEXT,
)

ARTIFACT: Schema = _object(
    ("sha256", "names", "outcomes", "decisions", "complete_to"),
    sha256=_HEX,
    names={"type": "array", "items": _TEXT},
    outcomes={"type": "array", "items": ATTESTATION},
    decisions=_LIST,
    complete_to={"type": "integer"},
)

DECISION: Schema = _object(
    ("id",),
    id=_TEXT,
    state={"enum": ["signing"]},
    verdict={"enum": ["allow", "deny", "pending"]},
    artifacts=_LIST,
    policy=_object(("name",), name=_TEXT, sha256=_HEX),
    checkpoint=_object((), origin=_TEXT, size={"type": "integer"}, root=_HEX),
)

STATEMENT: Schema = _object(
    ("_type", "subject", "predicateType", "predicate"), _type=_TEXT, subject=_LIST, predicateType=_TEXT, predicate={"type": "object"}
)
ANY_OBJECT: Schema = {"type": "object"}
