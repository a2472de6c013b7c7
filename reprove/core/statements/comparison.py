"""The comparison: what was claimed about one original, for every outcome (type ``…:comparison:v0.1``, INTERFACE section 6).

It is a pure function of the stored report and resolution, so that a second attester, or the same one after a crash, writes the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprove.core.digests import AttestationId, Sha256
from reprove.core.outcomes import Finding, Level, Outcome
from reprove.core.purls import Purl, parse_purl
from reprove.core.statements.codec import Timestamp, bad
from reprove.core.statements.common import PredicateType, Statement, Subject, expect, make, predicate
from reprove.core.statements.parts import (
    Blob,
    Cause,
    CauseHint,
    Claimant,
    Deployment,
    Differences,
    EnvironmentRef,
    FindingRow,
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
from reprove.core.statements.report import Report
from reprove.core.statements.resolution import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedOriginal:
    """The original; ``purl`` always has ``file_name``; ``verified`` says that somebody of this operator hashed the bytes."""

    sha256: Sha256
    size: int
    purl: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedIndex:
    """The index as it stands in comparisons."""

    id: str
    canonical: bool
    page: Blob
    uploaded: Timestamp | None = None
    fetched: Timestamp


@dataclass(frozen=True, slots=True)
class Supersedes:
    """The comparison that this one corrects, and why (DESIGN section 6)."""

    id: AttestationId
    reason: str


@predicate(PredicateType.COMPARISON)
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The comparison's predicate; its subject is the original by file name."""

    outcome: Outcome
    level: Level | None = None
    cause: Cause | None = None
    findings: tuple[FindingRow, ...] = ()
    causes: tuple[CauseHint, ...] = ()
    original: ComparedOriginal
    rebuilt: Sized | None = None
    stamps: tuple[Stamp, ...] | None = None
    unstamped: str | None = None
    differences: Differences | None = None
    passes: tuple[Pass, ...] | None = None
    recipe: RecipeRef | None = None
    source: SourceRef | None = None
    index: ComparedIndex | None = None
    inputs: tuple[Input, ...] | None = None
    environment: EnvironmentRef | None = None
    arch: str | None = None
    provenance: AttestationId | None = None
    resolution: AttestationId | None = None
    report: AttestationId | None = None
    worker: Blob | None = None
    operator: str
    deployment: Deployment
    claimed_by: dict[str, Claimant] = field(metadata={"json": "claimedBy"})
    supersedes: Supersedes | None = None
    principal: str | None = None

    def __post_init__(self) -> None:
        check_outcome(self.outcome, self.level, self.cause)
        check_stamps(self.stamps, self.level)
        check_unstamped(self.unstamped, self.level)
        check_passes(self.passes, self.level)
        check_causes(self.causes, self.outcome, self.level)
        check_findings(self.findings, self.level)
        if parse_purl(self.original.purl).file_name is None:
            raise bad("original.purl needs its file_name")
        if self.level is not None and self.rebuilt is None:
            raise bad("a level needs rebuilt")
        if self.level is not None and (self.level is Level.BITWISE) != (self.rebuilt is not None and self.rebuilt.sha256 == self.original.sha256):
            raise bad("level bitwise means that rebuilt and original have one digest, every other that they have two")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationContext:
    """All that the statements are a function of.

    ``failure`` is the infrastructure's cause: it makes the outcome ``inconclusive`` whatever the report claims, and nothing of the report
    is repeated but its id. ``worker`` is the fingerprint of the key that signed the report.
    """

    resolution: Resolution
    resolution_id: AttestationId
    operator: str
    deployment: Deployment
    report: Report | None = None
    report_id: AttestationId | None = None
    worker: Sha256 | None = None
    failure: str | None = None

    @property
    def believed(self) -> Report | None:
        """The report, unless it was not confirmed."""
        return None if self.failure is not None else self.report

    @property
    def purl(self) -> Purl:
        """The original's purl with its file name."""
        return parse_purl(self.resolution.purl).with_file(self.resolution.original.name)


def build_comparison(context: AttestationContext, *, provenance: AttestationId | None = None) -> Statement:
    """Make the one comparison of a rebuild; ``provenance`` is the id of the envelope that precedes it in the batch."""
    resolution, report = context.resolution, context.believed
    outcome, level, cause = _verdict(context)
    index = resolution.index
    value = Comparison(
        outcome=outcome,
        level=level,
        cause=cause,
        findings=_findings(context),
        causes=report.causes if report else (),
        original=ComparedOriginal(
            sha256=resolution.original.sha256, size=resolution.original.size, purl=str(context.purl), verified=resolution.original.verified
        ),
        rebuilt=Sized(report.rebuilt.sha256, report.rebuilt.size) if report and report.rebuilt else None,
        stamps=report.stamps if report else None,
        unstamped=report.unstamped if report else None,
        differences=report.differences if report else None,
        passes=report.passes if report else None,
        recipe=RecipeRef(report.recipe.digest, report.recipe.origin) if report and report.recipe else None,
        source=SourceRef(resolution.source.kind, resolution.source.uri, resolution.source.sha256) if resolution.source else None,
        index=ComparedIndex(id=index.id, canonical=index.canonical, page=index.page, uploaded=resolution.original.uploaded, fetched=index.fetched),
        inputs=report.inputs if report else None,
        environment=report.environment if report else None,
        arch=report.arch if report else None,
        provenance=provenance,
        resolution=context.resolution_id,
        report=context.report_id,
        worker=Blob(context.worker) if context.worker else None,
        operator=context.operator,
        deployment=_deployment(context),
        claimed_by=_claims(context),
    )
    return make((Subject(resolution.original.name, resolution.original.sha256),), PredicateType.COMPARISON, value)


def read(statement: Statement) -> Comparison:
    """Read a comparison; its one subject must be the original."""
    comparison = expect(statement, PredicateType.COMPARISON, Comparison)
    if len(statement.subjects) != 1 or statement.subjects[0].sha256 != comparison.original.sha256:
        raise bad("the comparison's subject is not its original")
    if parse_purl(comparison.original.purl).file_name != statement.subjects[0].name:
        raise bad("the comparison's subject has another name than its purl")
    return comparison


def _verdict(context: AttestationContext) -> tuple[Outcome, Level | None, Cause | None]:
    """The outcome, by precedence: our own failure, the report, the resolution."""
    if context.failure is not None:
        return Outcome.INCONCLUSIVE, None, Cause("infrastructure", context.failure)
    if context.report is not None:
        return context.report.outcome, context.report.level, context.report.cause
    if context.resolution.outcome is not None:
        return context.resolution.outcome, None, context.resolution.cause
    raise bad("nothing settles the outcome: no report, no outcome in the resolution, no failure")


def _deployment(context: AttestationContext) -> Deployment:
    """``split`` only when the operator's setting and the report both say so."""
    if context.report is not None and context.report.deployment is not context.deployment:
        return Deployment.SINGLE_HOST
    return context.deployment


def _findings(context: AttestationContext) -> tuple[FindingRow, ...]:
    """The resolver's and the worker's findings, and those that follow from digests and names without trusting either."""
    rows = list(context.resolution.findings)
    if context.resolution.original.yanked:
        rows.append(FindingRow(Finding.YANKED))
    report = context.believed
    if report is not None:
        rows.extend(report.findings)
        rows.extend(_echoes(context, report.inputs))
    unique: dict[tuple[Finding, str], FindingRow] = {}
    for row in rows:
        unique.setdefault((row.code, row.path or ""), row)
    yanked = [key for key in unique if key[0] is Finding.YANKED]
    for key in yanked[1:]:
        del unique[key]
    return tuple(unique[key] for key in sorted(unique))


def _echoes(context: AttestationContext, inputs: tuple[Input, ...]) -> list[FindingRow]:
    """The original's digest, or its name and version, among what the build could read (DESIGN section 6)."""
    original, source, purl = context.resolution.original, context.resolution.source, context.purl
    rows = []
    if source is not None and source.sha256 == original.sha256:
        rows.append(FindingRow(Finding.ORIGINAL_AMONG_INPUTS, source.name, "the source is the original"))
    for each in inputs:
        if each.sha256 == original.sha256:
            rows.append(FindingRow(Finding.ORIGINAL_AMONG_INPUTS, each.name, "this input is the original"))
        elif purl.type == "pypi" and _release(each.name) == (canonicalize_name(purl.name), purl.version):
            rows.append(FindingRow(Finding.ORIGINAL_AMONG_INPUTS, each.name, "this input is the artifact's own release"))
    return rows


def _release(file_name: str) -> tuple[str, str] | None:
    """Name and version of a wheel or sdist; None when it is neither.

    The name is a worker's word. A wheel's tags are not taken apart: they multiply, and a name of some hundred bytes would cost minutes.
    """
    if len(file_name) > _MAX_FILE_NAME:
        return None
    if file_name.endswith(".whl"):
        name, _, rest = file_name.removesuffix(".whl").partition("-")
        version = rest.partition("-")[0]
    else:
        name, _, version = file_name.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")
    try:
        return canonicalize_name(name), str(Version(version))
    except InvalidVersion:
        return None


_MAX_FILE_NAME = 255
_WORKER_FIELDS = ("findings", "causes", "stamps", "unstamped", "differences", "passes", "recipe", "inputs", "environment", "arch")


def _claims(context: AttestationContext) -> dict[str, Claimant]:
    """Who answers for each field: what the attester recomputed itself, what it repeats of the worker's and the resolver's."""
    claims = {"original": Claimant.RESOLVER, "index": Claimant.RESOLVER}
    if context.resolution.source is not None:
        claims["source"] = Claimant.RESOLVER
    report = context.believed
    if report is None:
        claims["outcome"] = Claimant.ATTESTER if context.failure is not None else Claimant.RESOLVER
        return claims
    recomputed = report.level in (Level.BITWISE, Level.TIMES_STAMPED)
    claims["outcome"] = Claimant.ATTESTER if recomputed else Claimant.WORKER
    if report.level is not None:
        claims["level"] = claims["outcome"]
    if report.rebuilt is not None:
        claims["rebuilt"] = Claimant.ATTESTER
    for name in _WORKER_FIELDS:
        if getattr(report, name):
            claims[name] = Claimant.WORKER
    return claims
