"""Policy version 1 and its bindings as values, and how their files are read (INTERFACE section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.outcomes import Finding, Level, Origin
from reprove.core.policy.document import Value, read_document
from reprove.core.purls import Purl, matches, parse_pattern

MAX_OPERATORS = 100
MAX_RULES = 1000
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_SOURCE = re.compile(r"(git\+)?https?://[^/\s@?#]+/([^\s?#]*/)?\Z")


class Dissent(StrEnum):
    """What an admitted operator's newest ``differs`` does."""

    DENY = "deny"
    IGNORE = "ignore"


class RequiredDeployment(StrEnum):
    """Which deployments are accepted."""

    ANY = "any"
    SPLIT = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What artifacts under ``match`` have to show. The defaults are the strict ones; an absent member means its default.

    ``indexes`` empty: any index that the operator made canonical. ``sources``: address prefixes that end in a slash.
    """

    match: str
    level: Level = Level.TIMES_STAMPED
    origins: tuple[Origin, ...] = (Origin.INFERRED,)
    indexes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    operators: int = 1
    max_age: timedelta = timedelta(days=365)
    dissent: Dissent = Dissent.DENY
    deployment: RequiredDeployment = RequiredDeployment.ANY
    passes: tuple[str, ...] = ()
    allow_findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file: its name, the SHA-256 of its bytes, its rules in order."""

    name: str
    sha256: Sha256
    rules: tuple[Rule, ...]

    def rule_for(self, purl: Purl) -> Rule | None:
        """The first rule whose ``match`` covers the purl; None means deny."""
        return next((rule for rule in self.rules if matches(rule.match, purl)), None)


@dataclass(frozen=True, slots=True)
class Bindings:
    """``bindings.yaml``: which policy binds a purl prefix, whatever policy a caller names."""

    sha256: Sha256
    rows: tuple[tuple[str, str], ...]

    def policy_for(self, purl: Purl) -> tuple[str, str] | None:
        """The longest prefix that covers the purl, with its policy's name."""
        covering = [row for row in self.rows if matches(row[0], purl)]
        return max(covering, key=lambda row: len(row[0]), default=None)


_MEMBERS = ("match", "level", "origins", "indexes", "sources", "operators", "max_age", "dissent", "deployment", "passes", "allow_findings")


def parse_policy(text: str, *, name: str | None = None) -> Policy:
    """Read a policy file; ``name`` is the file's name without suffix and must be the one inside.

    Raises ``invalid-policy`` with line and column, and nothing else.
    """
    document = read_document(text, Slug.INVALID_POLICY)
    members = document.members(("reprove-policy", "name", "rules"), required=("reprove-policy", "name", "rules"))
    members["reprove-policy"].integer(1, 1)
    found = parse_name(members["name"])
    if name is not None and found != name:
        raise members["name"].fail(f"the file is called {name}, the policy inside {found}")
    rows = members["rules"].items()
    if not 1 <= len(rows) <= MAX_RULES:
        raise members["rules"].fail(f"has {len(rows)} rules, not 1 to {MAX_RULES}")
    rules = tuple(_rule(row) for row in rows)
    _refuse_unreachable(rules, rows)
    return Policy(found, sha256(text.encode()), rules)


def parse_bindings(text: str) -> Bindings:
    """Read ``bindings.yaml``; raises ``invalid-policy`` with line and column."""
    pairs = read_document(text, Slug.INVALID_POLICY).pairs()
    rows: dict[str, str] = {}
    for key, value in pairs.values():
        pattern = _pattern(key)
        if pattern in rows:
            raise key.fail(f"{pattern} is bound twice")
        rows[pattern] = parse_name(value)
    return Bindings(sha256(text.encode()), tuple(sorted(rows.items())))


def parse_name(value: Value) -> str:
    """Read a policy's name: lower-case letters, digits and ``. _ -``, as in a file name."""
    text = value.text()
    if not _NAME.match(text):
        raise value.fail("a policy's name has 1 to 64 lower-case letters, digits, dots, dashes and underscores")
    return text


def valid_name(name: str) -> bool:
    """Whether ``name`` can name a policy file; a path never can."""
    return _NAME.match(name) is not None


def _rule(value: Value) -> Rule:
    members = value.members(_MEMBERS, required=("match",))
    rule = Rule(match=_pattern(members["match"]))
    changes: dict[str, object] = {}
    for name, member in members.items():
        if name == "level":
            changes[name] = member.choice(Level)
        elif name == "dissent":
            changes[name] = member.choice(Dissent)
        elif name == "deployment":
            changes[name] = member.choice(RequiredDeployment)
        elif name == "operators":
            changes[name] = member.integer(1, MAX_OPERATORS)
        elif name == "max_age":
            changes[name] = _duration(member)
        elif name == "origins":
            changes[name] = _some(member, tuple(each.choice(Origin) for each in member.items()))
        elif name == "allow_findings":
            changes[name] = tuple(each.choice(Finding) for each in member.items())
        elif name == "sources":
            changes[name] = tuple(_source(each) for each in member.items())
        elif name in ("indexes", "passes"):
            changes[name] = tuple(each.text() for each in member.items())
    return Rule(**{**{field: getattr(rule, field) for field in _MEMBERS}, **changes})


def _some(value: Value, items: tuple[Origin, ...]) -> tuple[Origin, ...]:
    if not items:
        raise value.fail("is empty: a rule that admits no origin allows nothing")
    return items


def _pattern(value: Value) -> str:
    try:
        return parse_pattern(value.text())
    except ProblemError as error:
        if error.problem.line is not None:
            raise
        raise value.fail(f"{error.problem.detail}; a match ends in / or @ or is a whole purl") from None


def _duration(value: Value) -> timedelta:
    found = _DURATION.match(value.text())
    if found is None or int(found[1]) * _SECONDS[found[2]] > 100 * 365 * 86400:
        raise value.fail("must be a time such as 365d, 12h, 30m or 45s, at most 100 years")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _source(value: Value) -> str:
    text = value.text()
    if not _SOURCE.match(text):
        raise value.fail("must be an address prefix that ends in /, such as https://git.acme.example/")
    return text


def _refuse_unreachable(rules: tuple[Rule, ...], rows: list[Value]) -> None:
    """A rule after one that covers everything it covers never decides: surely a mistake, and one that opens or closes silently."""
    for index, rule in enumerate(rules):
        for earlier in rules[:index]:
            prefix = earlier.match.endswith(("/", "@")) and rule.match.startswith(earlier.match)
            if prefix or rule.match == earlier.match or rule.match.startswith((f"{earlier.match}@", f"{earlier.match}?")):
                raise rows[index].fail(f"is never reached: an earlier rule matches {earlier.match}, and the first match wins")
