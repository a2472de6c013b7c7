"""From what the steps left to what the worker signs. Everything a driver's JSON says is read as data of a hostile author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from reprove.core.canonical import canonical
from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError
from reprove.core.outcomes import CAUSE_CLASSES, Finding, Level, Origin, Outcome
from reprove.core.statements import report as reports
from reprove.core.statements.codec import Facts, Hex4, Timestamp
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
    Sized,
    SourceRef,
    Stamp,
)
from reprove.core.statements.report import CandidateRow, LogBlob, RebuiltFile, Report, ReportRecipe
from reprove.core.statements.resolution import Resolution
from workers import environments
from workers.context import WorkerContext
from workers.ecosystems import drafts
from workers.ecosystems.drafts import Draft
from workers.environments import Environment
from workers.inputs.fetch import FetchedInput
from workers.sandbox import Collected
from workers.steps import Ending, Output, text_of

MAX_SHOWN = 20
MAX_FINDINGS = 100
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
"""Which candidate speaks for the attempt: the one that came furthest."""


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
    return Inferred(document, _findings(document))


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
    found = (*tried.findings, *_findings(output.document))
    unique = tuple(dict.fromkeys(found))[:MAX_FINDINGS]
    tried = replace(tried, findings=unique, causes=())
    if bitwise:
        return replace(tried, level=Level.BITWISE)
    try:
        return _judge(output.document, tried)
    except (ProblemError, KeyError, TypeError, ValueError) as error:
        return replace(tried, ending=Ending(Outcome.DIFFERS, Cause("container", f"the comparison could not be read: {error}"[:400])))


def _judge(document: Mapping[str, object], tried: Tried) -> Tried:
    rows = document.get("differences")
    differences = tuple(_difference(row) for row in (rows if isinstance(rows, list) else ()) if isinstance(row, Mapping))
    count = document.get("count")
    total = count if isinstance(count, int) and count >= len(differences) else len(differences)
    whole = canonical([_plain(row) for row in differences]) if differences else None
    tried = replace(tried, differences=differences[:MAX_SHOWN], difference_list=whole, difference_count=total)
    outcome = Outcome(text_of(document, "outcome"))
    if outcome is Outcome.REPRODUCED and text_of(document, "level") == Level.TIMES_STAMPED:
        return replace(tried, level=Level.TIMES_STAMPED, stamps=_stamps(document.get("stamps")))
    cause = document.get("cause")
    table = cause if isinstance(cause, Mapping) else {}
    if outcome is Outcome.REPRODUCED:
        # only bytes decide bitwise, and nothing else is called equal yet
        return replace(tried, ending=Ending(Outcome.DIFFERS, Cause("container", "the comparison claims a level that the bytes do not have")))
    return replace(tried, ending=Ending(outcome, Cause(text_of(table, "class"), text_of(table, "detail"))))


def _stamps(rows: object) -> tuple[Stamp, ...]:
    """The list of stamps; the statement checks its hex and its rules, the attester applies it and hashes."""
    listed = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return tuple(Stamp(str(row["member"]), int(row["offset"]), Hex4(str(row["old"])), Hex4(str(row["new"]))) for row in listed)


def describe(tried: Tried) -> str:
    """One line of a comparison's result."""
    if tried.level is not None:
        return f"equal, {tried.level}"
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


def _findings(document: Mapping[str, object]) -> tuple[FindingRow, ...]:
    rows = document.get("findings")
    known = {item.value for item in Finding}
    found = []
    for row in rows[:MAX_FINDINGS] if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("code") in known:
            found.append(FindingRow(Finding(str(row["code"])), text_of(row, "path") or None, text_of(row, "detail") or None))
    return tuple(found)


def _difference(row: Mapping[str, object]) -> Difference:
    offset = row.get("offset")
    return Difference(
        text_of(row, "path"),
        text_of(row, "field", limit=60),
        _value(row, "old"),
        _value(row, "new"),
        offset if isinstance(offset, int) and offset >= 0 else None,
    )


def _value(row: Mapping[str, object], key: str) -> str | int | None:
    value = row.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else text_of(row, key, limit=200) if isinstance(value, str) else None


def _plain(row: Difference) -> dict[str, object]:
    members = {"path": row.path, "field": row.field, "old": row.old, "new": row.new, "offset": row.offset}
    return {key: value for key, value in members.items() if value is not None}
