"""What a verdict binds to: each rule as a story, each attack as one that a weaker rule would lose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.digests import sha256
from reprove.core.errors import ProblemError
from reprove.core.outcomes import Finding, Level, Origin, Outcome
from reprove.core.policy import Opinion
from reprove.core.statements.decision import Verdict
from reprove.core.statements.parts import Deployment, Pass
from tests.core.policy_world import ARTIFACT, HOME, NOW, PURL, decide, opinion, row, rules, with_rule

ALLOW, DENY, PENDING = Verdict.ALLOW, Verdict.DENY, Verdict.PENDING
OTHER = "https://other.invalid"
DIFFERS = Outcome.DIFFERS
TWO = with_rule("operators: 2")
SOURCED = 'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi/"\n    origins: [inferred, source]\n    sources: ["https://git.acme.example/"]\n'
GIT = "https://git.acme.example/demo#4f0c"
NORMALIZED = opinion(level=Level.NORMALIZED, passes=(Pass("elf-build-id", "1"),))
TWO_PASSES = opinion(level=Level.NORMALIZED, passes=(Pass("elf-build-id", "1"), Pass("elf-comment", "2")))
SEMANTIC = opinion(level=Level.SEMANTIC, passes=(Pass("jar-signature", "1"),))


@dataclass(frozen=True)
class Story:
    name: str
    opinions: list[Opinion]
    verdict: Verdict
    rules: list[str] = field(default_factory=list)
    policy: str | None = None


STORIES = [
    Story("equal bytes allow", [opinion()], ALLOW),
    Story("nothing is denied", [], DENY, ["no-attestation"]),
    # levels
    Story("a higher level than asked allows", [opinion()], ALLOW, policy=with_rule("level: normalized")),
    Story("the level asked for allows", [opinion(level=Level.TIMES_STAMPED)], ALLOW),
    Story("a lower level denies", [opinion(level=Level.TIMES_STAMPED)], DENY, ["level"], with_rule("level: bitwise")),
    Story("a level below the default denies", [opinion(level=Level.CANONICAL)], DENY, ["level"]),
    Story("canonical allows where the rule says canonical", [opinion(level=Level.CANONICAL)], ALLOW, policy=with_rule("level: canonical")),
    Story("canonical allows where the rule says normalized", [opinion(level=Level.CANONICAL)], ALLOW, policy=with_rule("level: normalized")),
    Story("canonical allows where the rule says semantic", [opinion(level=Level.CANONICAL)], ALLOW, policy=with_rule("level: semantic")),
    Story("canonical needs no pass", [opinion(level=Level.CANONICAL)], ALLOW, policy=with_rule("level: canonical\npasses: [elf-build-id]")),
    Story("canonical denies where the rule says bitwise", [opinion(level=Level.CANONICAL)], DENY, ["level"], with_rule("level: bitwise")),
    Story("normalized denies where the rule says canonical", [NORMALIZED], DENY, ["level"], with_rule("level: canonical\npasses: [elf-build-id]")),
    Story("an unnamed pass denies", [NORMALIZED], DENY, ["passes"], with_rule("level: normalized")),
    Story("a pass of another name does not help", [NORMALIZED], DENY, ["passes"], with_rule("level: normalized\npasses: [elf-comment]")),
    Story("a pass that is named allows", [NORMALIZED], ALLOW, policy=with_rule("level: normalized\npasses: [elf-build-id]")),
    Story("every pass has to be named", [TWO_PASSES], DENY, ["passes"], with_rule("level: normalized\npasses: [elf-build-id]")),
    Story("all passes named allow", [TWO_PASSES], ALLOW, policy=with_rule("level: normalized\npasses: [elf-build-id, elf-comment]")),
    Story("a level and a pass too low deny twice", [NORMALIZED], DENY, ["level", "passes"]),
    Story("semantic denies where the rule says normalized", [SEMANTIC], DENY, ["level"], with_rule("level: normalized\npasses: [jar-signature]")),
    Story("an unnamed pass denies at semantic", [SEMANTIC], DENY, ["passes"], with_rule("level: semantic")),
    Story("a pass that is named allows at semantic", [SEMANTIC], ALLOW, policy=with_rule("level: semantic\npasses: [jar-signature]")),
    Story("naming passes lowers no level", [SEMANTIC], DENY, ["level"], with_rule("passes: [jar-signature]")),
    Story("what lies of itself denies even bit for bit", [opinion(findings=(Finding.FALSE_MANIFEST,))], DENY, ["findings"]),
    Story(
        "what lies of itself denies when stamped",
        [opinion(level=Level.TIMES_STAMPED, findings=(Finding.FALSE_MANIFEST,))],
        DENY,
        ["findings"],
    ),
    Story(
        "what lies of itself is allowed by name",
        [opinion(findings=(Finding.FALSE_MANIFEST,))],
        ALLOW,
        policy=with_rule("allow_findings: [false-manifest]"),
    ),
    Story(
        "an ambiguous archive is allowed by name where the bytes are equal",
        [opinion(findings=(Finding.AMBIGUOUS_ARCHIVE,))],
        ALLOW,
        policy=with_rule("allow_findings: [ambiguous-archive]"),
    ),
    # dissent and absence
    Story("a difference denies", [opinion(outcome=DIFFERS)], DENY, ["dissent"]),
    Story("an ambiguous archive denies", [opinion(outcome=Outcome.AMBIGUOUS_ARCHIVE)], DENY, ["dissent"]),
    *(
        Story(f"{outcome} alone is absence", [opinion(outcome=outcome)], DENY, ["no-attestation"])
        for outcome in (Outcome.BUILD_FAILED, Outcome.LIMIT_EXCEEDED, Outcome.INCONCLUSIVE, Outcome.INPUT_UNAVAILABLE, Outcome.NOT_ATTEMPTABLE)
    ),
    Story("a later failure does not take back what was shown", [opinion(1), opinion(2, outcome=Outcome.BUILD_FAILED)], ALLOW),
    Story("a later loss of ours does not either", [opinion(1), opinion(2, outcome=Outcome.INCONCLUSIVE)], ALLOW),
    Story("another operator's difference denies", [opinion(1), opinion(2, operator=OTHER, outcome=DIFFERS)], DENY, ["dissent"]),
    Story(
        "another operator's difference is ignored where the policy says so",
        [opinion(1), opinion(2, operator=OTHER, outcome=DIFFERS)],
        ALLOW,
        policy=with_rule("dissent: ignore"),
    ),
    Story("ignoring dissent does not make a difference support", [opinion(outcome=DIFFERS)], DENY, ["operators"], with_rule("dissent: ignore")),
    # re-run until green
    Story("the same recipe that differed and then did not is unstable", [opinion(1, outcome=DIFFERS), opinion(2)], DENY, ["findings"]),
    Story("and the other way round", [opinion(1), opinion(2, outcome=DIFFERS)], DENY, ["dissent"]),
    Story("ten more green runs do not help", [opinion(1, outcome=DIFFERS), *(opinion(each) for each in range(2, 12))], DENY, ["findings"]),
    Story(
        "unless the finding is allowed by name",
        [opinion(1, outcome=DIFFERS), opinion(2)],
        ALLOW,
        policy=with_rule("allow_findings: [unstable]"),
    ),
    Story("a better recipe stands alone", [opinion(1, outcome=DIFFERS), opinion(2, recipe="two")], ALLOW),
    Story("a worse recipe later is dissent", [opinion(1), opinion(2, recipe="two", outcome=DIFFERS)], DENY, ["dissent"]),
    Story(
        "going back to a recipe that differed before is unstable",
        [opinion(1, outcome=DIFFERS), opinion(2, recipe="two"), opinion(3)],
        DENY,
        ["findings"],
    ),
    Story("a correction takes the difference away", [opinion(1, outcome=DIFFERS), opinion(2, supersedes=opinion(1).id)], ALLOW),
    Story(
        "a correction can take the agreement away",
        [opinion(1), opinion(2, outcome=Outcome.BUILD_FAILED, supersedes=opinion(1).id)],
        DENY,
        ["no-attestation"],
    ),
    Story(
        "nobody corrects another operator",
        [opinion(1, operator=OTHER, outcome=DIFFERS), opinion(2, supersedes=opinion(1, operator=OTHER).id)],
        DENY,
        ["dissent"],
    ),
    Story(
        "a correction comes later than what it corrects",
        [opinion(1, supersedes=opinion(2, outcome=DIFFERS).id), opinion(2, outcome=DIFFERS)],
        DENY,
        ["dissent"],
    ),
    # echo builds
    Story("the original among the inputs denies", [opinion(findings=(Finding.ORIGINAL_AMONG_INPUTS,))], DENY, ["findings"]),
    Story("members that no source has deny", [opinion(findings=(Finding.UNSOURCED_MEMBERS,))], DENY, ["findings"]),
    Story("every finding denies", [opinion(findings=(Finding.YANKED, Finding.SDIST_LATER))], DENY, ["findings", "findings"]),
    Story("a finding allowed by name allows", [opinion(findings=(Finding.YANKED,))], ALLOW, policy=with_rule("allow_findings: [yanked]")),
    Story(
        "a finding allowed by name allows no other",
        [opinion(findings=(Finding.YANKED, Finding.ORIGINAL_AMONG_INPUTS))],
        DENY,
        ["findings"],
        with_rule("allow_findings: [yanked]"),
    ),
    # who chose the recipe, the source and the index
    Story("a requester's recipe is not counted", [opinion(origin=Origin.REQUESTER)], DENY, ["no-attestation", "origins"]),
    Story("a requester's difference cannot block", [opinion(1), opinion(2, origin=Origin.REQUESTER, outcome=DIFFERS)], ALLOW),
    Story("a source's own recipe is not counted where no source rule matches", [opinion(origin=Origin.SOURCE)], DENY, ["no-attestation", "origins"]),
    Story("another index is not counted", [opinion(index_id="mirror")], DENY, ["no-attestation", "indexes"]),
    Story("an index that only calls itself pypi is not counted", [opinion(canonical=False)], DENY, ["no-attestation", "indexes"]),
    Story("a difference against another index cannot block", [opinion(1), opinion(2, index_id="mirror", canonical=False, outcome=DIFFERS)], ALLOW),
    Story("a source rule admits its source", [opinion(origin=Origin.SOURCE, source=GIT)], ALLOW, policy=SOURCED),
    Story(
        "a source rule admits no look-alike host",
        [opinion(origin=Origin.SOURCE, source="https://git.acme.example.evil.invalid/demo")],
        DENY,
        ["no-attestation", "sources"],
        SOURCED,
    ),
    Story(
        "a source rule admits no path that leaves",
        [opinion(origin=Origin.SOURCE, source="https://git.acme.example/../evil/demo")],
        DENY,
        ["no-attestation", "sources"],
        SOURCED,
    ),
    Story(
        "a source rule admits no encoded path that leaves",
        [opinion(origin=Origin.SOURCE, source="https://git.acme.example/%2e%2e/evil")],
        DENY,
        ["no-attestation", "sources"],
        SOURCED,
    ),
    Story("an inferred recipe without index needs a source rule", [opinion(index_id=None, source=GIT)], ALLOW, policy=SOURCED),
    Story("and is not counted without one", [opinion(index_id=None, source=GIT)], DENY, ["no-attestation", "sources"]),
    # quorum
    Story("one operator is not two", [opinion(1), opinion(2)], DENY, ["operators"], TWO),
    Story("two keys of one operator are one operator", [opinion(1, attester="a"), opinion(2, attester="b")], DENY, ["operators"], TWO),
    Story("two operators are two", [opinion(1), opinion(2, operator=OTHER)], ALLOW, policy=TWO),
    Story(
        "a second operator below the level does not count",
        [opinion(1), opinion(2, operator=OTHER, level=Level.CANONICAL)],
        DENY,
        ["level", "operators"],
        TWO,
    ),
    Story(
        "two origins of one operator are one operator",
        [opinion(1), opinion(2, origin=Origin.SOURCE, source=GIT)],
        DENY,
        ["operators"],
        SOURCED + "    operators: 2\n",
    ),
    # deployment and age
    Story("one host is not split", [opinion()], DENY, ["no-attestation", "deployment"], with_rule("deployment: split")),
    Story("split is split", [opinion(deployment=Deployment.SPLIT)], ALLOW, policy=with_rule("deployment: split")),
    Story("too old denies", [opinion(age=timedelta(days=8))], DENY, ["max_age"], with_rule("max_age: 7d")),
    Story("just young enough allows", [opinion(age=timedelta(days=7))], ALLOW, policy=with_rule("max_age: 7d")),
    Story("without an earlier bound the look at the index counts", [opinion(age=None)], DENY, ["max_age"], with_rule("max_age: 1h")),
    Story("and is enough where it is young enough", [opinion(age=None)], ALLOW),
    Story("of no known age at all denies", [opinion(age=None, index_id=None, source=GIT)], DENY, ["max_age"], SOURCED),
    # names
    Story("no rule matches: deny", [opinion()], DENY, ["match"], 'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:npm/"\n'),
    Story("a rule for foo is none for foobar", [opinion()], DENY, ["match"], 'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi/dem@"\n'),
    Story("the whole purl matches its files", [opinion()], ALLOW, policy='reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi/demo@1.0"\n'),
    Story(
        "the first match wins",
        [opinion(level=Level.CANONICAL)],
        DENY,
        ["level"],
        'reprove-policy: 1\nname: p\nrules:\n  - match: "pkg:pypi/demo@"\n    level: bitwise\n  - match: "pkg:pypi/"\n    level: canonical\n',
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_story(story: Story) -> None:
    evaluation = decide(*story.opinions, **({"policy": story.policy} if story.policy else {}))  # type: ignore[arg-type]
    assert (evaluation.verdict, rules(evaluation)) == (story.verdict, story.rules)
    assert evaluation.verdict is ALLOW or all(reason.expected and reason.actual for reason in row(evaluation).reasons)


def test_the_remedy_names_the_passes_that_the_rule_would_have_to_list() -> None:
    (reason,) = row(decide(TWO_PASSES, policy=with_rule("level: normalized\npasses: [elf-build-id]"))).reasons
    assert (reason.expected, reason.actual) == ("elf-build-id", f"elf-comment ({TWO_PASSES.id})")
    assert reason.remedy == f"reprove show {TWO_PASSES.id}; if you accept it: passes: [elf-build-id, elf-comment]"
    listed = reason.remedy.rpartition("it: ")[2]
    assert decide(TWO_PASSES, policy=with_rule(f"level: normalized\n{listed}")).verdict is ALLOW


def test_an_allow_says_the_lowest_level_and_every_pass_that_it_rests_on() -> None:
    policy = with_rule("level: semantic\noperators: 2\npasses: [elf-build-id, jar-signature]")
    other = opinion(2, operator=OTHER, level=Level.SEMANTIC, passes=(Pass("jar-signature", "1"),))
    allowed = row(decide(NORMALIZED, other, policy=policy))
    assert (allowed.level, allowed.passes) == (Level.SEMANTIC, (Pass("elf-build-id", "1"), Pass("jar-signature", "1")))
    assert (row(decide(opinion())).level, row(decide(opinion())).passes) == (Level.BITWISE, None)
    denied = row(decide(NORMALIZED))
    assert (denied.verdict, denied.level, denied.passes) == (DENY, None, None)


def test_the_bound_policy_does_not_lend_its_passes() -> None:
    lenient = 'reprove-policy: 1\nname: lenient\nrules:\n  - match: "pkg:pypi/"\n    level: normalized\n    passes: [elf-build-id]\n'
    strict = with_rule("level: normalized").replace("name: default", "name: strict")
    for asked, bound in ((lenient, strict), (strict, lenient)):
        name = "strict" if bound is strict else "lenient"
        evaluation = decide(NORMALIZED, policy=asked, bindings=f'"pkg:pypi/": {name}\n', policies={name: bound})
        assert (evaluation.verdict, rules(evaluation)) == (DENY, ["passes"])


def test_a_name_that_was_seen_as_other_bytes_is_a_conflict() -> None:
    other = opinion(1, artifact=sha256(b"other bytes"), outcome=Outcome.INCONCLUSIVE)
    evaluation = decide(opinion(2), other)
    assert (evaluation.verdict, rules(evaluation)) == (DENY, ["findings"])
    assert "purl-conflict" in row(evaluation).reasons[0].actual
    assert decide(opinion(2), other, policy=with_rule("allow_findings: [purl-conflict]")).verdict is ALLOW


def test_the_same_name_at_another_index_is_another_name() -> None:
    elsewhere = PURL + "&repository_url=https://mirror.invalid/simple/"
    other = opinion(1, artifact=sha256(b"other bytes"), purl=elsewhere, index_id="mirror", canonical=False)
    assert decide(opinion(2), other).verdict is ALLOW


def test_pending_while_a_rebuild_is_under_way_and_nothing_admitted_is_there() -> None:
    assert decide(under_way=True).verdict is PENDING
    assert decide(opinion(outcome=Outcome.BUILD_FAILED), under_way=True).verdict is PENDING
    assert decide(opinion(origin=Origin.REQUESTER), under_way=True).verdict is PENDING
    assert decide(opinion(), under_way=True).verdict is ALLOW
    assert decide(opinion(outcome=DIFFERS), under_way=True).verdict is DENY


def test_the_remedy_is_a_command_that_a_shell_reads_as_it_is() -> None:
    (reason,) = row(decide(purl=PURL)).reasons
    assert reason.remedy == f"reprove rebuild '{PURL}' --wait"


def test_the_bound_policy_must_be_satisfied_too() -> None:
    lenient = 'reprove-policy: 1\nname: lenient\nrules:\n  - match: "pkg:pypi/"\n    level: semantic\n    dissent: ignore\n'
    strict = with_rule("level: bitwise").replace("name: default", "name: strict")
    weak = opinion(level=Level.CANONICAL)
    assert decide(weak, policy=lenient).verdict is ALLOW
    evaluation = decide(weak, policy=lenient, bindings='"pkg:pypi/": lenient\n"pkg:pypi/demo@": strict\n', policies={"strict": strict})
    assert (evaluation.verdict, rules(evaluation)) == (DENY, ["level"])
    assert [(each.prefix, each.name) for each in evaluation.bound] == [("pkg:pypi/demo@", "strict")]
    assert "policy strict, bound to pkg:pypi/demo@" in row(evaluation).reasons[0].expected


def test_a_binding_to_a_policy_that_does_not_exist_answers_nothing() -> None:
    with pytest.raises(ProblemError, match="does not exist"):
        decide(opinion(), bindings='"pkg:pypi/": gone\n')


def test_a_digest_with_two_names_needs_both_and_says_how_to_choose() -> None:
    """The same bytes published under a second name: whoever owns that name must neither vouch for the first nor block it for good."""
    evil = "pkg:pypi/evil@1.0?file_name=evil-1.0-py3-none-any.whl"
    opinions = [opinion(1, outcome=DIFFERS), opinion(2, purl=evil)]
    evaluation = decide(*opinions)
    assert (evaluation.verdict, rules(evaluation)) == (DENY, ["dissent", "names"])
    assert decide(*opinions, purl=PURL).verdict is DENY
    opinions = [opinion(1), opinion(2, purl=evil, outcome=DIFFERS)]
    evaluation = decide(*opinions)
    assert evaluation.verdict is DENY
    assert row(evaluation).reasons[-1].remedy == f"ask by the name that you mean: '{PURL}'"
    assert decide(*opinions, purl=PURL).verdict is ALLOW


def test_an_artifact_is_asked_by_one_name_and_the_others_opinions_do_not_count() -> None:
    assert rules(decide(opinion(), purl="pkg:pypi/other@1?file_name=x.whl")) == ["no-attestation"]


opinions_strategy = st.lists(
    st.builds(
        opinion,
        st.integers(1, 30),
        outcome=st.sampled_from(Outcome),
        level=st.sampled_from([Level.BITWISE, Level.TIMES_STAMPED, Level.CANONICAL]),
        operator=st.sampled_from([HOME, OTHER]),
        origin=st.sampled_from(Origin),
        recipe=st.sampled_from(["one", "two"]),
        findings=st.lists(st.sampled_from([Finding.YANKED]), max_size=1).map(tuple),
        canonical=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda each: each.log_index,
)


@given(opinions_strategy, st.randoms(use_true_random=False))
def test_the_order_in_which_opinions_come_does_not_matter(opinions: list[Opinion], random: object) -> None:
    shuffled = list(opinions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(*opinions) == decide(*shuffled)


@given(opinions_strategy)
def test_what_the_policy_does_not_admit_changes_no_verdict(opinions: list[Opinion]) -> None:
    admitted = [each for each in opinions if each.origin in (None, Origin.INFERRED) and each.comparison.index and each.comparison.index.canonical]
    assert decide(*opinions).verdict is decide(*admitted).verdict


@given(opinions_strategy)
def test_an_allow_always_rests_on_an_admitted_reproduction_without_dissent(opinions: list[Opinion]) -> None:
    evaluation = decide(*opinions)
    if evaluation.verdict is ALLOW:
        used = {each.id: each for each in opinions}
        assert row(evaluation).attestations
        for identity in row(evaluation).attestations:
            assert used[identity].comparison.outcome is Outcome.REPRODUCED


@given(opinions_strategy, st.integers(31, 40))
def test_a_fresh_dissent_always_denies(opinions: list[Opinion], index: int) -> None:
    assert decide(*opinions, opinion(index, outcome=DIFFERS, recipe="three")).verdict is DENY


@given(opinions_strategy)
def test_no_opinion_about_another_artifact_ever_allows(opinions: list[Opinion]) -> None:
    assert decide(*opinions, artifact=sha256(b"something else")).verdict is DENY
    assert decide(*opinions, now=NOW + timedelta(days=4000)).verdict is DENY
    assert sha256(b"something else") != ARTIFACT
