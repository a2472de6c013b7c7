"""Levels that no arithmetic confirms: what the attester repeats of them, in whose name, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from reprove.core.outcomes import Certainty, Level, Outcome
from reprove.core.statements.codec import Hex4
from reprove.core.statements.parts import Blob, Cause, CauseHint, Claimant, Difference, Differences, Pass, Stamp
from reprove.core.states import RebuildState
from tests.service.attester.rig import Story, World
from tests.service.attester.test_reports import comparison_of

ORIGINAL, REBUILT = b"PK the wheel", b"PK the wheel, packed otherwise"
PASSES = (Pass("wheel-generator", "1"), Pass("wheel-record", "2"))  # type: ignore[arg-type]
CAUSES = (
    CauseHint("build-backend", Certainty.LIKELY, "pin flit_core==3.9.0", "Generator: flit 3.9.0", 2),  # type: ignore[arg-type]
    CauseHint("deflate", Certainty.PROVED),  # type: ignore[arg-type]
)
STAMP = {"member": "demo/RECORD", "offset": 2, "old": "00000000", "new": "01020304"}
PASS = {"id": "wheel-generator", "version": "1"}


def lower(world: World, level: Level = Level.CANONICAL, **changes: Any) -> Story:
    return world.story(original=ORIGINAL, rebuilt=REBUILT, level=level, **changes)


@pytest.mark.parametrize(("level", "passes"), [(Level.CANONICAL, None), (Level.NORMALIZED, PASSES), (Level.SEMANTIC, PASSES)])
def test_a_lower_level_is_repeated_in_the_workers_name(world: World, level: Level, passes: tuple[Pass, ...] | None) -> None:
    listed = world.blob(b"[]")
    noise = Differences(1, (Difference("demo/x.py", "time", "2020", "2021", 12),), Blob(listed.sha256))
    row = world.attest(lower(world, level, passes=passes, causes=CAUSES, differences=noise, unstamped="demo/x.py: no time"))
    assert (row.state, row.outcome, row.level) == (RebuildState.DONE, "reproduced", level.value)
    value = comparison_of(world, row.id)
    assert (value.level, value.passes, value.causes, value.differences, value.stamps) == (level, passes, CAUSES, noise, None)
    says = {name: value.claimed_by[name] for name in ("outcome", "level", "causes", "differences", "rebuilt", "original")}
    worker = dict.fromkeys(("outcome", "level", "causes", "differences"), Claimant.WORKER)
    assert says == {**worker, "rebuilt": Claimant.ATTESTER, "original": Claimant.RESOLVER}
    assert (value.unstamped, value.claimed_by["unstamped"]) == ("demo/x.py: no time", Claimant.WORKER)
    assert value.claimed_by.get("passes") == (Claimant.WORKER if passes else None)
    assert row.causes is not None
    assert [each["id"] for each in row.causes] == ["build-backend", "deflate"]


def test_times_stamped_is_still_the_attesters_own_finding_and_has_neither_passes_nor_causes(world: World) -> None:
    original, rebuilt = b"PK\x01\x02\x03\x04 rest", b"PK\x00\x00\x00\x00 rest"
    stamp = Stamp("demo/RECORD", 2, Hex4("00000000"), Hex4("01020304"))
    row = world.attest(world.story(original=original, rebuilt=rebuilt, level=Level.TIMES_STAMPED, stamps=(stamp,)))
    value = comparison_of(world, row.id)
    assert (value.level, value.stamps, value.passes, value.causes) == (Level.TIMES_STAMPED, (stamp,), None, ())
    assert (value.claimed_by["level"], value.claimed_by["outcome"]) == (Claimant.ATTESTER, Claimant.ATTESTER)
    assert not {"passes", "causes"} & set(value.claimed_by)


def test_members_that_nobody_knows_never_become_a_claim(world: World) -> None:
    story = lower(world)
    odd = {"bitwise": True, "verified": "canonical", "passes2": [PASS], "claimedBy": {"level": "attester"}, "supersedes": {"id": "a" * 64}}
    story.members = odd
    row = world.attest(story)
    assert (row.outcome, row.level) == ("reproduced", "canonical")
    (_, statement) = world.statements(row.id)
    assert b"passes2" not in statement.envelope
    value = comparison_of(world, row.id)
    assert (value.claimed_by["level"], value.supersedes, value.passes) == (Claimant.WORKER, None, None)


@dataclass(frozen=True)
class Lie:
    """A signed report that must not be repeated: what is changed in it, and what the alarm's text says."""

    name: str
    says: str
    members: dict[str, Any] | None = None
    make: Callable[[World], Story] = lower


def _same_bytes(level: Level, **changes: Any) -> Callable[[World], Story]:
    def make(world: World) -> Story:
        return world.story(original=ORIGINAL, level=level, **changes)

    return make


def _normalized(world: World) -> Story:
    return lower(world, Level.NORMALIZED, passes=PASSES)


def _unstored(world: World) -> Story:
    story = lower(world)
    world.blobs.remove(story.report.rebuilt.sha256)  # type: ignore[union-attr]
    return story


def _another_size(world: World) -> Story:
    story = lower(world)
    named = story.report.rebuilt  # type: ignore[union-attr]
    assert named is not None
    story.members = {"rebuilt": {"name": named.name, "sha256": named.sha256, "size": 1}}
    return story


def _unstored_differences(world: World) -> Story:
    return lower(world, differences=Differences(1, (), Blob("e" * 64)))  # type: ignore[arg-type]


LIES = [
    Lie("bitwise over other bytes", "the digests are not equal", {"level": "bitwise"}),
    Lie("bitwise over other bytes, with passes", "passes stand with", {"level": "bitwise"}, _normalized),
    Lie("canonical over the same bytes", "the digests are equal", make=_same_bytes(Level.CANONICAL)),
    Lie("normalized over the same bytes", "the digests are equal", make=_same_bytes(Level.NORMALIZED, passes=PASSES)),
    Lie("canonical without rebuilt bytes", "needs rebuilt", {"rebuilt": None}),
    Lie("canonical of bytes that are not stored", "is missing", make=_unstored),
    Lie("canonical of bytes of another size", "size of", make=_another_size),
    Lie("canonical with differences that are not stored", "is missing", make=_unstored_differences),
    Lie("canonical with passes", "passes stand with", {"passes": [PASS]}),
    Lie("canonical with stamps", "stamps stand with", {"stamps": [STAMP]}),
    Lie("canonical of an ambiguous archive", "rules out level", {"findings": [{"code": "ambiguous-archive"}]}),
    Lie("canonical of a false manifest", "rules out level", {"findings": [{"code": "false-manifest"}]}),
    Lie("canonical with a cause class", "has no cause", {"cause": {"class": "payload", "detail": "x"}}),
    Lie("times-stamped without stamps", "stamps stand with", {"level": "times-stamped"}),
    Lie("times-stamped with passes", "passes stand with", {"level": "times-stamped", "stamps": [STAMP]}, _normalized),
    Lie("bitwise with a reason against stamps", "unstamped stands with", {"unstamped": "x"}, World.story),
    Lie("normalized without passes", "passes stand with", {"passes": None}, _normalized),
    Lie("normalized by an empty list", "at least one pass", {"passes": []}, _normalized),
    Lie("normalized by a pass twice", "named once", {"passes": [PASS, PASS]}, _normalized),
    Lie("normalized by a pass without a version", "version is missing", {"passes": [{"id": "wheel-generator"}]}, _normalized),
    Lie("normalized by a pass of version 0", "from 1", {"passes": [{**PASS, "version": "0"}]}, _normalized),
    Lie("normalized by a pass that writes to the terminal", "such as wheel-generator", {"passes": [{**PASS, "id": "\x1b[2J"}]}, _normalized),
    Lie("normalized with stamps", "stamps stand with", {"stamps": [STAMP]}, _normalized),
    Lie("passes without a level", "level stands with", {"level": None}, _normalized),
    Lie("a level of another name", "must be one of", {"level": "identical"}),
    Lie("causes of equal bytes", "causes stand where", {"causes": [{"id": "umask", "certainty": "proved"}]}, World.story),
    Lie("more causes than anybody reads", "more than 20", {"causes": [{"id": "umask", "certainty": "proved"}] * 21}),
    Lie("a cause of another certainty", "must be one of", {"causes": [{"id": "umask", "certainty": "sure"}]}),
]


@pytest.mark.parametrize("lie", LIES, ids=[lie.name for lie in LIES])
def test_what_contradicts_itself_or_its_bytes_is_inconclusive_and_nothing_of_it_is_repeated(world: World, lie: Lie) -> None:
    story = lie.make(world)
    story.members = story.members or lie.members or {}
    row = world.attest(story)
    assert (row.state, row.outcome, row.level, row.cause_class) == (RebuildState.DONE, "inconclusive", None, "infrastructure")
    assert lie.says in (row.cause_detail or ""), row.cause_detail
    value = comparison_of(world, row.id)
    assert (value.level, value.passes, value.causes, value.rebuilt, value.differences) == (None, None, (), None, None)


def test_a_difference_keeps_its_causes(world: World) -> None:
    story = world.story(original=ORIGINAL, rebuilt=REBUILT, outcome=Outcome.DIFFERS, cause=Cause("payload", "demo/x.py"), causes=CAUSES)
    row = world.attest(story)
    assert (row.outcome, row.cause_class) == ("differs", "payload")
    assert comparison_of(world, row.id).causes == CAUSES
