"""Questions answered by the attester: from its own policy files and envelopes, signed, logged, replayable, and closed when in doubt."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from reprove.core import merkle
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.outcomes import Level, Outcome
from reprove.core.statements import decision as statements_of_decisions
from reprove.core.statements.common import decode
from reprove.core.statements.decision import Decision, Verdict
from reprove.core.statements.parts import Cause, Input, Pass
from reprove.signers import sign_statement
from service.attester import deciding
from service.records import decisions, times
from service.records import schema as tables
from service.records.decisions import DecisionState
from tests.service.attester.rig import Story, World, changed, new_key
from tests.service.attester.test_faults import Died

DEFAULT = """\
reprove-policy: 1
name: default
rules:
  - match: "pkg:pypi/"
    level: times-stamped
    origins: [inferred]
    indexes: [pypi]
"""
LENIENT = """\
reprove-policy: 1
name: lenient
rules:
  - match: "pkg:pypi/"
    dissent: ignore
    allow_findings: [original-among-inputs, unstable]
"""


@pytest.fixture
def world(world: World) -> World:
    world.policy("default", DEFAULT)
    world.policy("lenient", LENIENT)
    return world


def digest_of(story: Story) -> str:
    return story.resolution.original.sha256


def decided(world: World, identifier: str) -> Decision:
    return statements_of_decisions.read(decode(world.payload(identifier)))


def differing(world: World, **options: object) -> Story:
    return world.story(rebuilt=b"PK other", outcome=Outcome.DIFFERS, cause=Cause("payload", "demo/x.py"), **options)  # type: ignore[arg-type]


def test_an_equal_rebuild_is_allowed_signed_and_logged(world: World) -> None:
    story = world.story()
    world.attest(story)
    row = world.decide("default", {"sha256": digest_of(story)})
    assert (row.state, row.verdict) == (DecisionState.DONE, "allow")
    value = decided(world, row.id)
    assert value.verdict is Verdict.ALLOW
    assert value.artifacts is not None
    assert value.artifacts[0].purl == "pkg:pypi/demo@1.0?file_name=demo-1.0-py3-none-any.whl"
    assert (value.checkpoint.size, len(world.log.leaves)) == (2, 3)
    assert value.artifacts[0].attestations == (world.log.ids[1],)


def test_a_difference_is_denied_with_the_member_that_differs_and_a_remedy(world: World) -> None:
    story = differing(world)
    world.attest(story)
    row = world.decide("default", {"sha256": digest_of(story)})
    assert row.verdict == "deny"
    (reason,) = decided(world, row.id).artifacts[0].reasons  # type: ignore[index]
    assert reason.rule == "dissent"
    assert "payload: demo/x.py" in reason.actual
    assert reason.remedy == f"reprove show {world.log.ids[1]}"


LEVELS = [
    # level of the rebuild, its passes, the rule, the verdict, the rules that the reasons name
    (Level.CANONICAL, (), "level: canonical", "allow", []),
    (Level.CANONICAL, (), "level: times-stamped", "deny", ["level"]),
    (Level.NORMALIZED, ("wheel-record",), "level: canonical", "deny", ["level", "passes"]),
    (Level.NORMALIZED, ("wheel-record",), "level: normalized", "deny", ["passes"]),
    (Level.NORMALIZED, ("wheel-record", "wheel-generator"), "{level: normalized, passes: [wheel-record]}", "deny", ["passes"]),
    (Level.NORMALIZED, ("wheel-record", "wheel-generator"), "{level: normalized, passes: [wheel-generator, wheel-record]}", "allow", []),
    (Level.SEMANTIC, ("jar-signature",), "{level: normalized, passes: [jar-signature]}", "deny", ["level"]),
    (Level.SEMANTIC, ("jar-signature",), "{level: semantic, passes: [jar-signature]}", "allow", []),
]


@pytest.mark.parametrize(("level", "passes", "rule", "verdict", "rules"), LEVELS)
def test_a_lower_level_ships_only_where_the_policy_says_so_and_names_every_pass(
    world: World, level: Level, passes: tuple[str, ...], rule: str, verdict: str, rules: list[str]
) -> None:
    lines = "".join(f"    {line.strip()}\n" for line in rule.strip("{}").replace(", passes", "\npasses").splitlines())
    world.policy("loose", f'reprove-policy: 1\nname: loose\nrules:\n  - match: "pkg:pypi/"\n{lines}')
    named = tuple(Pass(each, "1") for each in passes) or None  # type: ignore[arg-type]
    story = world.story(rebuilt=b"PK packed otherwise", level=level, passes=named)
    world.attest(story)
    row = world.decide("loose", {"sha256": digest_of(story)})
    assert row.verdict == verdict
    (artifact,) = decided(world, row.id).artifacts or ()
    assert [reason.rule for reason in artifact.reasons] == rules
    shown = (level, tuple(sorted(named or (), key=lambda one: one.id)) or None)
    assert (artifact.level, artifact.passes) == (shown if verdict == "allow" else (None, None))
    assert world.decide("default", {"sha256": digest_of(story)}).verdict == "deny"


def test_an_unknown_digest_is_denied_and_one_that_is_being_rebuilt_is_pending_and_not_signed(world: World) -> None:
    world.attest(world.story())
    row = world.decide("default", {"sha256": sha256(b"never seen")})
    assert (row.verdict, decided(world, row.id).artifacts[0].reasons[0].rule) == ("deny", "no-attestation")  # type: ignore[index]
    story = world.story(version="2.0", original=b"PK two")
    story.rebuild = {"state": "running", "original_sha256": digest_of(story)}
    world.tell(story)
    logged = len(world.log.leaves)
    row = world.decide("default", {"sha256": digest_of(story)})
    assert (row.state, row.verdict) == (DecisionState.DONE, "pending")
    assert len(world.log.leaves) == logged


def test_a_name_whose_bytes_nobody_knows_is_denied_with_the_command_that_finds_out(world: World) -> None:
    row = world.decide("default", {"purl": "pkg:pypi/ghost@1"})
    value = decided(world, row.id)
    assert (row.verdict, value.checkpoint.size) == ("deny", 0)
    assert value.artifacts is not None
    assert value.artifacts[0].sha256 is None
    assert value.artifacts[0].reasons[0].remedy == "reprove rebuild pkg:pypi/ghost@1 --wait"


def test_one_denied_artifact_denies_the_release_and_the_others_say_allow(world: World) -> None:
    good, bad = world.story(), differing(world, version="2.0", original=b"PK two")
    world.attest(good)
    world.attest(bad)
    row = world.decide("default", {"sha256": digest_of(good)}, {"sha256": digest_of(bad)}, release="demo 2")
    value = decided(world, row.id)
    assert value.artifacts is not None
    assert [each.verdict for each in value.artifacts] == [Verdict.ALLOW, Verdict.DENY]
    assert (value.verdict, value.release) == (Verdict.DENY, "demo 2")


def test_more_than_256_artifacts_become_rows_with_a_root_that_carries_each_of_them(world: World) -> None:
    story = world.story()
    world.attest(story)
    asked = [{"sha256": digest_of(story)}, *({"sha256": sha256(b"%d" % number)} for number in range(300))]
    row = world.decide("default", *asked)
    value = decided(world, row.id)
    assert value.rows is not None
    assert (value.artifacts, value.rows.count, value.verdict) == (None, 301, Verdict.DENY)
    assert row.result is not None
    assert value.rows.sha256 == sha256(canonical(row.result["artifacts"]))
    leaves = [merkle.leaf_hash(canonical(each)) for each in row.result["artifacts"]]
    tree = merkle.Compact()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root().hex() == value.rows.root


def test_the_same_inputs_time_and_checkpoint_give_the_same_payload(world: World) -> None:
    good, bad = world.story(), differing(world, version="2.0", original=b"PK two")
    world.attest(good)
    world.attest(bad)
    asked = ({"sha256": digest_of(good)}, {"sha256": digest_of(bad)})
    row = world.decide("default", *asked)
    world.attest(differing(world))
    world.restart()
    again = world.decisions.evaluate(world.decision(row.id))
    assert again is not None
    assert again.statement is not None
    assert again.statement.encode() == world.payload(row.id)
    later = world.decide("default", *asked)
    assert decided(world, later.id).artifacts != decided(world, row.id).artifacts, "with a later checkpoint the new difference counts"


def test_two_people_who_ask_the_same_in_the_same_millisecond_both_get_an_answer(world: World) -> None:
    story = world.story()
    world.attest(story)
    moment, note = times.now(), world.log.note(2)
    both = [world.ask("default", {"sha256": digest_of(story)}, at=moment, checkpoint=note) for _ in range(2)]
    for _ in range(2):
        world.decisions.round()
    assert [world.decision(each).verdict for each in both] == ["allow", "allow"]


def test_a_lenient_policy_does_not_help_where_a_prefix_is_bound_to_a_strict_one(world: World) -> None:
    story = world.story()
    echo = Input("demo-1.0-py3-none-any.whl", "https://files.invalid/x", story.resolution.original.sha256, story.resolution.original.size)
    story.report = changed(story.report, inputs=(echo,))
    world.attest(story)
    assert world.decide("lenient", {"sha256": digest_of(story)}).verdict == "allow"
    (world.home / "policies" / "bindings.yaml").write_text('"pkg:pypi/": default\n')
    row = world.decide("lenient", {"sha256": digest_of(story)})
    value = decided(world, row.id)
    assert row.verdict == "deny"
    assert [(each.prefix, each.name) for each in value.bound] == [("pkg:pypi/", "default")]
    assert "policy default, bound to pkg:pypi/" in value.artifacts[0].reasons[0].expected  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("unknown key", DEFAULT + "    levels: bitwise\n", 8),
        ("boolean as a number", DEFAULT + "    operators: true\n", 8),
        ("not YAML", "rules: [\n", 2),
    ],
)
def test_a_malformed_policy_answers_nothing_and_says_where(world: World, name: str, text: str, line: int) -> None:
    world.policy("default", text)
    story = world.story()
    world.attest(story)
    row = world.decide("default", {"sha256": digest_of(story)})
    assert (row.state, row.verdict) == (DecisionState.FAILED, None), name
    assert row.problem is not None
    assert (row.problem["line"], row.problem["status"]) == (line, 400)
    assert row.problem["detail"].startswith(f"default.yaml:{line}:")


@pytest.mark.parametrize("name", ["nobody", "../default", "bindings"])
def test_a_policy_that_does_not_exist_is_a_problem(world: World, name: str) -> None:
    row = world.decide(name, {"sha256": sha256(b"x")})
    assert row.state is DecisionState.FAILED
    assert "default, lenient" in (row.problem or {})["detail"]


def test_a_binding_to_a_missing_policy_answers_nothing(world: World) -> None:
    (world.home / "policies" / "bindings.yaml").write_text('"pkg:pypi/": gone\n')
    story = world.story()
    world.attest(story)
    row = world.decide("default", {"sha256": digest_of(story)})
    assert row.state is DecisionState.FAILED
    assert "gone, which does not exist" in (row.problem or {})["detail"]


def test_a_verdict_in_sql_that_nobody_signed_is_not_believed(world: World) -> None:
    story = differing(world)
    rebuild = world.attest(story)
    with world.database.write() as conn:
        conn.execute(tables.rebuild.update().where(tables.rebuild.c.id == rebuild.id).values(outcome="reproduced", level="bitwise"))
        conn.execute(tables.statement.update().values(outcome="reproduced", level="bitwise"))
    identifier = world.ask("default", {"sha256": digest_of(story)})
    with world.database.write() as conn:
        conn.execute(tables.decision.update().where(tables.decision.c.id == identifier).values(verdict="allow", result={"verdict": "allow"}))
    world.decisions.round()
    assert decided(world, identifier).verdict is Verdict.DENY


def test_a_decision_row_whose_envelope_nobody_here_signed_never_ends(world: World) -> None:
    story = world.story()
    world.attest(story)
    honest = world.decide("default", {"sha256": digest_of(story)})
    forged = sign_statement(new_key(), world.payload(honest.id))
    copied = world.ask("default", {"sha256": sha256(b"evil")})
    with world.database.write() as conn:
        values = {"decision_id": copied, "predicate_type": "urn:reprove:predicate:decision:v0.1", "visibility": "public", "created": times.now()}
        conn.execute(tables.statement.insert().values(id=sha256(b"row"), envelope=forged.encode(), **values))
        decisions.begin_signing(conn, decisions.get(conn, copied).id, "allow", {"verdict": "allow"}, [])  # type: ignore[union-attr]
    world.decisions.round()
    assert world.decision(copied).state is DecisionState.SIGNING
    assert forged.id in world.log.ids[:3], "only the honest one is logged"
    assert len(world.log.leaves) == 3


def test_a_recorded_statement_that_was_altered_stops_the_decision(world: World) -> None:
    """To leave a damaged row out could hide a dissent: no answer instead of an allow."""
    story = world.story()
    world.attest(story)
    with world.database.write() as conn:
        row = conn.execute(tables.entry.select().where(tables.entry.c.log_index == 1)).one()
        conn.execute(tables.entry.update().where(tables.entry.c.log_index == 1).values(proof=["A" * 43 + "="] * len(row.proof)))
    row = world.decide("default", {"sha256": digest_of(story)})
    assert (row.state, row.verdict) == (DecisionState.FAILED, None)


def test_an_own_envelope_that_is_not_in_the_log_is_no_evidence(world: World) -> None:
    """The attester's key alone is not enough: what is not included does not count."""
    world.attest(world.story(version="3.0", original=b"PK three"))
    story = world.story()
    world.log.away = True
    world.attest(story)
    world.log.away = False
    with world.database.write() as conn:
        donor = conn.execute(tables.entry.select().where(tables.entry.c.log_index == 1)).one()
        unlogged = conn.execute(
            tables.statement.select().where(tables.statement.c.subject_sha256 == digest_of(story), tables.statement.c.outcome.is_not(None))
        ).one()
        conn.execute(tables.entry.delete().where(tables.entry.c.log_index == 1))
        conn.execute(tables.entry.insert().values(**{**donor._mapping, "statement_id": unlogged.id}))
    row = world.decide("default", {"sha256": digest_of(story)})
    assert (row.state, row.verdict) == (DecisionState.FAILED, None)


def test_a_question_waits_for_entries_that_the_log_has_and_the_records_do_not(world: World) -> None:
    story = world.story()
    world.attest(story)
    note = world.log.note(2)
    with world.database.write() as conn:
        conn.execute(tables.entry.delete().where(tables.entry.c.log_index == 1))
    early = world.ask("default", {"sha256": digest_of(story)}, checkpoint=note)
    world.decisions.round()
    assert world.decision(early).state is DecisionState.ASKED
    late = world.ask("default", {"sha256": digest_of(story)}, checkpoint=note, at=times.now() - timedelta(seconds=60))
    world.decisions.round()
    assert world.decision(late).state is DecisionState.FAILED


def test_a_checkpoint_that_the_log_did_not_sign_is_refused(world: World) -> None:
    story = world.story()
    world.attest(story)
    note = world.log.note(2).replace("\n2\n", "\n9\n")
    assert world.decide("default", {"sha256": digest_of(story)}, checkpoint=note).state is DecisionState.FAILED


@pytest.mark.parametrize("point", ["decision.persisted", "decision.recorded", "submit.answered"])
def test_a_crash_at_each_step_of_a_decision_ends_in_one_entry(world: World, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    story = world.story()
    world.attest(story)
    wanted = {point}

    def crash_point(name: str) -> None:
        if name in wanted:
            wanted.discard(name)
            raise Died(name)

    monkeypatch.setattr(deciding, "crash_point", crash_point)
    monkeypatch.setattr("service.attester.submit.crash_point", crash_point)
    identifier = world.ask("default", {"sha256": digest_of(story)})
    with pytest.raises(Died):
        world.decisions.round()
    payload = world.payload(identifier)
    world.restart()
    world.decisions.round()
    assert (world.decision(identifier).state, world.decision(identifier).verdict) == (DecisionState.DONE, "allow")
    assert world.payload(identifier) == payload
    assert len(world.log.leaves) == 3


def test_a_log_that_is_away_leaves_the_decision_signing_and_never_allow(world: World) -> None:
    story = world.story()
    world.attest(story)
    note = world.log.note(2)
    world.log.away = True
    row = world.decide("default", {"sha256": digest_of(story)}, checkpoint=note)
    assert row.state is DecisionState.SIGNING
    world.log.away = False
    world.decisions.round()
    assert world.decision(row.id).state is DecisionState.DONE


def test_a_thousand_digests_are_decided_in_seconds(world: World) -> None:
    story = world.story()
    world.attest(story)
    asked = [{"sha256": digest_of(story)}, *({"sha256": sha256(b"%d" % number)} for number in range(999))]
    row = world.decide("default", *asked)
    assert row.verdict == "deny"
    assert row.result is not None
    assert json.dumps(row.result)
    assert (times.now() - row.created).total_seconds() < 3
