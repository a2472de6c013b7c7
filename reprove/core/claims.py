"""What statements in evidence say, read into values, and whether they belong together. Keys and proofs are :mod:`reprove.core.verification`'s."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reprove.core.digests import AttestationId, Sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from reprove.core.evidence import Evidence
from reprove.core.outcomes import Level, Outcome
from reprove.core.statements import comparison, decision, report, resolution
from reprove.core.statements.common import PredicateType, Statement, decode
from reprove.core.statements.comparison import Comparison
from reprove.core.statements.decision import Decision
from reprove.core.statements.report import Report
from reprove.core.statements.resolution import Resolution


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that evidence says about its subject, as statements that fit together; who signed them is not looked at.

    ``operators[i]`` is the operator in whose name entry ``i`` speaks; ``comparisons`` maps an entry's position to its comparison,
    ``names`` to the file name that it gives.
    """

    comparisons: dict[int, Comparison]
    names: dict[int, str]
    operators: tuple[str, ...]
    reports: tuple[tuple[Envelope, Report, Comparison], ...]
    resolutions: tuple[tuple[Envelope, Resolution], ...]
    decision: Decision | None


def read_contents(evidence: Evidence, *, sha512: str | None = None) -> Contents:
    """Read every statement and tie them together. Raises VerificationError ``malformed``, ``subject`` or ``no-evidence``.

    A provenance, report or resolution that no comparison in the file names is refused, and so is a comparison whose provenance is missing.
    """
    try:
        statements = [decode(one.envelope.payload) for one in evidence.entries]
        comparisons = {at: comparison.read(one) for at, one in enumerate(statements) if one.predicate_type is PredicateType.COMPARISON}
        if not comparisons:
            raise VerificationError(VerificationReason.NO_EVIDENCE, "the evidence holds no comparison")
        names = {at: statements[at].subjects[0].name for at in comparisons}
        for at in comparisons:
            _same_subject(statements[at], evidence, sha512)
        if evidence.subject_name not in names.values():
            raise VerificationError(VerificationReason.SUBJECT, f"no comparison is about a file called {evidence.subject_name}")
        operators = tuple(_operator(one) for one in statements)
        _tie_provenances(evidence, statements, comparisons)
        reports = tuple(_tie_report(one, report.read(decode(one.payload)), comparisons.values()) for one in evidence.reports)
        resolutions = tuple(_tie_resolution(one, resolution.read(decode(one.payload)), comparisons.values()) for one in evidence.resolutions)
        verdict = decision.read(decode(evidence.decision.envelope.payload)) if evidence.decision else None
    except ProblemError as error:
        raise malformed(error.problem.detail) from None
    if verdict is not None:
        _covers(verdict, evidence.subject_sha256)
    return Contents(comparisons, names, operators, reports, resolutions, verdict)


def malformed(detail: str) -> VerificationError:
    """Make the error of evidence that cannot be what its signers meant."""
    return VerificationError(VerificationReason.MALFORMED, f"malformed: {detail}")


def _same_subject(statement: Statement, evidence: Evidence, sha512: str | None) -> None:
    subject = statement.subjects[0]
    wrong_512 = sha512 is not None and subject.sha512 not in (None, sha512)
    if subject.sha256 != evidence.subject_sha256 or wrong_512:
        raise VerificationError(VerificationReason.SUBJECT, f"a comparison is about {subject.name} sha256:{subject.sha256}, not about this file")


def _operator(statement: Statement) -> str:
    """The operator in whose name a statement speaks; ProblemError-free because shapes were checked, but for provenance, which has none."""
    if statement.predicate_type is PredicateType.COMPARISON:
        return str(statement.predicate["operator"])
    try:
        return str(statement.predicate["runDetails"]["builder"]["id"])
    except (KeyError, TypeError):
        raise malformed(f"an entry is neither a comparison nor a provenance with a builder, but {statement.predicate_type}") from None


def _tie_provenances(evidence: Evidence, statements: Sequence[Statement], comparisons: dict[int, Comparison]) -> None:
    named = {one.provenance: one for one in comparisons.values() if one.provenance is not None}
    found: set[AttestationId] = set()
    for entry, statement in zip(evidence.entries, statements, strict=True):
        if statement.predicate_type is PredicateType.COMPARISON:
            continue
        owner = named.get(entry.envelope.id)
        if statement.predicate_type is not PredicateType.PROVENANCE or owner is None:
            raise malformed("an entry is neither a comparison nor a provenance that one of them names")
        if owner.rebuilt is None or [one.sha256 for one in statement.subjects] != [owner.rebuilt.sha256]:
            raise malformed("a provenance is about other bytes than its comparison says were rebuilt")
        found.add(entry.envelope.id)
    if found != set(named):
        raise malformed("a comparison names a provenance that is missing")


def _tie_report(envelope: Envelope, value: Report, comparisons: Iterable[Comparison]) -> tuple[Envelope, Report, Comparison]:
    owner = next((one for one in comparisons if one.report == envelope.id), None)
    if owner is None:
        raise malformed("a report is inside that no comparison names")
    if owner.worker is not None and owner.worker.sha256 != value.worker.sha256:
        raise malformed("a report is by another worker than its comparison says")
    if owner.outcome is not Outcome.INCONCLUSIVE:  # the attester's own failure overrides what a report says
        said, reported = (
            (one.outcome, one.level, one.passes, one.original.sha256, one.rebuilt.sha256 if one.rebuilt else None) for one in (owner, value)
        )
        if said != reported:
            raise malformed("a comparison says something else than the report that it names")
    return envelope, value, owner


def _tie_resolution(envelope: Envelope, value: Resolution, comparisons: Iterable[Comparison]) -> tuple[Envelope, Resolution]:
    owner = next((one for one in comparisons if one.resolution == envelope.id), None)
    if owner is None:
        raise malformed("a resolution is inside that no comparison names")
    source = (owner.source.sha256 if owner.source else None, value.source.sha256 if value.source else None)
    if owner.original.sha256 != value.original.sha256 or source[0] != source[1]:
        raise malformed("a comparison says something else than the resolution that it names")
    return envelope, value


def _covers(value: Decision, sha256: Sha256) -> None:
    if value.artifacts is None:
        raise VerificationError(VerificationReason.UNSUPPORTED, "unsupported material: a decision over more than 256 artifacts")
    if all(row.sha256 != sha256 for row in value.artifacts):
        raise VerificationError(VerificationReason.SUBJECT, "the decision is not about this file")


@dataclass(frozen=True, slots=True)
class Opinion:
    """One comparison in the order of time, as far as it matters for whether evidence agrees with itself."""

    id: AttestationId
    operator: str
    order: tuple[int, int]
    value: Comparison


def judge(opinions: Sequence[Opinion], minimum: Level) -> Opinion:
    """Return the newest opinion that says ``reproduced`` at ``minimum`` or above; raises VerificationError ``outcome`` with what is said instead.

    What was superseded does not count. Failures are absence; ``differs`` and ``ambiguous-archive`` of any operator are dissent unless a newer
    result of that operator stands on another recipe: nobody re-runs until green (DESIGN section 6).
    """
    superseded = {(one.operator, one.value.supersedes.id) for one in opinions if one.value.supersedes is not None}
    ordered = sorted((one for one in opinions if (one.operator, one.id) not in superseded), key=lambda one: one.order)
    said = [one for one in ordered if one.value.outcome in (Outcome.REPRODUCED, Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE)]
    for one in said:
        later = [other for other in said if other.operator == one.operator and other.order > one.order]
        if one.value.outcome is not Outcome.REPRODUCED and not any(_replaces(other.value, one.value) for other in later):
            raise _outcome(f"{one.operator} says {one.value.outcome}{f': {one.value.cause.detail}' if one.value.cause else ''}")
    good = [one for one in said if one.value.level is not None]
    enough = [one for one in good if one.value.level is not None and one.value.level.satisfies(minimum)]
    if enough:
        return enough[-1]
    if good:
        last = good[-1].value
        passes = f" by {', '.join(each.id for each in last.passes)}" if last.passes else ""
        raise _outcome(f"reproduced only at level {last.level}{passes}, asked for {minimum} or above")
    if not ordered:
        raise _outcome("every comparison inside was superseded")
    newest = ordered[-1].value
    raise _outcome(f"not reproduced: {newest.outcome}{f' ({newest.cause.class_}: {newest.cause.detail})' if newest.cause else ''}")


def _replaces(newer: Comparison, older: Comparison) -> bool:
    recipes = [one.recipe.digest if one.recipe else None for one in (newer, older)]
    return newer.outcome is Outcome.REPRODUCED and recipes[0] != recipes[1]


def _outcome(detail: str) -> VerificationError:
    return VerificationError(VerificationReason.OUTCOME, detail)
