"""A decision: a policy applied to a set of artifacts, with its reasons (type ``…:decision:v0.1``); ``pending`` is never signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reprove.core.canonical import canonical
from reprove.core.digests import AttestationId, Sha256, sha256
from reprove.core.merkle import Compact, leaf_hash
from reprove.core.outcomes import Level
from reprove.core.statements.codec import Timestamp, bad, to_json
from reprove.core.statements.common import MAX_SUBJECTS, PredicateType, Statement, Subject, expect, make, predicate
from reprove.core.statements.parts import Deployment, Pass


class Verdict(StrEnum):
    """What the gate says; ``pending`` while a rebuild that could still answer is under way."""

    ALLOW = "allow"
    DENY = "deny"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that did not hold (or, for allow, what held): what was asked, what was found, what would help."""

    rule: str
    expected: str
    actual: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactVerdict:
    """One artifact of the decision. ``sha256`` is absent when only a name was given and nobody has seen its bytes; such a row never allows.

    ``attestations`` are the ids that the verdict rests on; ``level`` is the lowest level among the reproductions behind an ``allow``, ``passes``
    every pass that one of them needed.
    """

    sha256: Sha256 | None = None
    verdict: Verdict
    purl: str | None = None
    reasons: tuple[Reason, ...] = ()
    attestations: tuple[AttestationId, ...] = ()
    level: Level | None = None
    passes: tuple[Pass, ...] | None = None


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """A policy file of the instance by name and digest."""

    name: str
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class BoundPolicy:
    """A policy that ``bindings.yaml`` adds for a purl prefix."""

    prefix: str
    name: str
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """The tree that the decision looked at; ``root`` is hex."""

    origin: str
    size: int
    root: Sha256


@dataclass(frozen=True, slots=True)
class Rows:
    """What replaces ``artifacts`` above 256: the digest of their JCS list and the Merkle root (RFC 6962) of their JCS rows."""

    sha256: Sha256
    root: Sha256
    count: int


@dataclass(frozen=True, slots=True)
class WaiverRef:
    """A waiver that was used (reserved: none exist in this version)."""

    id: AttestationId
    rule: str


@predicate(PredicateType.DECISION)
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision's predicate; subjects are the artifacts, or one subject that is the digest of the rows."""

    verdict: Verdict
    policy: PolicyRef
    bound: tuple[BoundPolicy, ...] = ()
    now: Timestamp
    checkpoint: CheckpointRef
    artifacts: tuple[ArtifactVerdict, ...] | None = None
    rows: Rows | None = None
    waivers: tuple[WaiverRef, ...] = ()
    operator: str
    deployment: Deployment
    release: str | None = None

    def __post_init__(self) -> None:
        if self.verdict is Verdict.PENDING:
            raise bad("a pending verdict is not a decision")
        if (self.artifacts is None) == (self.rows is None):
            raise bad("a decision has either artifacts or rows")
        if self.artifacts is not None:
            worst = all(row.verdict is Verdict.ALLOW for row in self.artifacts)
            if not self.artifacts or (self.verdict is Verdict.ALLOW) != worst:
                raise bad("the verdict is allow exactly when every artifact's is")
            if any(row.sha256 is None and (row.purl is None or row.verdict is Verdict.ALLOW) for row in self.artifacts):
                raise bad("an artifact without sha256 has a purl and is not allowed")


def row_bytes(artifacts: tuple[ArtifactVerdict, ...]) -> list[bytes]:
    """The JCS bytes of each row: the leaves of the Merkle tree of a large decision."""
    return [canonical(to_json(row)) for row in artifacts]


def rows_digest(artifacts: tuple[ArtifactVerdict, ...]) -> Sha256:
    """SHA-256 of the JCS list of the rows."""
    return sha256(canonical([to_json(row) for row in artifacts]))


def rows_of(artifacts: tuple[ArtifactVerdict, ...]) -> Rows:
    """What stands in a decision for more than 256 rows."""
    tree, encoded = Compact(), row_bytes(artifacts)
    for row in encoded:
        tree.append(leaf_hash(row))
    # the JCS form of a list is its items' forms joined: each row is encoded once
    return Rows(sha256(b"[" + b",".join(encoded) + b"]"), Sha256(tree.root().hex()), len(artifacts))


def build(decision: Decision, names: Mapping[Sha256, str]) -> Statement:
    """Make the statement; ``names`` are file names by digest, else the digest is the name. Its subjects are :func:`_subjects`."""
    subjects = tuple(Subject("rows.json" if decision.rows else names.get(digest, f"sha256:{digest}"), digest) for digest in _subjects(decision))
    return make(subjects, PredicateType.DECISION, decision)


def read(statement: Statement) -> Decision:
    """Read a decision and tie its subjects to its rows."""
    decision = expect(statement, PredicateType.DECISION, Decision)
    if [subject.sha256 for subject in statement.subjects] != _subjects(decision):
        raise bad("the decision's subjects are not its artifacts")
    return decision


def _subjects(decision: Decision) -> list[Sha256]:
    """The artifacts' digests, each once; the digest of the rows when there are more than 256 or when no digest is known at all."""
    if decision.rows is not None:
        return [decision.rows.sha256]
    artifacts = decision.artifacts or ()
    if len(artifacts) > MAX_SUBJECTS:
        raise bad(f"more than {MAX_SUBJECTS} artifacts need rows")
    return list(dict.fromkeys(row.sha256 for row in artifacts if row.sha256 is not None)) or [rows_digest(artifacts)]
