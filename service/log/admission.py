"""What may enter the log: envelopes with exactly one signature, by the attester's key. A verified envelope becomes an id and a leaf."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from reprove.core import dsse
from reprove.core.canonical import parse
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.leaf import encode_leaf
from service.log.frames import MAX_FRAME

MAX_ENVELOPES = 256


@dataclass(frozen=True, slots=True)
class Admitted:
    """An envelope that may be logged: SHA-256 of its PAE (raw bytes), and the leaf."""

    id: bytes
    leaf: bytes


def admit(documents: object, key: PublicKey) -> list[Admitted]:
    """Check a submission (the list of envelopes as parsed JSON). All of it is admitted, or ProblemError names the first that is not."""
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_ENVELOPES:
        raise ProblemError(Slug.INVALID_REQUEST, f"a submission is a list of 1 to {MAX_ENVELOPES} envelopes", pointer="/envelopes")
    return [_admit_one(document, key, number) for number, document in enumerate(documents)]


def _admit_one(document: object, key: PublicKey, number: int) -> Admitted:
    pointer = f"/envelopes/{number}"
    try:
        envelope = dsse.from_json(document)
    except ProblemError as error:
        raise ProblemError(error.problem.slug, error.problem.detail, pointer=pointer) from None
    message = envelope.pae
    if len(envelope.signatures) != 1 or not key.verifies(envelope.signatures[0], message):
        raise ProblemError(Slug.FORBIDDEN, "the envelope does not have exactly one signature, by this log's attester", pointer=pointer)
    return Admitted(sha256(message).digest(), encode_leaf(envelope, key))


def parse_request(frame: bytes) -> dict[str, Any]:
    """Read a request's JSON object."""
    document = parse(frame, max_bytes=MAX_FRAME, what="the request")
    if not isinstance(document, dict):
        raise ProblemError(Slug.INVALID_REQUEST, "a request is a JSON object")
    return document
