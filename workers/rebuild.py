"""The rebuild, read top to bottom: claim, recipe, fetch, build, compare, refine, report (DESIGN section 5).

Candidates are evidence; only the attempt's final result becomes an outcome. Whatever our own infrastructure does wrong ends as a fault that
gives the attempt back, never as an outcome of the artifact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import OwnError
from reprove.core.outcomes import Outcome
from reprove.core.statements import common
from reprove.core.statements import resolution as resolutions
from reprove.core.statements.parts import Blob, Cause
from reprove.core.statements.report import CandidateRow
from reprove.core.statements.resolution import Resolution
from reprove.core.states import Phase
from reprove.crashpoints import crash_point
from reprove.signers import sign_statement
from workers import environments, reporting, steps
from workers.buildlog import BuildLog
from workers.client import LeaseLostError
from workers.context import WorkerContext
from workers.ecosystems import pypi
from workers.ecosystems.drafts import Draft
from workers.environments import Environment
from workers.inputs import fetch
from workers.reporting import Inferred, Tried
from workers.sandbox import Engine, ImageRef, Labels, Limits
from workers.steps import Bench, Ending, Output
from workers.workspace import Workspace

TOOL_ENVIRONMENT = "bookworm-python"
"""What inference and comparison run in: the one whose Python is the worker's own."""
MAX_FILE = 1024**3
_LOOK_SECONDS = 2.0
_WAIT_SECONDS = 3600.0


@dataclass(slots=True)
class Attempt:
    """One attempt's work; owned by the thread that runs :func:`run`."""

    context: WorkerContext
    engine: Engine
    resolution: Resolution
    space: Workspace
    log: BuildLog
    cancel: threading.Event
    started: datetime
    timings: dict[str, int] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)

    @property
    def bench(self) -> Bench:
        """What container steps need of the attempt."""
        claim = self.context.claim
        labels = Labels(rebuild=claim.rebuild, attempt=claim.attempt, lease=claim.lease)
        return Bench(
            engine=self.engine,
            labels=labels,
            outputs=self.space.outputs,
            # what the service would refuse to store is a limit of the build, not a fault of ours
            max_output=self.context.settings.max_blob,
            cancel=self.cancel,
            on_log=self.log.write,
        )


def run(context: WorkerContext) -> None:
    """Run one claimed attempt to its report. Raises LeaseLostError when it is not ours any more, BuilderError and OwnError for our own faults."""
    claim = context.claim
    if context.engine is None or claim.resolution is None or claim.resolution_id is None:
        raise OwnError("a rebuild attempt needs an engine and a resolution")
    crash_point("rebuild.claimed")
    # a crash here leaves a lease that expires and nothing else
    resolution = resolutions.read(common.decode(claim.resolution.payload))
    cancel = threading.Event()
    context.heartbeat.on_lost(cancel.set)
    with (
        Workspace(context.settings.home / "work" / context.engine.worker, claim.attempt) as space,
        BuildLog(space.path / "build.log", context.client, claim.lease, limit=claim.limits["log"]) as log,
    ):
        attempt = Attempt(context, context.engine, resolution, space, log, cancel, datetime.now(UTC))
        final = choose(attempt)
        context.heartbeat.check()
        report(attempt, final)


def choose(attempt: Attempt) -> Tried:
    """Try candidates until one reproduces the original at ``times-stamped`` or above, nothing is left, or the budget is spent; the best counts."""
    original, source = materials(attempt)
    inferred = infer(attempt, original, source)
    if isinstance(inferred, Ending):
        return Tried(n=1, ending=inferred)
    budget = attempt.context.settings.candidates
    while len(attempt.tried) < budget:
        drafts = pypi.candidates(inferred.evidence, attempt.resolution, [one.history for one in attempt.tried if one.draft is not None])
        if not drafts:
            break
        attempt.context.heartbeat.check()
        tried = candidate(attempt, drafts[0], inferred, original, source)
        attempt.tried.append(tried)
        if reporting.settled(tried):
            break
    if not attempt.tried:
        return Tried(n=1, ending=Ending(Outcome.BUILD_FAILED, Cause("source-layout", "no recipe fits this source")), findings=inferred.findings)
    return min(attempt.tried, key=reporting.order)


def materials(attempt: Attempt) -> tuple[Path, Path]:
    """The original and the source, by digest from the service."""
    client, lease, store = attempt.context.client, attempt.context.lease, attempt.context.store
    if attempt.resolution.source is None:
        raise OwnError("a resolution without a source reached a worker")
    original = client.get_blob(lease, attempt.resolution.original.sha256, store, max_bytes=MAX_FILE)
    source = client.get_blob(lease, attempt.resolution.source.sha256, store, max_bytes=MAX_FILE)
    return original.path, source.path


def infer(attempt: Attempt, original: Path, source: Path) -> Inferred | Ending:
    """Read how the original was made, in a container of its own."""
    _, image = environment(attempt, TOOL_ENVIRONMENT)
    with _timed(attempt, Phase.RECIPE) as notes:
        facts = attempt.space.file("facts.json", canonical(reporting.facts(attempt.resolution)))
        output = steps.run_parser(attempt.bench, image, "infer", {"original": original, "source": source, "facts.json": facts})
        result = output if isinstance(output, Ending) else reporting.read_evidence(output.document)
        if isinstance(result, Ending):
            notes["detail"] = result.cause.detail
            return result
        drafts = pypi.candidates(result.evidence, attempt.resolution)
        notes["detail"] = reporting.describe_draft(drafts[0]) if drafts else "no recipe fits"
        return result


def candidate(attempt: Attempt, draft: Draft, inferred: Inferred, original: Path, source: Path) -> Tried:
    """Build once with one recipe and compare."""
    number = len(attempt.tried) + 1
    found, image = environment(attempt, draft.environment)
    attempt.log.heading(f"candidate {number}: {reporting.describe_draft(draft)}")
    with _timed(attempt, Phase.FETCH, number) as notes:
        fetched = fetch.fetch(
            engine=attempt.engine,
            image=image,
            settings=attempt.context.settings,
            requirements=draft.requirements,
            cut=draft.cut,
            labels=attempt.bench.labels,
            cancel=attempt.cancel,
            store=attempt.context.store,
            subject=attempt.resolution.purl,
            original=attempt.resolution.original.sha256,
            original_size=attempt.resolution.original.size,
        )
        notes["detail"] = fetched.describe()
    if fetched.cause is not None and fetched.outcome is not None:
        return Tried(n=number, draft=draft, ending=Ending(fetched.outcome, fetched.cause), findings=inferred.findings, environment=found)
    recipe = reporting.recipe(draft, found, fetched.inputs)
    base = Tried(n=number, draft=draft, recipe=recipe, inputs=fetched.inputs, environment=found, findings=(*inferred.findings, *fetched.findings))
    built = build(attempt, number, image, recipe, fetched, source)
    if isinstance(built, Ending):
        return replace(base, ending=built)
    needs = built.document.get("needs")
    if isinstance(needs, list):
        wanted = tuple(steps.line(str(item), limit=500) for item in needs[:50])
        cause = Cause("backend-missing", f"the backend asks for {', '.join(wanted)}"[:400])
        return replace(base, ending=Ending(Outcome.BUILD_FAILED, cause), needs=wanted, facts=built.step.facts)
    rebuilt = built.files.get(f"dist/{draft.output}")
    if rebuilt is None:
        return replace(base, ending=reporting.build_failure(built.document), facts=built.step.facts)
    crash_point("rebuild.built")
    # a crash here leaves a mount and a workspace, which the next start of this worker removes
    return compare(attempt, replace(base, rebuilt=rebuilt, facts=built.step.facts), original, source)


def build(attempt: Attempt, number: int, image: ImageRef, recipe: bytes, fetched: fetch.FetchResult, source: Path) -> Output | Ending:
    """Build without network from the listed inputs only."""
    limits = attempt.context.claim.limits
    name = attempt.resolution.original.name
    files: dict[str, Path | bytes] = {"recipe.json": recipe, "source": source, **{f"inputs/{item.name}": item.path for item in fetched.inputs}}
    folder = attempt.space.folder(f"in-{number}", files)
    with _timed(attempt, Phase.BUILD, number) as notes:
        notes["detail"] = f"network none, {limits['pids']} pids, {limits['memory'] // 1024**2} MiB"
        allowed = Limits(time_s=limits["time"], memory=limits["memory"], disk=limits["disk"], pids=limits["pids"], log=limits["log"])
        output = steps.run_build(attempt.bench, image, folder, allowed, output=name)
        if isinstance(output, Ending):
            notes["detail"] = f"{output.cause.class_}: {output.cause.detail}"
        elif isinstance(output.document.get("needs"), list):
            notes["detail"] = "the backend asks for more; another candidate follows"
        elif "built" not in output.document:
            notes["detail"] = reporting.build_failure(output.document).cause.detail
        return output


def compare(attempt: Attempt, tried: Tried, original: Path, source: Path) -> Tried:
    """Compare original and rebuilt in a container of its own; equality of the bytes is the host's own finding."""
    if tried.rebuilt is None:
        raise AssertionError("compare needs bytes")
    _, image = environment(attempt, TOOL_ENVIRONMENT)
    with _timed(attempt, Phase.COMPARE, tried.n) as notes:
        facts = attempt.space.path / "facts.json"
        inputs = {"original": original, "rebuilt": tried.rebuilt.path, "source": source, "facts.json": facts}
        output = steps.run_parser(attempt.bench, image, "compare", inputs)
        compared = reporting.read_comparison(output, attempt.resolution, tried)
        notes["detail"] = reporting.describe(compared)
        return compared


def environment(attempt: Attempt, name: str) -> tuple[Environment, ImageRef]:
    """Find an environment, waiting while it is not made yet; its layers are checked against the lock before use."""
    heartbeat, home = attempt.context.heartbeat, attempt.context.settings.home
    deadline = time.monotonic() + _WAIT_SECONDS
    found = environments.find(home, name)
    while found is None:
        heartbeat.waiting("environment", f"{name} is not made yet: reprove env make {name}")
        if attempt.cancel.wait(_LOOK_SECONDS):
            heartbeat.check()
            raise LeaseLostError("cancelled")
        if time.monotonic() > deadline:
            raise OwnError(f"environment {name} was not made within {_WAIT_SECONDS:.0f} s")
        found = environments.find(home, name)
    heartbeat.waiting(None)
    return found, environments.ensure_loaded(attempt.engine, found)


def report(attempt: Attempt, final: Tried) -> None:
    """Store every named blob, then sign and post the one report."""
    context = attempt.context
    with _timed(attempt, Phase.REPORT):
        log = attempt.log.finished()
        blobs = reporting.blobs(final, attempt.tried, attempt.log.path, log.sha256)
        context.client.upload(context.lease, blobs)
        statement = reporting.build_report(
            context,
            attempt.resolution,
            final,
            candidates=tuple(_row(one) for one in attempt.tried),
            log=log,
            timings=attempt.timings,
            started=attempt.started,
            sandbox=final.facts or attempt.engine.facts().as_json(),
        )
        envelope = sign_statement(context.signer, statement.encode())
    crash_point("report.signed")
    # a crash here loses the attempt's work: the lease expires and the next attempt does it again
    context.heartbeat.check()
    with context.heartbeat.ending():
        context.client.report(context.lease, envelope)


def _row(tried: Tried) -> CandidateRow:
    recipe = Blob(sha256(tried.recipe)) if tried.recipe else None
    return CandidateRow(tried.n, tried.outcome, recipe, tried.cause, tried.needs or None, tried.level, tried.passes)


@contextmanager
def _timed(attempt: Attempt, phase: Phase, candidate: int | None = None) -> Iterator[dict[str, str]]:
    """Report a phase around a block and add its wall clock to the attempt's timings."""
    begun = time.monotonic()
    try:
        with attempt.context.heartbeat.phase(phase, candidate=candidate) as notes:
            yield notes
    finally:
        attempt.timings[phase] = attempt.timings.get(phase, 0) + int((time.monotonic() - begun) * 1000)
