"""What the attester repeats, and what it refuses to: every story ends in one signed, logged comparison, or in none at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from reprove.core import dsse
from reprove.core.canonical import canonical
from reprove.core.digests import Sha256, sha256
from reprove.core.outcomes import Finding, Level, Origin, Outcome
from reprove.core.statements import comparison as comparisons
from reprove.core.statements import resolution as resolutions
from reprove.core.statements.codec import Hex4
from reprove.core.statements.common import PredicateType, decode
from reprove.core.statements.parts import Blob, Cause, Claimant, EnvironmentRef, Input, SourceRef, Stamp
from reprove.core.statements.report import LogBlob, RebuiltFile, ReportRecipe
from reprove.core.states import RebuildState
from reprove.signers import sign_statement
from service.records import schema as tables
from service.records import times
from tests.service.attester.rig import WHEEL, Story, World, changed, new_key


def comparison_of(world: World, rebuild_id: str) -> comparisons.Comparison:
    row = next(row for row in world.statements(rebuild_id) if row.predicate_type == PredicateType.COMPARISON)
    envelope = dsse.decode(row.envelope)
    assert envelope.signed_by([world.attester.public_key])
    return comparisons.read(decode(envelope.payload))


def test_an_equal_rebuild_becomes_provenance_and_comparison_in_one_batch(world: World) -> None:
    row = world.attest(world.story())
    assert (row.state, row.outcome, row.level) == (RebuildState.DONE, "reproduced", "bitwise")
    provenance, comparison = world.statements(row.id)
    assert (provenance.predicate_type, comparison.predicate_type) == (PredicateType.PROVENANCE, PredicateType.COMPARISON)
    assert (provenance.log_index, comparison.log_index) == (0, 1)
    assert world.log.batches == [2]
    value = comparison_of(world, row.id)
    assert value.provenance == provenance.id
    assert value.claimed_by["outcome"] is Claimant.ATTESTER
    assert value.claimed_by["inputs"] if value.inputs else True


def test_a_difference_is_signed_in_the_workers_name(world: World) -> None:
    story = world.story(rebuilt=b"PK other", outcome=Outcome.DIFFERS, cause=Cause("payload", "demo/x.py line 3"))
    row = world.attest(story)
    assert (row.outcome, row.cause_class, row.cause_detail) == ("differs", "payload", "demo/x.py line 3")
    assert comparison_of(world, row.id).claimed_by["outcome"] is Claimant.WORKER


def test_a_failure_has_one_entry_and_no_provenance(world: World) -> None:
    story = world.story(outcome=Outcome.BUILD_FAILED, cause=Cause("backend-failed", "exit status 1"), rebuilt=b"x")
    story.report = changed(story.report, rebuilt=None)
    row = world.attest(story)
    assert row.outcome == "build-failed"
    assert [each.predicate_type for each in world.statements(row.id)] == [PredicateType.COMPARISON]


def test_stamps_are_applied_and_hashed(world: World) -> None:
    original, rebuilt = b"PK\x01\x02\x03\x04 rest", b"PK\x00\x00\x00\x00 rest"
    stamp = Stamp("demo/RECORD", 2, Hex4("00000000"), Hex4("01020304"))
    row = world.attest(world.story(original=original, rebuilt=rebuilt, level=Level.TIMES_STAMPED, stamps=(stamp,)))
    assert (row.outcome, row.level) == ("reproduced", "times-stamped")
    value = comparison_of(world, row.id)
    assert value.claimed_by["level"] is Claimant.ATTESTER
    assert value.claimed_by["stamps"] is Claimant.WORKER


def test_a_resolution_can_settle_the_outcome_alone(world: World) -> None:
    story = world.story()
    story.report = None
    story.resolution = replace(story.resolution, outcome=Outcome.NOT_ATTEMPTABLE, cause=Cause("no-sdist", "the release has no sdist"), source=None)
    row = world.attest(story)
    assert (row.outcome, row.cause_class) == ("not-attemptable", "no-sdist")
    assert comparison_of(world, row.id).claimed_by["outcome"] is Claimant.RESOLVER


def test_spent_retries_are_inconclusive_and_never_differs(world: World) -> None:
    story = world.story()
    story.report = None
    story.rebuild = {"settled_by": "infrastructure", "cause_detail": "three workers were lost\n"}
    row = world.attest(story)
    assert (row.outcome, row.cause_class, row.cause_detail) == ("inconclusive", "infrastructure", "three workers were lost ")
    assert comparison_of(world, row.id).claimed_by["outcome"] is Claimant.ATTESTER


def test_a_yanked_file_and_an_echo_among_the_inputs_become_findings_that_no_worker_named(world: World) -> None:
    story = world.story()
    echo = Input(WHEEL, "https://files.invalid/x", story.report.original.sha256, story.report.original.size)  # type: ignore[union-attr]
    sibling = world.blob(b"an older build of the same release")
    story.report = changed(story.report, inputs=(echo, Input("demo-1.0-1-py3-none-any.whl", "https://files.invalid/y", sibling.sha256, sibling.size)))
    story.resolution = replace(story.resolution, original=replace(story.resolution.original, yanked=True))
    story.report = changed(story.report, resolution=_id(world, story))
    row = world.attest(story)
    value = comparison_of(world, row.id)
    assert [(each.code, each.path) for each in value.findings] == [
        (Finding.ORIGINAL_AMONG_INPUTS, "demo-1.0-1-py3-none-any.whl"),
        (Finding.ORIGINAL_AMONG_INPUTS, WHEEL),
        (Finding.YANKED, None),
    ]


def _id(world: World, story: Story) -> str:
    return sign_statement(world.resolver, resolutions.build(story.resolution).encode()).id


@dataclass(frozen=True)
class Lie:
    """A report that must not be repeated: how it is made, and what the alarm's text says of it."""

    name: str
    make: Callable[[World], Story]
    says: str


def _unenrolled(world: World) -> Story:
    story = world.story()
    story.worker = new_key()
    story.report = changed(story.report, worker=Blob(story.worker.public_key.fingerprint))
    return story


def _resolver_signs_the_report(world: World) -> Story:
    story = world.story()
    story.worker = world.resolver
    story.report = changed(story.report, worker=Blob(world.resolver.public_key.fingerprint))
    return story


def _expired(world: World) -> Story:
    world.enroll("worker-1", "work", world.worker, until="2026-01-01T00:00:00Z")
    return world.story()


def _not_yet(world: World) -> Story:
    world.enroll("worker-1", "work", world.worker, since="2099-01-01T00:00:00Z")
    return world.story()


def _other_worker_key(world: World) -> Story:
    other = new_key()
    world.enroll("worker-2", "work", other)
    story = world.story()
    story.worker = other
    story.report = changed(story.report, worker=Blob(other.public_key.fingerprint))
    story.attempt = {"worker_sha256": world.worker.public_key.fingerprint}
    return story


def _for_anothers_lease(world: World) -> Story:
    story = world.story()
    story.attempt = {"lease_sha256": sha256(b"somebody else's lease")}
    return story


def _after_the_lease(world: World) -> Story:
    story = world.story()
    story.attempt = {"expires": times.now() - timedelta(seconds=1)}
    return story


def _attempt_was_lost(world: World) -> Story:
    story = world.story()
    story.attempt = {"state": "lost"}
    return story


def _replayed(world: World) -> Story:
    """An honest report of another rebuild, presented again."""
    first = world.story()
    story = world.story()
    story.report = changed(story.report, rebuild=first.rebuild_id)
    return story


def _another_resolution(world: World) -> Story:
    story = world.story()
    story.report = changed(story.report, resolution=sha256(b"another look"))
    return story


def _another_request(world: World) -> Story:
    story = world.story()
    story.report = changed(story.report, request=Blob(sha256(b"another wish")))
    return story


def _claims_the_original_without_having_it(world: World) -> Story:
    """Nobody has the bytes: neither resolver nor worker stored them, the report only names their digest."""
    story = world.story(original=b"PK real bytes")
    digest = story.resolution.original.sha256
    world.blobs.remove(digest)
    return story


def _bitwise_with_other_bytes(world: World) -> Story:
    return world.story(original=b"PK original", rebuilt=b"PK tampered", level=Level.BITWISE)


def _stamps_that_do_not_give_the_original(world: World) -> Story:
    stamp = Stamp("demo/RECORD", 2, Hex4("00000000"), Hex4("09090909"))
    return world.story(original=b"PK\x01\x02\x03\x04 rest", rebuilt=b"PK\x00\x00\x00\x00 rest", level=Level.TIMES_STAMPED, stamps=(stamp,))


def _stamps_beyond_the_end(world: World) -> Story:
    stamp = Stamp("demo/RECORD", 4_000_000, Hex4("00000000"), Hex4("01020304"))
    return world.story(original=b"PK\x01\x02\x03\x04 rest", rebuilt=b"PK\x00\x00\x00\x00 rest", level=Level.TIMES_STAMPED, stamps=(stamp,))


def _stamps_of_other_old_bytes(world: World) -> Story:
    stamp = Stamp("demo/RECORD", 2, Hex4("ffffffff"), Hex4("01020304"))
    return world.story(original=b"PK\x01\x02\x03\x04 rest", rebuilt=b"PK\x00\x00\x00\x00 rest", level=Level.TIMES_STAMPED, stamps=(stamp,))


def _differs_with_equal_bytes(world: World) -> Story:
    """The other direction: blocking a good release by calling equal bytes different."""
    return world.story(outcome=Outcome.DIFFERS, cause=Cause("payload", "trust me"), level=None)


def _missing_log(world: World) -> Story:
    story = world.story()
    story.report = changed(story.report, log=LogBlob(Sha256("e" * 64), 10))
    return story


def _damaged_input(world: World) -> Story:
    story = world.story()
    stored = world.blob(b"good input")
    world.blobs.path(stored.sha256).chmod(0o640)
    world.blobs.path(stored.sha256).write_bytes(b"evil input")
    story.report = changed(story.report, inputs=(Input("setuptools-1-py3-none-any.whl", "https://files.invalid/z", stored.sha256, stored.size),))
    return story


def _missing_package(world: World) -> Story:
    """Without the environment's packages nobody could repeat the build."""
    story = world.story()
    world.blobs.remove(sha256(b"a package"))
    return story


def _lock_without_packages(world: World) -> Story:
    story = world.story()
    assert story.report is not None
    lock = world.blob(b"[]")
    recipe = world.blob(canonical({"origin": "inferred", "lock_sha256": lock.sha256}))
    story.report = changed(story.report, environment=EnvironmentRef(Blob(lock.sha256)), recipe=ReportRecipe(recipe.sha256, Origin.INFERRED))
    return story


def _wrong_size(world: World) -> Story:
    story = world.story()
    assert story.report is not None
    assert story.report.rebuilt is not None
    story.report = changed(story.report, rebuilt=RebuiltFile(WHEEL, story.report.rebuilt.sha256, 7))
    return story


def _another_original(world: World) -> Story:
    """The report compares something else than what the resolver signed."""
    story = world.story()
    other = world.blob(b"PK chosen by the worker")
    story.report = changed(story.report, original=other, rebuilt=RebuiltFile(WHEEL, other.sha256, other.size))
    return story


def _another_source(world: World) -> Story:
    story = world.story()
    story.report = changed(story.report, source=SourceRef("sdist", "https://evil.invalid/x.tar.gz", world.blob(b"evil source").sha256))
    return story


def _requester_recipe_called_inferred(world: World) -> Story:
    """Origin decides what a policy admits: a request with its own recipe cannot be called inferred."""
    story = world.story()
    story.request = {"purl": "pkg:pypi/demo@1.0", "recipe": {"steps": ["cp original dist/"]}}
    digest = Blob(sha256(canonical(story.request)))
    story.resolution = replace(story.resolution, request=digest)
    story.report = changed(story.report, request=digest, resolution=_id(world, story))
    return story


def _recipe_blob_says_otherwise(world: World) -> Story:
    story = world.story()
    assert story.report is not None
    recipe = world.blob(canonical({"origin": "requester", "lock_sha256": story.report.environment.lock.sha256}))  # type: ignore[union-attr]
    story.report = changed(story.report, recipe=ReportRecipe(recipe.sha256, Origin.INFERRED))
    return story


LIES = [
    Lie("a report by an unenrolled key", _unenrolled, "not signed by a key that is enrolled"),
    Lie("a report by a key of another role", _resolver_signs_the_report, "not signed by a key that is enrolled"),
    Lie("a report by a key whose time is over", _expired, "not signed by a key that is enrolled"),
    Lie("a report by a key whose time has not come", _not_yet, "not signed by a key that is enrolled"),
    Lie("a report by another enrolled worker than the lease's", _other_worker_key, "attempt's worker"),
    Lie("a report for another's lease", _for_anothers_lease, "attempt's lease"),
    Lie("a report after the lease", _after_the_lease, "after the lease"),
    Lie("a report of a lost attempt", _attempt_was_lost, "is lost"),
    Lie("a replayed report of another rebuild", _replayed, "rebuild:"),
    Lie("a report on another resolution", _another_resolution, "resolution:"),
    Lie("a report on another request", _another_request, "request digest:"),
    Lie("the original named as rebuilt, without its bytes", _claims_the_original_without_having_it, "is missing"),
    Lie("bitwise over unequal bytes", _bitwise_with_other_bytes, "the digests are not equal"),
    Lie("stamps that do not give the original", _stamps_that_do_not_give_the_original, "do not give the original"),
    Lie("stamps beyond the end of the file", _stamps_beyond_the_end, "do not give the original"),
    Lie("stamps over other bytes than they say", _stamps_of_other_old_bytes, "do not give the original"),
    Lie("differs over equal bytes", _differs_with_equal_bytes, "are the original's"),
    Lie("a log that is not stored", _missing_log, "is missing"),
    Lie("an input that is damaged on disk", _damaged_input, "is damaged"),
    Lie("a package of the environment that is not stored", _missing_package, "is missing"),
    Lie("a lock that names no packages", _lock_without_packages, "no list of packages"),
    Lie("a wrong size", _wrong_size, "size of"),
    Lie("another original than was resolved", _another_original, "original:"),
    Lie("another source than was resolved", _another_source, "another source"),
    Lie("a requester's recipe called inferred", _requester_recipe_called_inferred, "brings recipe"),
    Lie("a recipe blob that says another origin", _recipe_blob_says_otherwise, "recipe's origin"),
]


@pytest.mark.parametrize("lie", LIES, ids=[lie.name for lie in LIES])
def test_a_report_that_does_not_hold_is_inconclusive_and_nothing_of_it_is_repeated(world: World, lie: Lie) -> None:
    row = world.attest(lie.make(world))
    assert (row.state, row.outcome, row.cause_class) == (RebuildState.DONE, "inconclusive", "infrastructure")
    assert lie.says in (row.cause_detail or ""), row.cause_detail
    value = comparison_of(world, row.id)
    assert (value.rebuilt, value.recipe, value.level, value.inputs, value.stamps) == (None, None, None, None, None)
    assert [each.predicate_type for each in world.statements(row.id)] == [PredicateType.COMPARISON]


def test_a_resolution_that_no_enrolled_resolver_signed_makes_no_statement_at_all(world: World) -> None:
    story = world.story()
    story.resolver = new_key()
    story.resolution = replace(story.resolution, resolver=Blob(story.resolver.public_key.fingerprint))
    story.report = changed(story.report, resolution=_id(world, story))
    row = world.attest(story)
    assert (row.state, row.outcome, row.cause_class) == (RebuildState.REJECTED, None, "unavailable")
    assert world.statements(row.id) == []
    assert world.log.leaves == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("of another rebuild", {"rebuild": "rb-00000000000000000000"}),
        ("of another package", {"purl": "pkg:pypi/demo2@1.0"}),
        ("of another version", {"purl": "pkg:pypi/demo@1.1"}),
        ("under another lease", {"lease": sha256(b"x")}),
        ("of another request", {"request": Blob(sha256(b"x"))}),
    ],
)
def test_a_resolution_that_is_not_this_rebuilds_makes_no_statement(world: World, name: str, change: dict[str, object]) -> None:
    story = world.story()
    story.resolution = replace(story.resolution, **change)  # type: ignore[arg-type]
    if "lease" in change:
        story.resolve_attempt = {"lease_sha256": sha256(b"the real one")}
    row = world.attest(story)
    assert row.state is RebuildState.REJECTED, name
    assert world.log.leaves == []


def test_a_row_that_claims_an_outcome_which_nobody_signed_is_not_believed(world: World) -> None:
    story = world.story(rebuilt=b"PK other", outcome=Outcome.DIFFERS, cause=Cause("payload", "x"))
    story.rebuild = {"outcome": "reproduced", "level": "bitwise", "cause_class": None}
    row = world.attest(story)
    assert (row.outcome, row.level) == ("differs", None)
    assert comparison_of(world, row.id).outcome is Outcome.DIFFERS


def test_a_row_that_names_no_report_is_inconclusive_and_one_that_names_no_resolution_is_rejected(world: World) -> None:
    story = world.story()
    story.rebuild = {"report_id": sha256(b"never signed"), "outcome": "reproduced", "level": "bitwise"}
    assert world.attest(story).outcome == "inconclusive"
    story = world.story()
    story.rebuild = {"resolution_id": None}
    row = world.attest(story)
    assert (row.state, row.outcome) == (RebuildState.REJECTED, None)


def test_a_statement_row_that_somebody_else_signed_is_removed_and_replaced(world: World) -> None:
    """A comparison about this very rebuild, right in every member, but signed by another key, waits where the attester's own was persisted."""
    story = world.story(rebuilt=b"PK more", outcome=Outcome.BUILD_FAILED, cause=Cause("backend-failed", "y"))
    story.report = changed(story.report, rebuilt=None)
    rebuild_id = world.tell(story)
    world.log.away = True
    world.rebuilds.round()
    (own,) = world.statements(rebuild_id)
    forged = sign_statement(new_key(), dsse.decode(own.envelope).payload.replace(b"backend-failed", b"source-layout"))
    with world.database.write() as conn:
        conn.execute(tables.statement.update().where(tables.statement.c.id == own.id).values(id=forged.id, envelope=forged.encode()))
    world.log.away = False
    world.rebuilds.round()
    assert (world.row(rebuild_id).outcome, world.row(rebuild_id).cause_class) == ("build-failed", "backend-failed")
    assert world.log.ids == [own.id]


def test_an_own_statement_of_another_rebuild_is_not_accepted_as_this_ones(world: World) -> None:
    """A row that carries a genuine ``reproduced`` of a friendlier artifact."""
    world.log.away = True
    donor = world.tell(world.story())
    victim = world.tell(world.story(rebuilt=b"PK evil", outcome=Outcome.DIFFERS, cause=Cause("payload", "evil.py")))
    world.rebuilds.round()
    with world.database.write() as conn:
        conn.execute(tables.statement_input.delete())
        conn.execute(tables.statement.delete().where(tables.statement.c.rebuild_id == victim))
        conn.execute(tables.statement.update().where(tables.statement.c.rebuild_id == donor).values(rebuild_id=victim))
    world.log.away = False
    for _ in range(2):
        world.rebuilds.round()
    assert (world.row(victim).outcome, world.row(donor).outcome) == ("differs", "reproduced")


def test_an_empty_list_of_keys_confirms_nobody_and_a_missing_list_stops_the_work(world: World) -> None:
    (world.home / "enrolled.json").write_bytes(canonical({"kind": "enrolled", "version": 1, "keys": []}))
    assert world.attest(world.story()).state is RebuildState.REJECTED
    (world.home / "enrolled.json").unlink()
    rebuild_id = world.tell(world.story())
    world.rebuilds.round()
    assert world.row(rebuild_id).state is RebuildState.ATTESTING
