"""From a rebuild in state ``attesting`` to signed, persisted envelopes: provenance first where there are bytes, then the one comparison.

The statements are a pure function of the stored resolution and report (:mod:`reprove.core.statements`). Envelopes are persisted, unique per
rebuild and predicate, before anything else sees them: whatever happens later, these bytes are the ones that are submitted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import Connection, delete

from reprove.core import dsse
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, ProblemError
from reprove.core.statements import comparison as comparisons
from reprove.core.statements.codec import to_json
from reprove.core.statements.common import PredicateType, Statement, decode
from reprove.core.statements.comparison import AttestationContext, Comparison
from reprove.core.statements.parts import Deployment
from reprove.core.statements.provenance import build_provenance
from reprove.crashpoints import crash_point
from reprove.signers import Signer, sign_statement
from service.attester.checks import Checks, SignedResolution, UnconfirmedError
from service.attester.enrolment import Enrolment
from service.attester.stored import Stored
from service.records import attempts, reports, statements
from service.records.attempts import AttemptRow
from service.records.database import Database
from service.records.rebuilds import RebuildRow, SettledBy
from service.records.reports import ReportRow
from service.records.schema import statement, statement_input
from service.records.statements import StatementRow

log = structlog.get_logger()

MAX_FAILURE = 500


@dataclass(frozen=True, slots=True)
class Identity:
    """In whose name the attester speaks."""

    operator: str
    deployment: Deployment
    signer: Signer


@dataclass(frozen=True, slots=True)
class Prepared:
    """Persisted envelopes of one rebuild in the order of the log, with the comparison's content."""

    rebuild: RebuildRow
    envelopes: tuple[Envelope, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class _Rows:
    """What SQL says of a rebuild; of all that, envelopes and fences are used."""

    resolution: ReportRow | None
    resolve_attempt: AttemptRow | None
    report: ReportRow | None
    attempt: AttemptRow | None
    persisted: tuple[StatementRow, ...]


class Attestation:
    """Prepares rebuilds. One per process; not shared between threads."""

    def __init__(self, database: Database, identity: Identity, enrolment: Enrolment, stored: Stored) -> None:
        self._database = database
        self._identity = identity
        self._enrolment = enrolment
        self._stored = stored

    def prepare(self, rebuild: RebuildRow, now: datetime) -> Prepared:
        """Return the persisted envelopes, made now or by an earlier run.

        Raises UnconfirmedError when there is no resolution that anybody enrolled signed: then there is nothing to make a statement about.
        """
        with self._database.read() as conn:
            rows = _load(conn, rebuild)
        checks = Checks(self._enrolment, self._stored, now)
        kept = self._kept(rebuild, rows)
        if kept is not None:
            return kept
        resolved = checks.resolution(rebuild, rows.resolution, rows.resolve_attempt)
        envelopes = self._signed(rebuild, self._context(checks, rebuild, rows, resolved))
        crash_point("attest.signed")
        # A crash here loses nothing: nobody has seen these bytes, and the next run makes and persists its own.
        self._persist(rebuild, envelopes, now)
        # A crash here is the ordinary restart: the next run finds the rows and submits them as they are.
        crash_point("attest.persisted")
        with self._database.read() as conn:
            kept = self._kept(rebuild, _load(conn, rebuild))
        if kept is None:
            raise OwnError(f"the statements of {rebuild.id} were persisted and are not there")
        return kept

    def _context(self, checks: Checks, rebuild: RebuildRow, rows: _Rows, resolved: SignedResolution) -> AttestationContext:
        """Decide what is repeated: the report if it holds, the resolution's own outcome, or that we failed."""
        context = AttestationContext(
            resolution=resolved.resolution, resolution_id=resolved.id, operator=self._identity.operator, deployment=self._identity.deployment
        )
        try:
            checks.blobs_of_resolution(resolved.resolution)
            if resolved.resolution.outcome is not None:
                return context
            if rebuild.settled_by is SettledBy.INFRASTRUCTURE:
                return replace(context, failure=_plain(rebuild.cause_detail or "the retries are spent"))
            signed = checks.report(rebuild, rows.report, rows.attempt, resolved)
            context = replace(context, report=signed.report, report_id=signed.id, worker=signed.key.fingerprint)
            checks.blobs_of_report(signed.report)
        except UnconfirmedError as error:
            # Neither reproduced nor differs: a lying or damaged report is absence, and the alarm is for the operator.
            log.error("claim not confirmed", alarm=True, rebuild=rebuild.id, report=rebuild.report_id, reason=str(error))  # noqa: TRY400  # a verdict on input, not a fault of ours
            return replace(context, failure=_plain(f"the report was not confirmed: {error}"))
        return context

    def _signed(self, rebuild: RebuildRow, context: AttestationContext) -> tuple[Envelope, ...]:
        """Sign what the context says. A claim that no statement of ours can carry (its size, a name) does not hold, like any other lie."""
        try:
            return self._sign(context)
        except ProblemError as error:
            reason = error.problem.detail
        log.error("claim not confirmed", alarm=True, rebuild=rebuild.id, report=rebuild.report_id, reason=reason)
        try:
            return self._sign(replace(context, failure=_plain(f"no statement can carry what was reported: {reason}")))
        except ProblemError as error:
            raise UnconfirmedError(f"no statement can be made of the resolution: {error.problem.detail}") from error

    def _sign(self, context: AttestationContext) -> tuple[Envelope, ...]:
        provenance = build_provenance(context)
        first = self._envelope(provenance) if provenance is not None else None
        second = self._envelope(comparisons.build_comparison(context, provenance=first.id if first is not None else None))
        return (first, second) if first is not None else (second,)

    def _envelope(self, statement: Statement) -> Envelope:
        """Sign what readers, this attester included, will accept. Raises ProblemError for anything else."""
        payload = statement.encode()
        decode(payload)
        return sign_statement(self._identity.signer, payload)

    def _persist(self, rebuild: RebuildRow, envelopes: tuple[Envelope, ...], now: datetime) -> None:
        with self._database.write() as conn:
            for envelope in envelopes:
                statements.insert(
                    conn,
                    envelope.id,
                    envelope.encode(),
                    str(decode(envelope.payload).predicate_type),
                    rebuild_id=rebuild.id,
                    inputs=_inputs(envelope),
                    visibility=rebuild.visibility,
                    created=now,
                    **_columns(envelope, self._identity.operator),
                )

    def _kept(self, rebuild: RebuildRow, rows: _Rows) -> Prepared | None:
        """What an earlier run persisted, if it is whole, signed by us, and about this rebuild; a row that is not is an intruder's and goes."""
        if not rows.persisted:
            return None
        try:
            return self._read_kept(rebuild, rows)
        except (ProblemError, UnconfirmedError) as error:
            if any(row.log_index is not None for row in rows.persisted):
                raise OwnError(f"a logged statement of {rebuild.id} is not ours: {error}") from error
            log.error("statement rows that nobody here signed are removed", alarm=True, rebuild=rebuild.id, reason=str(error))  # noqa: TRY400  # the same
            with self._database.write() as conn:
                for row in rows.persisted:
                    conn.execute(delete(statement_input).where(statement_input.c.statement_id == row.id))
                    conn.execute(delete(statement).where(statement.c.id == row.id))
            return None

    def _read_kept(self, rebuild: RebuildRow, rows: _Rows) -> Prepared:
        found: dict[PredicateType, tuple[Envelope, Statement]] = {}
        for row in rows.persisted:
            envelope = dsse.decode(row.envelope)
            if envelope.id != row.id or not envelope.signed_by([self._identity.signer.public_key]):
                raise UnconfirmedError(f"row {row.id} does not hold an envelope that this attester signed")
            content = decode(envelope.payload)
            found[content.predicate_type] = (envelope, content)
        if PredicateType.COMPARISON not in found or set(found) - {PredicateType.COMPARISON, PredicateType.PROVENANCE}:
            raise UnconfirmedError("the rows are not one comparison and at most one provenance")
        envelope, content = found[PredicateType.COMPARISON]
        comparison = comparisons.read(content)
        provenance = found.get(PredicateType.PROVENANCE)
        resolution = rows.resolution
        if resolution is None or comparison.resolution != resolution.id or resolution.rebuild_id != rebuild.id:
            raise UnconfirmedError("the comparison is about another rebuild")
        if comparison.provenance != (provenance[0].id if provenance else None):
            raise UnconfirmedError("the comparison names another provenance")
        ordered = (provenance[0], envelope) if provenance else (envelope,)
        return Prepared(rebuild, ordered, comparison)


def _load(conn: Connection, rebuild: RebuildRow) -> _Rows:
    resolution = reports.get(conn, rebuild.resolution_id) if rebuild.resolution_id else None
    report = reports.get(conn, rebuild.report_id) if rebuild.report_id else None
    return _Rows(
        resolution,
        attempts.get(conn, resolution.attempt_id) if resolution else None,
        report,
        attempts.get(conn, report.attempt_id) if report else None,
        tuple(statements.of_rebuild(conn, rebuild.id)),
    )


def _inputs(envelope: Envelope) -> list[str]:
    content = decode(envelope.payload)
    if content.predicate_type is not PredicateType.COMPARISON:
        return []
    value = comparisons.read(content)
    return [each.sha256 for each in value.inputs or ()]


def _columns(envelope: Envelope, operator: str) -> dict[str, str | None]:
    """The search columns of one statement."""
    content = decode(envelope.payload)
    subject = content.subjects[0]
    columns: dict[str, str | None] = {"subject_name": subject.name, "subject_sha256": subject.sha256, "operator": operator}
    if content.predicate_type is not PredicateType.COMPARISON:
        return {**columns, "purl": content.predicate["buildDefinition"]["externalParameters"]["purl"]}
    value = comparisons.read(content)
    return {
        **columns,
        "purl": value.original.purl,
        "rebuilt_sha256": value.rebuilt.sha256 if value.rebuilt else None,
        "outcome": value.outcome.value,
        "level": value.level.value if value.level else None,
        "origin": value.recipe.origin.value if value.recipe else None,
        "worker": value.worker.sha256 if value.worker else None,
        "environment": value.environment.lock.sha256 if value.environment else None,
        "source": value.source.sha256 if value.source else None,
    }


def rebuild_columns(value: Comparison) -> dict[str, object]:
    """What the rebuild's row shows once the entries are recorded: the comparison's words, for pages and lists."""
    return {
        "outcome": value.outcome.value,
        "level": value.level.value if value.level else None,
        "cause_class": value.cause.class_ if value.cause else None,
        "cause_detail": value.cause.detail if value.cause else None,
        "findings": to_json(value.findings),
        "original_sha256": value.original.sha256,
        "original_size": value.original.size,
        "rebuilt_sha256": value.rebuilt.sha256 if value.rebuilt else None,
        "rebuilt_size": value.rebuilt.size if value.rebuilt else None,
        "recipe_digest": value.recipe.digest if value.recipe else None,
        "recipe_origin": value.recipe.origin.value if value.recipe else None,
        "environment_digest": value.environment.lock.sha256 if value.environment else None,
        "inputs": [{"sha256": each.sha256, "uri": each.uri} for each in value.inputs] if value.inputs is not None else None,
        "differences": to_json(value.differences.shown) if value.differences else None,
        "causes": to_json(value.causes),
    }


def _plain(text: str) -> str:
    """One line of printable text, for a signed cause."""
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_FAILURE]
