"""From what the steps left to what the worker signs. Everything a driver's JSON says is read as data of a hostile author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from reprove.core.canonical import canonical
from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError
from reprove.core.outcomes import CAUSE_CLASSES, LEVEL_ORDER, Level, Origin, Outcome
from reprove.core.statements import report as reports
from reprove.core.statements.codec import Facts, Timestamp
from reprove.core.statements.common import Statement
from reprove.core.statements.parts import (
    Blob,
    Cause,
    CauseHint,
    Deployment,
    Difference,
    Differences,
    EnvironmentRef,
    FindingRow,
    Input,
    Pass,
    Sized,
    SourceRef,
    Stamp,
    check_causes,
    check_findings,
    check_outcome,
    check_passes,
    check_stamps,
)
from reprove.core.statements.report import CandidateRow, LogBlob, RebuiltFile, Report, ReportRecipe
from reprove.core.statements.resolution import Resolution
from workers import environments, rows
from workers.context import WorkerContext
from workers.ecosystems import drafts
from workers.ecosystems.drafts import Draft
from workers.environments import Environment
from workers.inputs.fetch import FetchedInput
from workers.sandbox import Collected
from workers.steps import Ending, Output, line, text_of

MAX_SHOWN = 20
RANK = {
    Outcome.REPRODUCED: 0,
    Outcome.DIFFERS: 1,
    Outcome.AMBIGUOUS_ARCHIVE: 2,
    Outcome.BUILD_FAILED: 3,
    Outcome.LIMIT_EXCEEDED: 4,
    Outcome.INPUT_UNAVAILABLE: 5,
    Outcome.NOT_ATTEMPTABLE: 6,
    Outcome.INCONCLUSIVE: 7,
}
"""How far an outcome came."""
_COMPARED = frozenset({Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE, Outcome.LIMIT_EXCEEDED, Outcome.INCONCLUSIVE})
"""How comparing may end when the bytes are not equal at any level."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What inference read, checked for its outer form, and the findings it made."""

    evidence: Mapping[str, object]
    findings: tuple[FindingRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One candidate and how far it came."""

    n: int
    draft: Draft | None = None
    recipe: bytes | None = None
    inputs: tuple[FetchedInput, ...] = ()
    environment: Environment | None = None
    findings: tuple[FindingRow, ...] = ()
    rebuilt: Collected | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    ending: Ending | None = None
    level: Level | None = None
    stamps: tuple[Stamp, ...] | None = None
    unstamped: str | None = None
    passes: tuple[Pass, ...] | None = None
    differences: tuple[Difference, ...] = ()
    difference_list: bytes | None = None
    difference_count: int = 0
    causes: tuple[CauseHint, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The candidate's outcome: its ending's, else ``reproduced``."""
        return self.ending.outcome if self.ending else Outcome.REPRODUCED

    @property
    def cause(self) -> Cause | None:
        """Why it is not ``reproduced``."""
        return self.ending.cause if self.ending else None

    @property
    def history(self) -> drafts.Tried:
        """What the rules for the next candidate need of it."""
        if self.draft is None:
            raise AssertionError("a candidate without a draft has no history")
        return drafts.Tried(self.draft, str(self.outcome), self.cause.class_ if self.cause else "", self.needs)


def settled(tried: Tried) -> bool:
    """Whether no other candidate is worth building: below ``times-stamped`` another recipe may still come closer."""
    return tried.level is not None and tried.level.satisfies(Level.TIMES_STAMPED)


def order(tried: Tried) -> tuple[int, int, int, int]:
    """Sorts the candidate that speaks for the attempt first: the furthest, at the highest level, by the fewest passes, the latest."""
    level = LEVEL_ORDER.index(tried.level) if tried.level is not None else 0
    return RANK[tried.outcome], level, len(tried.passes or ()), -tried.n


def facts(resolution: Resolution) -> dict[str, object]:
    """What inference and comparison may know of the resolution: names, digests, upload times."""
    original, source = resolution.original, resolution.source
    known: dict[str, object] = {"original": {"name": original.name, "sha256": original.sha256, "uploaded": original.uploaded or ""}}
    if source is not None:
        known["source"] = {"name": source.name, "sha256": source.sha256, "uploaded": source.uploaded or ""}
    return known


def read_evidence(document: Mapping[str, object]) -> Inferred | Ending:
    """Read the infer driver's result; a problem that it found ends the attempt with its cause."""
    problem = document.get("problem")
    if isinstance(problem, Mapping):
        class_ = text_of(problem, "class")
        for outcome in (Outcome.BUILD_FAILED, Outcome.LIMIT_EXCEEDED):
            if class_ in CAUSE_CLASSES[outcome]:
                return Ending(outcome, Cause(class_, text_of(problem, "detail")))
        return Ending(Outcome.BUILD_FAILED, Cause("source-layout", text_of(problem, "detail")))
    return Inferred(document, rows.findings(document))


def build_failure(document: Mapping[str, object]) -> Ending:
    """The build driver's failure; it runs beside the package's code, so only the class list is believed."""
    failed = document.get("failed")
    table = failed if isinstance(failed, Mapping) else {}
    class_ = text_of(table, "class")
    if class_ not in CAUSE_CLASSES[Outcome.BUILD_FAILED]:
        class_ = "output-missing"
    return Ending(Outcome.BUILD_FAILED, Cause(class_, text_of(table, "detail") or "the build left no wheel"))


def recipe(draft: Draft, environment: Environment, inputs: Sequence[FetchedInput]) -> bytes:
    """The recipe's JCS bytes: the draft, the environment's lock, the closed list of inputs."""
    rows = [{"name": item.name, "sha256": item.sha256} for item in inputs]
    return canonical({**draft.as_json(), "lock_sha256": environment.lock_sha256, "inputs": rows})


def describe_draft(draft: Draft) -> str:
    """One line of a candidate: backend pins, Python, epoch, umask."""
    pins = ", ".join(item for item in draft.requirements if "==" in item)[:120] or "no pins"
    epoch = "SOURCE_DATE_EPOCH from the wheel" if draft.source_date_epoch is not None else "the source's times"
    zone = "" if draft.tz == "UTC" else f", TZ {draft.tz}"
    return f"{pins} on Python {draft.python}, {epoch}{zone}, umask {draft.umask}"


def read_comparison(output: Output | Ending, resolution: Resolution, tried: Tried) -> Tried:
    """Judge a candidate by the comparison. Equal bytes need no parser: the host's own digests decide, whatever the driver says."""
    if tried.rebuilt is None:
        raise AssertionError("a comparison needs bytes")
    bitwise = tried.rebuilt.sha256 == resolution.original.sha256
    if isinstance(output, Ending):
        return replace(tried, level=Level.BITWISE) if bitwise else replace(tried, ending=output)
    found = (*tried.findings, *rows.findings(output.document))
    unique = tuple(dict.fromkeys(found))[: rows.MAX_FINDINGS]
    tried = replace(tried, findings=unique)
    if bitwise:
        return replace(tried, level=Level.BITWISE)
    listed, count = rows.differences(output.document)
    whole = canonical([rows.plain(row) for row in listed]) if listed else None
    tried = replace(tried, differences=listed[:MAX_SHOWN], difference_list=whole, difference_count=count)
    try:
        return _judge(output.document, tried)
    except (ProblemError, ValueError) as error:
        detail = line(f"the comparison could not be read: {error}")
        return replace(tried, ending=Ending(Outcome.DIFFERS, Cause("container", detail)))


def _judge(document: Mapping[str, object], tried: Tried) -> Tried:
    """Raises ProblemError or ValueError for a verdict that no statement could carry: then nothing of it is believed."""
    outcome, causes = Outcome(text_of(document, "outcome")), rows.causes(document)
    if outcome is not Outcome.REPRODUCED:
        table = document.get("cause")
        cause = Cause(text_of(table, "class"), text_of(table, "detail")) if isinstance(table, Mapping) else None
        check_outcome(outcome, None, cause)
        check_causes(causes, outcome, None)
        if outcome not in _COMPARED or cause is None:
            raise ValueError(f"a comparison does not end as {outcome}")
        return replace(tried, ending=Ending(outcome, cause), causes=causes)
    level = Level(text_of(document, "level"))
    if level is Level.BITWISE:
        raise ValueError("it claims a level that the bytes do not have")
    listed = rows.stamps(document)
    stamps = listed if listed or level is Level.TIMES_STAMPED else None
    check_stamps(stamps, level)
    passes = rows.passes(document, level)
    check_passes(passes, level)
    check_findings(tried.findings, level)
    unstamped = None if level is Level.TIMES_STAMPED else text_of(document, "unstamped") or None
    return replace(tried, level=level, stamps=stamps, unstamped=unstamped, passes=passes, causes=causes)


def describe(tried: Tried) -> str:
    """One line of a comparison's result."""
    if tried.level is not None:
        passes = ", ".join(f"{one.id} {one.version}" for one in tried.passes or ())
        return f"equal, {tried.level}" + (f" by {passes}" if passes else "")
    return f"{tried.outcome}: {tried.difference_count} differences" + (f", {tried.cause.class_}" if tried.cause else "")


def blobs(final: Tried, tried: Sequence[Tried], log: Path, log_sha256: Sha256) -> dict[Sha256, Path | bytes]:
    """Every blob that the report names."""
    found: dict[Sha256, Path | bytes] = {log_sha256: log}
    for one in tried:
        if one.recipe is not None:
            found[sha256(one.recipe)] = one.recipe
    found |= {item.sha256: item.path for item in final.inputs}
    if final.rebuilt is not None:
        found[final.rebuilt.sha256] = final.rebuilt.path
    if final.difference_list is not None:
        found[sha256(final.difference_list)] = final.difference_list
    if final.environment is not None:
        found |= dict(environments.blobs(final.environment))
    return found


def build_report(
    context: WorkerContext,
    resolution: Resolution,
    final: Tried,
    *,
    candidates: tuple[CandidateRow, ...],
    log: LogBlob,
    timings: Mapping[str, int],
    started: datetime,
    sandbox: Mapping[str, object],
) -> Statement:
    """The report as a pure function of what happened."""
    claim, source = context.claim, resolution.source
    if claim.resolution_id is None:
        raise AssertionError("a rebuild attempt has a resolution")
    listed = Differences(final.difference_count, final.differences, Blob(sha256(final.difference_list)) if final.difference_list else None)
    predicate = Report(
        rebuild=claim.rebuild,
        attempt=claim.attempt,
        lease=sha256(claim.lease.encode()),
        request=Blob(claim.request_sha256),
        resolution=claim.resolution_id,
        outcome=final.outcome,
        level=final.level,
        cause=final.cause,
        findings=final.findings,
        original=Sized(resolution.original.sha256, resolution.original.size),
        rebuilt=None if final.rebuilt is None else RebuiltFile(resolution.original.name, final.rebuilt.sha256, final.rebuilt.size),
        stamps=final.stamps,
        unstamped=final.unstamped,
        passes=final.passes,
        differences=listed if final.difference_count else None,
        causes=final.causes,
        recipe=None if final.recipe is None else ReportRecipe(sha256(final.recipe), Origin.INFERRED, tuple(_because(final.draft))),
        source=None if source is None else SourceRef(source.kind, source.uri, source.sha256),
        index=resolution.index,
        inputs=tuple(Input(item.name, item.uri, item.sha256, item.size) for item in final.inputs),
        environment=None if final.environment is None else EnvironmentRef(Blob(final.environment.lock_sha256), final.environment.name),
        arch=context.settings.arch,
        sandbox=Facts(dict(sandbox)),
        log=log,
        candidates=candidates,
        timings=dict(timings),
        started=_time(started),
        finished=_time(datetime.now(UTC)),
        worker=Blob(context.signer.public_key.fingerprint),
        deployment=Deployment(context.settings.deployment),
    )
    return reports.build(resolution.original.name, predicate)


def _because(draft: Draft | None) -> list[str]:
    return [] if draft is None else [f"{item.rule}: {item.why}" for item in draft.because]


def _time(moment: datetime) -> Timestamp:
    return Timestamp(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
