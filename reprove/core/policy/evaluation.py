"""A policy applied to artifacts: allow, deny or pending, each with the rule, what was found and the nearest remedy as a command.

Pure: the same policies, opinions and ``now`` give the same rows in the same order. It fails closed: what is not shown is denied.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reprove.core.digests import AttestationId, Sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.outcomes import LEVEL_ORDER, Finding, Level
from reprove.core.policy.model import Bindings, Dissent, Policy, Rule
from reprove.core.policy.opinions import DECISIVE, Opinion, Unit, conflicts, refusal, units
from reprove.core.purls import Purl
from reprove.core.statements.comparison import Comparison
from reprove.core.statements.decision import ArtifactVerdict, BoundPolicy, Reason, Verdict
from reprove.core.statements.parts import Pass


@dataclass(frozen=True, slots=True)
class Question:
    """One artifact that is asked about.

    ``sha256`` is None when nobody has seen the bytes that ``purl`` names; ``purl`` is the file's where it was asked by name; ``under_way``
    says that a rebuild of it has not ended.
    """

    sha256: Sha256 | None
    purl: Purl | None = None
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict for the set, one row per question in order, and the bound policies that took part."""

    verdict: Verdict
    rows: tuple[ArtifactVerdict, ...]
    bound: tuple[BoundPolicy, ...]


def evaluate(
    policy: Policy, bindings: Bindings, policies: Mapping[str, Policy], *, questions: Sequence[Question], opinions: Iterable[Opinion], now: datetime
) -> Evaluation:
    """Decide about every question under the policy asked for and the one that its purl is bound to.

    ``opinions`` are verified; those about other digests take part only as purl conflicts. Raises ``invalid-policy`` when a binding names a
    policy that does not exist: a gate that cannot read its rules answers nothing.
    """
    known = sorted(opinions, key=lambda each: (each.log_index, each.id))
    by_digest: dict[Sha256, list[Opinion]] = {}
    by_purl: dict[Purl, list[Opinion]] = {}
    for opinion in known:
        by_digest.setdefault(opinion.sha256, []).append(opinion)
        by_purl.setdefault(opinion.purl, []).append(opinion)
    rows: list[ArtifactVerdict] = []
    bound: set[BoundPolicy] = set()
    for question in questions:
        if question.sha256 is None:
            rows.append(_unknown(question))
            continue
        own = by_digest.get(question.sha256, [])
        names = [question.purl] if question.purl is not None else sorted({each.purl for each in own}, key=str)
        results = [_Name(question, name, own, by_purl.get(name, ()), now).under(policy, bindings, policies, bound) for name in names]
        rows.append(_combine(question, results, names))
    return Evaluation(_worst(row.verdict for row in rows), tuple(rows), tuple(sorted(bound, key=lambda each: (each.prefix, each.name))))


@dataclass(frozen=True, slots=True)
class _Result:
    verdict: Verdict
    reasons: tuple[Reason, ...]
    attestations: tuple[AttestationId, ...]
    supports: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class _Name:
    """One artifact under one of its names."""

    question: Question
    purl: Purl
    own: Sequence[Opinion]
    same_name: Sequence[Opinion]
    now: datetime

    def under(self, policy: Policy, bindings: Bindings, policies: Mapping[str, Policy], bound: set[BoundPolicy]) -> _Result:
        """The result under the policy asked for and the bound one; the worse counts."""
        results = [self._by(policy)]
        binding = bindings.policy_for(self.purl)
        if binding is not None:
            prefix, name = binding
            if name not in policies:
                raise ProblemError(Slug.INVALID_POLICY, f"bindings.yaml binds {prefix} to policy {name}, which does not exist")
            other = policies[name]
            bound.add(BoundPolicy(prefix, other.name, other.sha256))
            if other.sha256 != policy.sha256:
                result = self._by(other)
                where = f" (policy {other.name}, bound to {prefix})"
                reasons = tuple(replace(reason, expected=f"{reason.expected}{where}") for reason in result.reasons)
                results.append(replace(result, reasons=reasons))
        verdict = _worst(result.verdict for result in results)
        reasons = tuple(dict.fromkeys(reason for result in results if result.verdict is not Verdict.ALLOW for reason in result.reasons))
        attestations = tuple(dict.fromkeys(each for result in results for each in result.attestations))
        return _Result(verdict, reasons, attestations, tuple(each for result in results for each in result.supports))

    def _by(self, policy: Policy) -> _Result:
        rule = policy.rule_for(self.purl)
        if rule is None:
            remedy = "add a rule to the policy, or ask under another one"
            return _deny(Reason("match", f"a rule of policy {policy.name} that matches", str(self.purl), remedy))
        admitted: list[Opinion] = []
        refused: list[Opinion] = []
        for opinion in self.own:
            if opinion.purl == self.purl:
                (refused if refusal(rule, opinion) else admitted).append(opinion)
        folded = units(admitted)
        if not folded:
            return self._absent(rule, admitted, refused)
        return self._decide(rule, folded)

    def _absent(self, rule: Rule, admitted: Sequence[Opinion], refused: Sequence[Opinion]) -> _Result:
        """No admitted attestation: pending while one may still come, else denied with what there is instead."""
        expected = f"a rebuild with level {rule.level} or above"
        if self.question.under_way:
            return _Result(Verdict.PENDING, (Reason("no-attestation", expected, "a rebuild of it is under way", None),), ())
        remedy = f"reprove rebuild {shlex.quote(str(self.purl))} --wait"
        if admitted:
            last = max(admitted, key=lambda each: each.log_index)
            cause = last.comparison.cause
            actual = f"{last.comparison.outcome}: {cause.class_}: {cause.detail}" if cause else str(last.comparison.outcome)
            return _deny(Reason("no-attestation", expected, f"{actual[:300]} ({last.id})", f"reprove show {last.id}; {remedy} --force"))
        reasons = [Reason("no-attestation", expected, "none that the policy admits" if refused else "none", remedy)]
        for opinion in refused:
            why = refusal(rule, opinion)
            if why is not None and opinion.comparison.outcome in DECISIVE:
                reasons.append(Reason(why.rule, why.expected, f"{why.actual}: {opinion.comparison.outcome} is not counted ({opinion.id})", remedy))
        return _deny(*dict.fromkeys(reasons))

    def _decide(self, rule: Rule, folded: Sequence[Unit]) -> _Result:
        conflicting = conflicts(self.same_name, self.purl, folded[0].newest.sha256)
        dissent = tuple(_dissent(unit) for unit in folded if unit.dissents) if rule.dissent is Dissent.DENY else ()
        supports, misses = [], []
        for unit in folded:
            if unit.dissents:
                continue
            reasons = self._misses(rule, unit, conflicting)
            (misses.append(reasons) if reasons else supports.append(unit))
        used = tuple(unit.newest.id for unit in folded)
        operators = {unit.operator for unit in supports}
        if dissent or len(operators) < rule.operators:
            nearest = min(misses, key=len, default=())
            return _Result(Verdict.DENY, (*dissent, *nearest, *self._quorum(rule, operators, bool(nearest or dissent))), used)
        return _Result(Verdict.ALLOW, (), used, tuple(unit.newest.comparison for unit in supports))

    def _quorum(self, rule: Rule, operators: set[str], explained: bool) -> tuple[Reason, ...]:  # noqa: FBT001  # private, two callers' facts
        if len(operators) >= rule.operators or (rule.operators == 1 and explained):
            return ()
        who = f" ({', '.join(sorted(operators))})" if operators else ""
        wanted = f"{rule.operators} operator{'s' if rule.operators > 1 else ''} that reproduced it"
        remedy = f"ask another operator: reprove rebuild {shlex.quote(str(self.purl))} --wait, on an instance that this one trusts"
        return (Reason("operators", wanted, f"{len(operators)}{who}", remedy),)

    def _misses(self, rule: Rule, unit: Unit, conflicting: Sequence[Opinion]) -> tuple[Reason, ...]:
        """Everything that keeps a reproduced unit from counting."""
        comparison, identity = unit.newest.comparison, unit.newest.id
        again = f"reprove rebuild {shlex.quote(str(self.purl))} --force --wait"
        reasons: list[Reason] = []
        level = comparison.level
        if level is None or not level.satisfies(rule.level):
            reasons.append(Reason("level", f"{rule.level} or above", f"{level} ({identity})", f"reprove show {identity}"))
        foreign = sorted({each.id for each in comparison.passes or ()} - set(rule.passes))
        if foreign:
            expected = ", ".join(rule.passes) or "no pass"
            remedy = f"reprove show {identity}; if you accept it: passes: [{', '.join((*rule.passes, *foreign))}]"
            reasons.append(Reason("passes", expected, f"{', '.join(foreign)} ({identity})", remedy))
        age = _age(unit.newest, self.now)
        if age is None or age > rule.max_age:
            actual = "of unknown age" if age is None else f"{_days(age)} old"
            reasons.append(Reason("max_age", f"at most {_days(rule.max_age)} old", f"{actual} ({identity})", again))
        found = set(unit.findings)
        if conflicting:
            found.add(Finding.PURL_CONFLICT)
        for code in sorted(found - set(rule.allow_findings)):
            reasons.append(_finding(code, unit, conflicting))
        return tuple(reasons)


def _finding(code: Finding, unit: Unit, conflicting: Sequence[Opinion]) -> Reason:
    identity = unit.newest.id
    row = next((row for row in unit.newest.comparison.findings if row.code is code), None)
    detail = ": ".join(part for part in ((row.path, row.detail) if row else ()) if part)
    if code is Finding.UNSTABLE:
        detail = "one recipe has both reproduced it and not"
    elif code is Finding.PURL_CONFLICT and conflicting:
        detail = f"the same name was seen as sha256:{conflicting[-1].sha256} ({conflicting[-1].id})"
    actual = f"{code}: {detail} ({identity})" if detail else f"{code} ({identity})"
    return Reason("findings", f"no {code}", actual[:400], f"reprove show {identity}; if you accept it: allow_findings: [{code}]")


def _dissent(unit: Unit) -> Reason:
    comparison = unit.newest.comparison
    cause = f", {comparison.cause.class_}: {comparison.cause.detail}" if comparison.cause else ""
    actual = f"{unit.operator} says {comparison.outcome}{cause}"
    return Reason("dissent", "no admitted operator says that it differs", f"{actual[:300]} ({unit.newest.id})", f"reprove show {unit.newest.id}")


def _combine(question: Question, results: Sequence[_Result], names: Sequence[Purl]) -> ArtifactVerdict:
    """One row for a question: a digest with several names must satisfy all of them, since a name is who vouches for the source."""
    if not results:
        return _unknown(question)
    verdict = _worst(result.verdict for result in results)
    reasons = tuple(dict.fromkeys(reason for result in results if result.verdict is not Verdict.ALLOW for reason in result.reasons))
    if len({result.verdict for result in results}) > 1:
        allowed = [str(name) for name, result in zip(names, results, strict=True) if result.verdict is Verdict.ALLOW]
        remedy = f"ask by the name that you mean: {shlex.quote(allowed[0])}" if allowed else None
        reasons = (*reasons, Reason("names", "one name, or names that agree", f"{len(names)} names: {', '.join(map(str, names))}"[:400], remedy))
    level, passes = _weakest(result.supports for result in results) if verdict is Verdict.ALLOW else (None, None)
    return ArtifactVerdict(
        sha256=question.sha256,
        verdict=verdict,
        purl=str(names[0]) if len(names) == 1 else None,
        reasons=reasons,
        attestations=tuple(dict.fromkeys(each for result in results for each in result.attestations)),
        level=level,
        passes=passes,
    )


def _weakest(supports: Iterable[tuple[Comparison, ...]]) -> tuple[Level | None, tuple[Pass, ...] | None]:
    """The lowest level that an allow rests on, and every pass that was needed for one of its reproductions."""
    found = [each for group in supports for each in group]
    level = max((each.level for each in found if each.level is not None), key=LEVEL_ORDER.index, default=None)
    passes = {one for each in found for one in each.passes or ()}
    return level, tuple(sorted(passes, key=lambda one: (one.id, one.version))) or None


def _unknown(question: Question) -> ArtifactVerdict:
    """A digest or a name that nothing is known of."""
    purl = str(question.purl) if question.purl is not None else None
    if question.under_way:
        reason = Reason("no-attestation", "a rebuild", "a rebuild of it is under way")
        return ArtifactVerdict(sha256=question.sha256, verdict=Verdict.PENDING, purl=purl, reasons=(reason,))
    name = shlex.quote(purl) if purl else "PURL"
    reason = Reason("no-attestation", "a rebuild", "none: this instance has never seen it", f"reprove rebuild {name} --wait")
    return ArtifactVerdict(sha256=question.sha256, verdict=Verdict.DENY, purl=purl, reasons=(reason,))


def _age(opinion: Opinion, now: datetime) -> timedelta | None:
    return None if opinion.recorded is None else now - opinion.recorded


def _days(span: timedelta) -> str:
    if span < timedelta(days=2):
        return f"{int(span.total_seconds())} s"
    return f"{span.days} days"


def _deny(*reasons: Reason) -> _Result:
    return _Result(Verdict.DENY, tuple(reasons), ())


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Deny before pending before allow; nothing at all is denied."""
    found = set(verdicts)
    if Verdict.DENY in found or not found:
        return Verdict.DENY
    return Verdict.PENDING if Verdict.PENDING in found else Verdict.ALLOW
