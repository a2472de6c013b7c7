"""Attestations as a policy sees them, and which of them count (DESIGN section 6).

The unit of opinion is (artifact, operator, origin that the policy admits). What a policy does not admit is shown and never counted, in
both directions. Failures and ``inconclusive`` are absence. Nobody re-runs until green: ``differs`` and ``reproduced`` by one recipe are
``unstable``, and a newer result stands alone only with another recipe or by ``supersedes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from reprove.core.digests import AttestationId, Sha256
from reprove.core.outcomes import Finding, Origin, Outcome
from reprove.core.policy.model import RequiredDeployment, Rule
from reprove.core.purls import Purl, parse_purl
from reprove.core.statements.codec import parse_time
from reprove.core.statements.comparison import Comparison
from reprove.core.statements.parts import Deployment

DECISIVE = frozenset({Outcome.REPRODUCED, Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE})
_DISSENT = frozenset({Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One comparison whose signature and inclusion somebody has verified.

    ``operator`` is who answers for the verified key, ``attester`` the key's fingerprint. ``not_before`` is the time of the last cosigned
    checkpoint without the entry (None: there was none), ``not_after`` of the first with it.
    """

    id: AttestationId
    comparison: Comparison
    operator: str
    attester: Sha256
    log_index: int
    not_before: datetime | None
    not_after: datetime | None

    @property
    def sha256(self) -> Sha256:
        """The artifact that it is about."""
        return self.comparison.original.sha256

    @property
    def purl(self) -> Purl:
        """The name under which the artifact was rebuilt; always with its file."""
        return parse_purl(self.comparison.original.purl)

    @property
    def origin(self) -> Origin | None:
        """Who chose the recipe; None when there was none."""
        return self.comparison.recipe.origin if self.comparison.recipe else None

    @property
    def recorded(self) -> datetime | None:
        """The time that ages count from: the earlier bound; without one, the look at the index or the later bound, whichever is earlier."""
        if self.not_before is not None:
            return self.not_before
        index = self.comparison.index
        known = [each for each in (self.not_after, parse_time(index.fetched) if index else None) if each is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True)
class Unit:
    """One operator's opinion by one origin class: the newest decisive attestation, and whether the same recipe has said both."""

    operator: str
    origin: Origin | None
    newest: Opinion
    unstable: bool

    @property
    def dissents(self) -> bool:
        """Whether the operator says that it does not rebuild to these bytes."""
        return self.newest.comparison.outcome in _DISSENT

    @property
    def findings(self) -> frozenset[Finding]:
        """The statement's findings, and ``unstable``."""
        own = {row.code for row in self.newest.comparison.findings}
        return frozenset(own | {Finding.UNSTABLE}) if self.unstable else frozenset(own)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule does not admit an opinion."""

    rule: str
    expected: str
    actual: str


def refusal(rule: Rule, opinion: Opinion) -> Refusal | None:
    """Say why ``rule`` does not admit ``opinion``, or None: origin, then source or index, then deployment."""
    found = _origin_refusal(rule, opinion) or _place_refusal(rule, opinion)
    if found is None and rule.deployment is RequiredDeployment.SPLIT and opinion.comparison.deployment is not Deployment.SPLIT:
        return Refusal("deployment", "split", str(opinion.comparison.deployment))
    return found


def units(opinions: Iterable[Opinion]) -> tuple[Unit, ...]:
    """Fold admitted opinions into units; order of the input does not matter."""
    standing = _not_superseded(tuple(opinions))
    groups: dict[tuple[str, Origin | None], list[Opinion]] = {}
    for opinion in standing:
        if opinion.comparison.outcome in DECISIVE:
            groups.setdefault((opinion.operator, opinion.origin), []).append(opinion)
    return tuple(_unit(operator, origin, groups[operator, origin]) for operator, origin in sorted(groups, key=lambda key: (key[0], key[1] or "")))


def conflicts(opinions: Iterable[Opinion], purl: Purl, sha256: Sha256) -> tuple[Opinion, ...]:
    """The opinions that looked up the same name and found other bytes (``purl-conflict``)."""
    return tuple(opinion for opinion in opinions if opinion.purl == purl and opinion.sha256 != sha256)


def _unit(operator: str, origin: Origin | None, group: Sequence[Opinion]) -> Unit:
    newest = max(group, key=lambda each: each.log_index)
    recipe = newest.comparison.recipe
    same = [each for each in group if recipe is None or each.comparison.recipe is None or each.comparison.recipe.digest == recipe.digest]
    said = {each.comparison.outcome in _DISSENT for each in same}
    return Unit(operator, origin, newest, unstable=len(said) == 2)


def _not_superseded(opinions: Sequence[Opinion]) -> list[Opinion]:
    """Drop what its own operator has corrected later; nobody corrects another operator or an artifact that the correction is not about."""
    by_id = {opinion.id: opinion for opinion in opinions}
    gone: set[AttestationId] = set()
    for opinion in opinions:
        correction = opinion.comparison.supersedes
        target = by_id.get(correction.id) if correction else None
        if target and target.operator == opinion.operator and target.sha256 == opinion.sha256 and target.log_index < opinion.log_index:
            gone.add(target.id)
    return [opinion for opinion in opinions if opinion.id not in gone]


def _origin_refusal(rule: Rule, opinion: Opinion) -> Refusal | None:
    if opinion.origin is not None and opinion.origin not in rule.origins:
        return Refusal("origins", ", ".join(rule.origins), str(opinion.origin))
    return None


def _place_refusal(rule: Rule, opinion: Opinion) -> Refusal | None:
    """Where the source came from: an accepted index for inferred recipes, a source rule for all others."""
    source, index = opinion.comparison.source, opinion.comparison.index
    if opinion.origin in (None, Origin.INFERRED) and index is not None:
        listed = not rule.indexes or index.id in rule.indexes
        if listed and (index.canonical or (index.id in rule.indexes and index.id.startswith("https://"))):
            return None
        expected = ", ".join(rule.indexes) or "a canonical index"
        return Refusal("indexes", expected, index.id if index.canonical else f"{index.id}, which the operator did not make canonical")
    uri = source.uri if source else "no source"
    if source is not None and any(_under(uri, prefix) for prefix in rule.sources):
        return None
    return Refusal("sources", ", ".join(rule.sources) or "a rule with sources", uri)


def _under(uri: str, prefix: str) -> bool:
    """Whether an address lies under a prefix, without steps that leave it."""
    rest = uri.removeprefix(prefix)
    if not uri.startswith(prefix) or "%2e" in rest.lower() or "%2f" in rest.lower() or "\\" in rest:
        return False
    return not any(part in (".", "..") for part in rest.split("#")[0].split("?")[0].split("/"))
