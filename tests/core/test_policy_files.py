"""Policy and binding files: read strictly, every mistake with line and column, nothing that surprises."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.errors import Problem, ProblemError, Slug
from reprove.core.outcomes import Finding, Level, Origin
from reprove.core.policy import parse_bindings, parse_policy
from reprove.core.policy.model import Dissent, RequiredDeployment
from reprove.core.purls import parse_purl

EXAMPLE = """\
reprove-policy: 1
name: default
rules:                              # first match wins; nothing matches: deny
  - match: "pkg:pypi/"
    level: times-stamped            # lowest accepted
    origins: [inferred]
    indexes: [pypi]
    operators: 1
    max_age: 365d
    dissent: deny                   # deny | ignore
    deployment: any                 # any | split
    passes: []                      # named passes accepted at normalized and semantic
    allow_findings: []              # every finding else denies
  - match: "pkg:generic/acme/"
    level: bitwise
    origins: [source]
    sources: ["https://git.acme.example/"]
"""


def rule(text: str) -> str:
    return f'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi/"\n    {text}\n'


def test_the_documented_example_is_read_as_it_says() -> None:
    policy = parse_policy(EXAMPLE, name="default")
    first, second = policy.rules
    assert (first.level, first.origins, first.indexes, first.operators) == (Level.TIMES_STAMPED, (Origin.INFERRED,), ("pypi",), 1)
    assert (first.max_age, first.dissent, first.deployment) == (timedelta(days=365), Dissent.DENY, RequiredDeployment.ANY)
    assert (second.level, second.origins, second.sources) == (Level.BITWISE, (Origin.SOURCE,), ("https://git.acme.example/",))
    assert policy.rule_for(parse_purl("pkg:generic/acme/x@1")) is second
    assert policy.rule_for(parse_purl("pkg:npm/x@1")) is None


def test_every_policy_of_the_page_is_one_and_bindings_likewise() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    policies = {policy.name: policy for policy in (parse_policy(block) for block in blocks if "reprove-policy" in block)}
    assert sorted(policies) == ["default", "internal"]
    assert [parse_bindings(block) for block in blocks if "reprove-policy" not in block]
    lower, others = policies["internal"].rules
    assert (lower.level, lower.passes, lower.operators) == (Level.NORMALIZED, ("wheel-generator", "wheel-record"), 2)
    assert (others.level, others.passes) == (Level.CANONICAL, ())


def test_what_a_rule_does_not_say_is_strict() -> None:
    (only,) = parse_policy(rule("level: bitwise")).rules
    assert (only.origins, only.operators, only.dissent, only.allow_findings, only.passes) == ((Origin.INFERRED,), 1, Dissent.DENY, (), ())


def test_the_digest_is_that_of_the_files_bytes() -> None:
    assert parse_policy(EXAMPLE).sha256 != parse_policy(EXAMPLE + "# a comment\n").sha256


MALFORMED = [
    ("empty", "", 1, 1),
    ("not a mapping", "- 1\n", 1, 1),
    ("unknown top key", "reprove-policy: 1\nname: p\nrule: []\n", 3, 1),
    ("missing name", 'reprove-policy: 1\nrules:\n  - match: "pkg:pypi/"\n', 1, 1),
    ("no rules", "reprove-policy: 1\nname: p\nrules: []\n", 3, 8),
    ("another version", "reprove-policy: 2\nname: p\nrules: []\n", 1, 17),
    ("version true", "reprove-policy: true\nname: p\nrules: []\n", 1, 17),
    ("version as text", 'reprove-policy: "1"\nname: p\nrules: []\n', 1, 17),
    ("unknown key", rule("leve: bitwise"), 5, 5),
    ("duplicate key", rule("level: bitwise\n    level: semantic"), 6, 5),
    ("unknown level", rule("level: bytewise"), 5, 12),
    ("operators true", rule("operators: true"), 5, 16),
    ("operators yes", rule("operators: yes"), 5, 16),
    ("operators zero", rule("operators: 0"), 5, 16),
    ("operators negative", rule("operators: -1"), 5, 16),
    ("operators as text", rule('operators: "2"'), 5, 16),
    ("operators a float", rule("operators: 2.0"), 5, 16),
    ("operators octal", rule("operators: 010"), 5, 16),
    ("operators hexadecimal", rule("operators: 0x10"), 5, 16),
    ("operators huge", rule("operators: 99999999999999999999"), 5, 16),
    ("max_age without unit", rule("max_age: 365"), 5, 14),
    ("max_age with another unit", rule("max_age: 1y"), 5, 14),
    ("max_age zero", rule("max_age: 0d"), 5, 14),
    ("max_age sexagesimal", rule("max_age: 1:30"), 5, 14),
    ("dissent off", rule("dissent: off"), 5, 14),
    ("a list that is text", rule("origins: inferred"), 5, 14),
    ("an empty list of origins", rule("origins: []"), 5, 14),
    ("an unknown origin", rule("origins: [anybody]"), 5, 15),
    ("an unknown finding", rule("allow_findings: [all]"), 5, 22),
    ("a source without a slash", rule('sources: ["https://git.acme.example"]'), 5, 15),
    ("a source with a user", rule('sources: ["https://u@git.acme.example/"]'), 5, 15),
    ("a match that is no prefix", 'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi"\n', 4, 12),
    ("a match with a wildcard", 'reprove-policy: 1\nname: p\nrules:\n  - match: "*"\n', 4, 12),
    ("a rule that is never reached", EXAMPLE.replace("pkg:generic/acme/", "pkg:pypi/x@"), 14, 5),
    ("an anchor", "reprove-policy: &a 1\n", 1, 17),
    ("an alias", "reprove-policy: *a\n", 1, 17),
    ("a tag", "reprove-policy: !!int 1\n", 1, 17),
    ("a python tag", "reprove-policy: !!python/object/apply:os.system [id]\n", 1, 17),
    ("a merge key", "<<: {a: 1}\n", 1, 1),
    ("a second document", "---\nreprove-policy: 1\n---\n{}\n", 3, 1),
    ("a directive", "%YAML 1.1\n---\n{}\n", 1, 1),
    ("a tab", "reprove-policy: 1\n\tname: p\n", 2, 1),
    ("an unclosed list", "rules: [1, 2\n", 2, 1),
    ("deep nesting", "a: " + "[" * 100, 1, 19),
    ("a key that is a list", "[a]: 1\n", 1, 1),
    ("a null", "reprove-policy:\nname: p\nrules: []\n", 1, 16),
    ("an escape that is no character", 'name: "\\U00110000"\n', 1, 1),
    ("a control character", "name: \x07\n", 1, 1),
]


@pytest.mark.parametrize(("name", "text", "line", "column"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_a_malformed_policy_is_refused_where_it_is_wrong(name: str, text: str, line: int, column: int) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_policy(text)
    problem = caught.value.problem
    assert (problem.slug, problem.line, problem.column) == (Slug.INVALID_POLICY, line, column), (name, problem)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(ProblemError, match="did you mean 'level'"):
        parse_policy(rule("leve: bitwise"))
    with pytest.raises(ProblemError, match="did you mean 'bitwise'"):
        parse_policy(rule("level: bytewise"))


def test_the_file_and_the_name_inside_agree() -> None:
    with pytest.raises(ProblemError, match="called other"):
        parse_policy(EXAMPLE, name="other")


def test_a_file_that_is_too_large_is_not_scanned() -> None:
    with pytest.raises(ProblemError, match="larger than"):
        parse_policy("# " + "x" * 1_000_000)


def test_bindings_take_the_longest_prefix() -> None:
    bindings = parse_bindings('"pkg:pypi/": default\n"pkg:pypi/acme@": strict\n"pkg:pypi/acme@2.0": frozen\n')
    assert bindings.policy_for(parse_purl("pkg:pypi/other@1")) == ("pkg:pypi/", "default")
    assert bindings.policy_for(parse_purl("pkg:pypi/acme@1")) == ("pkg:pypi/acme@", "strict")
    assert bindings.policy_for(parse_purl("pkg:pypi/acme@2.0?file_name=acme-2.0-py3-none-any.whl")) == ("pkg:pypi/acme@2.0", "frozen")
    assert bindings.policy_for(parse_purl("pkg:pypi/acmeevil@1")) == ("pkg:pypi/", "default")
    assert bindings.policy_for(parse_purl("pkg:npm/x@1")) is None


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('"pkg:pypi/": 5\n', 1, 14),
        ('"pkg:pypi/": ../x\n', 1, 14),
        ('"pypi": default\n', 1, 1),
        ('"pkg:pypi/acme-": default\n', 1, 1),
        ('"pkg:pypi/foo/": default\n', 1, 1),
        ('"pkg:pypi/Foo@": a\n"pkg:pypi/foo@": b\n', 2, 1),
        ('"pkg:pypi/": a\n"pkg:pypi/": b\n', 2, 1),
        ("- a\n", 1, 1),
    ],
)
def test_malformed_bindings_are_refused_where_they_are_wrong(text: str, line: int, column: int) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_bindings(text)
    assert (caught.value.problem.slug, caught.value.problem.line, caught.value.problem.column) == (Slug.INVALID_POLICY, line, column)


YAML_TEXT = st.text(alphabet=st.sampled_from("abp:-[]{}\"'#&*!|>%@`\n \t,?0123456789.~\\UuxX<=\x00\u00e9\ud800"), max_size=80)


def problem_of(parse: Callable[[str], object], text: str) -> Problem | None:
    try:
        parse(text)
    except ProblemError as error:
        return error.problem
    return None


@given(YAML_TEXT | st.text(max_size=40) | YAML_TEXT.map(lambda text: EXAMPLE + text) | YAML_TEXT.map(rule))
def test_any_text_is_a_policy_or_a_problem_with_its_place(text: str) -> None:
    for parse in (parse_policy, parse_bindings):
        problem = problem_of(parse, text)
        assert problem is None or (problem.slug is Slug.INVALID_POLICY and problem.line is not None and problem.column is not None)


@given(st.lists(st.sampled_from(Finding), max_size=8))
def test_findings_are_allowed_by_name_only(codes: list[Finding]) -> None:
    (only,) = parse_policy(rule(f"allow_findings: [{', '.join(codes)}]")).rules
    assert only.allow_findings == tuple(codes)
