"""What a worker signs at the end of an attempt (type ``…:report:v0.1``); a signed blob that the comparison names by id."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core.digests import AttestationId, Sha256
from reprove.core.outcomes import Level, Outcome
from reprove.core.statements.codec import Facts, Timestamp, bad, parse_time
from reprove.core.statements.common import PredicateType, Statement, Subject, expect, make, predicate
from reprove.core.statements.parts import (
    Blob,
    Cause,
    CauseHint,
    Deployment,
    Differences,
    EnvironmentRef,
    FindingRow,
    IndexRef,
    Input,
    Pass,
    RecipeRef,
    Sized,
    SourceRef,
    Stamp,
    check_causes,
    check_findings,
    check_outcome,
    check_passes,
    check_stamps,
    check_unstamped,
)


@dataclass(frozen=True, slots=True)
class RebuiltFile:
    """The bytes that the build made; a blob."""

    name: str
    sha256: Sha256
    size: int


@dataclass(frozen=True, slots=True)
class LogBlob:
    """The build log, at most ``limit_log`` bytes of it."""

    sha256: Sha256
    size: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One build with one recipe inside the attempt; evidence, never an outcome by itself."""

    n: int
    outcome: Outcome
    recipe: Blob | None = None
    cause: Cause | None = None
    needs: tuple[str, ...] | None = None
    level: Level | None = None
    passes: tuple[Pass, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReportRecipe(RecipeRef):
    """The recipe with the rules that chose it, for people."""

    because: tuple[str, ...] = ()


@predicate(PredicateType.REPORT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report's predicate; its subject is the original by file name.

    ``lease`` is the SHA-256 of the lease token, ``resolution`` the id of the resolution's envelope, ``worker`` the SHA-256 of the signing key's SPKI;
    ``timings`` are milliseconds by phase.
    """

    rebuild: str
    attempt: str
    lease: Sha256
    request: Blob
    resolution: AttestationId
    outcome: Outcome
    level: Level | None = None
    cause: Cause | None = None
    findings: tuple[FindingRow, ...] = ()
    original: Sized
    rebuilt: RebuiltFile | None = None
    stamps: tuple[Stamp, ...] | None = None
    unstamped: str | None = None
    differences: Differences | None = None
    causes: tuple[CauseHint, ...] = ()
    passes: tuple[Pass, ...] | None = None
    recipe: ReportRecipe | None = None
    source: SourceRef | None = None
    index: IndexRef | None = None
    inputs: tuple[Input, ...] = ()
    environment: EnvironmentRef | None = None
    arch: str
    sandbox: Facts
    log: LogBlob | None = None
    candidates: tuple[CandidateRow, ...] = ()
    timings: dict[str, int]
    started: Timestamp
    finished: Timestamp
    worker: Blob
    deployment: Deployment

    def __post_init__(self) -> None:
        check_outcome(self.outcome, self.level, self.cause)
        check_stamps(self.stamps, self.level)
        check_unstamped(self.unstamped, self.level)
        check_passes(self.passes, self.level)
        check_causes(self.causes, self.outcome, self.level)
        check_findings(self.findings, self.level)
        needs_bytes = self.outcome in (Outcome.REPRODUCED, Outcome.DIFFERS)
        if needs_bytes and (self.rebuilt is None or self.recipe is None or self.source is None or self.environment is None):
            raise bad(f"outcome {self.outcome} needs rebuilt, recipe, source and environment")
        if parse_time(self.finished) < parse_time(self.started):
            raise bad("finished is before started")


def build(name: str, report: Report) -> Statement:
    """Make the statement; ``name`` is the original's file name."""
    return make((Subject(name, report.original.sha256),), PredicateType.REPORT, report)


def read(statement: Statement) -> Report:
    """Read a report; its one subject must be the original that the predicate names."""
    report = expect(statement, PredicateType.REPORT, Report)
    if len(statement.subjects) != 1 or statement.subjects[0].sha256 != report.original.sha256:
        raise bad("the report's subject is not its original")
    return report


def blobs(report: Report) -> frozenset[Sha256]:
    """Every blob that the report names and that must be stored before it (DESIGN section 5.8)."""
    named = {report.original.sha256, *(each.sha256 for each in report.inputs)}
    named.update(each.recipe.sha256 for each in report.candidates if each.recipe is not None)
    if report.rebuilt is not None:
        named.add(report.rebuilt.sha256)
    if report.source is not None:
        named.add(report.source.sha256)
    if report.log is not None:
        named.add(report.log.sha256)
    if report.environment is not None:
        named.add(report.environment.lock.sha256)
    if report.differences is not None and report.differences.blob is not None:
        named.add(report.differences.blob.sha256)
    if report.recipe is not None:
        named.add(report.recipe.digest)
    if report.index is not None:
        named.add(report.index.page.sha256)
    return frozenset(named)
