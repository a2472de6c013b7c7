"""in-toto Statement v1 as we write and read it (DESIGN section 7): JCS, one or more subjects with sha256 (+ sha512) and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reprove.core.canonical import canonical, parse_canonical
from reprove.core.digests import Sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.statements.codec import Shape, T, bad, from_json, to_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_PAYLOAD_BYTES = 12 * 1024 * 1024
MAX_SUBJECTS = 256
MAX_NAME = 1024
_ODD = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_SHA512 = re.compile(r"[0-9a-f]{128}\Z")


class PredicateType(StrEnum):
    """Every predicate type that we write (INTERFACE section 6); closed."""

    COMPARISON = "urn:reprove:predicate:comparison:v0.1"
    REPORT = "urn:reprove:predicate:report:v0.1"
    RESOLUTION = "urn:reprove:predicate:resolution:v0.1"
    DECISION = "urn:reprove:predicate:decision:v0.1"
    PROVENANCE = "https://slsa.dev/provenance/v1"
    VSA = "https://slsa.dev/verification_summary/v1"


SHAPES: dict[PredicateType, type[Shape]] = {}
"""The shape of each predicate of our own; the package registers all of them when it is imported."""


def predicate(kind: PredicateType) -> Callable[[type[T]], type[T]]:
    """Register the class as the shape of ``kind``."""

    def register(shape: type[T]) -> type[T]:
        SHAPES[kind] = shape
        return shape

    return register


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about: a name for people and digests for machines."""

    name: str
    sha256: Sha256
    sha512: str | None = None

    def as_json(self) -> dict[str, object]:
        """The subject's JSON form."""
        digest: dict[str, str] = {"sha256": self.sha256}
        if self.sha512 is not None:
            digest["sha512"] = self.sha512
        return {"name": self.name, "digest": digest}


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement; that its predicate has the shape of its type is checked by :func:`decode`."""

    subjects: tuple[Subject, ...]
    predicate_type: PredicateType
    predicate: dict[str, Any]

    def encode(self) -> bytes:
        """The JCS bytes: the payload that is signed."""
        return canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject.as_json() for subject in self.subjects],
                "predicateType": str(self.predicate_type),
                "predicate": self.predicate,
            }
        )


def make(subjects: tuple[Subject, ...], kind: PredicateType, value: Shape) -> Statement:
    """Wrap a predicate; it is read back once, so that nothing is signed that we would refuse."""
    body = to_json(value)
    from_json(type(value), body, "/predicate")
    for index, subject in enumerate(subjects):
        _subject(subject.as_json(), f"/subject/{index}")
    return Statement(subjects, kind, body)


def expect(statement: Statement, kind: PredicateType, shape: type[T]) -> T:
    """Return the predicate as ``shape``; raises ``invalid-request`` when the statement is of another type."""
    if statement.predicate_type is not kind:
        raise bad(f"the statement is a {statement.predicate_type}, not a {kind}")
    return from_json(shape, statement.predicate, "/predicate")


def decode(payload: bytes) -> Statement:
    """Read a payload: canonical JSON, no unknown top member, known predicate type, predicate of that type's shape.

    Raises only ProblemError (``invalid-request`` or ``too-large``).
    """
    document = parse_canonical(payload, max_bytes=MAX_PAYLOAD_BYTES, what="the statement")
    if not isinstance(document, dict) or set(document) != {"_type", "subject", "predicateType", "predicate"}:
        raise bad("the statement's members are not _type, subject, predicateType and predicate")
    if document["_type"] != STATEMENT_TYPE:
        raise bad(f"must be {STATEMENT_TYPE}", "/_type")
    try:
        kind = PredicateType(document["predicateType"])
    except ValueError:
        raise bad("is not a predicate type that we know", "/predicateType") from None
    body = document["predicate"]
    if not isinstance(body, dict):
        raise bad("must be an object", "/predicate")
    statement = Statement(_subjects(document["subject"]), kind, body)
    shape = SHAPES.get(kind)
    if shape is not None:
        from_json(shape, body, "/predicate")
    return statement


def _subjects(rows: object) -> tuple[Subject, ...]:
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_SUBJECTS:
        raise bad(f"must be a list of 1 to {MAX_SUBJECTS}", "/subject")
    return tuple(_subject(row, f"/subject/{index}") for index, row in enumerate(rows))


def _subject(row: object, pointer: str) -> Subject:
    if not isinstance(row, dict) or set(row) != {"name", "digest"}:
        raise bad("must have name and digest and nothing else", pointer)
    name, digest = row["name"], row["digest"]
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or _ODD.search(name):
        raise bad(f"must be 1 to {MAX_NAME} printable characters", f"{pointer}/name")
    if not isinstance(digest, dict) or "sha256" not in digest or set(digest) - {"sha256", "sha512"}:
        raise bad("must have sha256, may have sha512, and nothing else", f"{pointer}/digest")
    sha512 = digest.get("sha512")
    if sha512 is not None and not (isinstance(sha512, str) and _SHA512.match(sha512)):
        raise bad("must be 128 lower-case hex characters", f"{pointer}/digest/sha512")
    return Subject(name, _sha256(digest["sha256"], f"{pointer}/digest/sha256"), sha512)


def _sha256(value: object, pointer: str) -> Sha256:
    if isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"):
        return Sha256(value)
    raise ProblemError(Slug.INVALID_REQUEST, f"{pointer} must be 64 lower-case hex characters", pointer=pointer)
