"""What a resolver signs: which bytes are the original, which are the source (type ``…:resolution:v0.1``)."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core.digests import Sha256
from reprove.core.outcomes import Outcome
from reprove.core.purls import parse_purl
from reprove.core.statements.codec import Timestamp, bad
from reprove.core.statements.common import PredicateType, Statement, Subject, expect, make, predicate
from reprove.core.statements.parts import Blob, Cause, FindingRow, IndexRef, check_outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOriginal:
    """The published file; ``verified`` says that its bytes were fetched and hashed."""

    name: str
    sha256: Sha256
    size: int
    uploaded: Timestamp | None = None
    yanked: bool = False
    verified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSource:
    """The file to build from, fetched and hashed."""

    kind: str
    name: str
    uri: str
    sha256: Sha256
    size: int
    uploaded: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of the release as the index page lists it."""

    name: str
    sha256: Sha256 | None = None


@predicate(PredicateType.RESOLUTION)
@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The resolution's predicate; ``outcome`` stands only when it settles the rebuild alone."""

    rebuild: str
    lease: Sha256
    request: Blob
    purl: str
    outcome: Outcome | None = None
    cause: Cause | None = None
    original: ResolvedOriginal
    source: ResolvedSource | None = None
    index: IndexRef
    listing: tuple[ListedFile, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    resolver: Blob

    def __post_init__(self) -> None:
        parse_purl(self.purl)
        if self.outcome is None:
            if self.cause is not None or self.source is None or not self.original.verified:
                raise bad("a resolution without outcome has no cause, a source, and an original whose bytes were checked")
            return
        if self.outcome not in (Outcome.NOT_ATTEMPTABLE, Outcome.INPUT_UNAVAILABLE):
            raise bad(f"a resolution cannot settle outcome {self.outcome}")
        check_outcome(self.outcome, None, self.cause)


def build(resolution: Resolution) -> Statement:
    """Make the statement about the original."""
    return make((Subject(resolution.original.name, resolution.original.sha256),), PredicateType.RESOLUTION, resolution)


def read(statement: Statement) -> Resolution:
    """Read a resolution; its one subject must be the original by name and digest."""
    resolution = expect(statement, PredicateType.RESOLUTION, Resolution)
    if statement.subjects != (Subject(resolution.original.name, resolution.original.sha256),):
        raise bad("the resolution's subject is not its original")
    return resolution


def blobs(resolution: Resolution) -> frozenset[Sha256]:
    """The blobs that must be stored before the resolution: page, source, and the original when its bytes were seen."""
    named = {resolution.index.page.sha256}
    if resolution.original.verified:
        named.add(resolution.original.sha256)
    if resolution.source is not None:
        named.add(resolution.source.sha256)
    return frozenset(named)
