"""Statements, entries, listings and decisions: kept once, found by what they say, never moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reprove.core.digests import AttestationId, sha256
from reprove.core.errors import OwnError
from reprove.core.states import REBUILD_TRANSITIONS, RebuildState
from service.records import decisions, ids, listings, rebuilds, statements, times
from service.records.statements import Search
from tests.service.world import START, World

COMPARISON, PROVENANCE = "urn:reprove:predicate:comparison:v0.1", "https://slsa.dev/provenance/v1"


def attested(world: World, purl: str, index: int | None, *, kind: str = COMPARISON, visibility: str = "public", **columns: Any) -> AttestationId:
    """A statement of a new rebuild, at a place in the log (None: not recorded yet)."""
    now = START + timedelta(minutes=index or 0)
    rebuild = world.accept(purl, force=True).rebuild_id
    made = AttestationId(sha256(f"{purl}{index}{kind}".encode()))
    with world.db.write() as conn:
        statements.insert(conn, made, b"{}", kind, rebuild_id=rebuild, created=now, purl=purl, visibility=visibility, **columns)
        if index is not None:
            place(conn, made, index, now)
    return made


def place(conn: Any, made: str, index: int, now: Any = START) -> None:
    statements.record_entry(
        conn, made, log_index=index, leaf=b"leaf", proof=["cA=="], checkpoint="note", before=None, not_before=now, not_after=now, now=now
    )


def test_the_first_envelope_of_a_rebuild_and_type_is_kept(world: World) -> None:
    rebuild = world.accept().rebuild_id
    with world.db.write() as conn:
        first = statements.insert(conn, AttestationId("a" * 64), b"one", COMPARISON, rebuild_id=rebuild, created=START, inputs=["1" * 64])
        again = statements.insert(conn, AttestationId("b" * 64), b"two", COMPARISON, rebuild_id=rebuild, created=START)
        other = statements.insert(conn, AttestationId("c" * 64), b"three", PROVENANCE, rebuild_id=rebuild, created=START)
        assert {row.envelope for row in statements.of_rebuild(conn, rebuild)} == {b"one", b"three"}
        assert [row.id for row in statements.unrecorded(conn)] == [first, other]
    assert first == again == "a" * 64


def test_an_entry_is_recorded_once_and_never_moves(world: World) -> None:
    made = attested(world, "pkg:pypi/a@1.0", 0)
    with world.db.write() as conn:
        place(conn, made, 0)
        with pytest.raises(OwnError, match="the log now says 5"):
            place(conn, made, 5)
        found = statements.entry_of(conn, made)
    assert found is not None
    assert (found.log_index, found.proof, found.not_after) == (0, ("cA==",), START)


def test_what_has_no_entry_is_not_shown(world: World) -> None:
    attested(world, "pkg:pypi/a@1.0", None)
    (rebuild,) = world.sql("SELECT id FROM rebuild")
    assert world.json(rebuild.id)["attestations"] == []
    with world.db.read() as conn:
        assert statements.search(conn, Search()) == []


def test_statements_are_found_by_each_of_their_parts(world: World) -> None:
    subject, rebuilt = "1" * 64, "2" * 64
    a = attested(
        world, "pkg:pypi/a@1.0?file_name=a.whl", 0, subject_sha256=subject, rebuilt_sha256=rebuilt, outcome="differs", operator="o", inputs=["3" * 64]
    )
    b = attested(world, "pkg:pypi/ab@1.0", 1, subject_sha256=rebuilt, outcome="reproduced", level="bitwise", worker="w", source="s", environment="e")
    c = attested(world, "pkg:pypi/c@1.0", 2, visibility="private", subject_sha256=subject)

    def found(**wanted: Any) -> list[str]:
        with world.db.read() as conn:
            return [row.id for row in statements.search(conn, Search(**wanted))]

    assert found() == [b, a]
    assert found(private=True) == [c, b, a]
    assert found(digest=rebuilt) == [b, a]
    assert found(digest=subject) == [a]
    assert found(purl="pkg:pypi/ab@1.0") == [b]
    assert found(purl_prefix="pkg:pypi/a@") == [a]
    assert found(outcome="differs") == [a]
    assert found(level="bitwise", worker="w", source="s", environment="e") == [b]
    assert found(input="3" * 64) == [a]
    assert found(since=START + timedelta(seconds=1)) == [b]
    assert found(until=START + timedelta(seconds=1)) == [a]
    with world.db.read() as conn:
        assert [row.id for row in statements.search(conn, Search(private=True), below=2, limit=1)] == [b]
        assert [row.id for row in statements.search(conn, Search(private=True), after=1)] == [c]
        assert [row.id for row in statements.about(conn, [subject, rebuilt])] == [a, b, c]
        assert [row.id for row in statements.by_log_range(conn, 1, 256)] == [b, c]


@pytest.mark.parametrize(("recorded", "complete"), [([], 0), ([0], 1), ([0, 1, 2], 3), ([0, 2, 3], 1), ([1, 2], 0), ([0, 1, 3, 5], 2)])
def test_complete_to_stops_at_the_first_gap(world: World, recorded: list[int], complete: int) -> None:
    for index in recorded:
        attested(world, f"pkg:pypi/p{index}@1.0", index)
    with world.db.read() as conn:
        assert statements.complete_to(conn) == complete


def test_the_last_look_at_a_release_counts_and_a_changed_answer_is_a_conflict(world: World) -> None:
    purl = "pkg:pypi/demo@1.0"
    with world.db.write() as conn:
        for number, digest in enumerate(("1" * 64, "1" * 64, "2" * 64)):
            rebuild = ids.rebuild_id(START)
            conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            now = START + timedelta(days=number)
            world_rebuild(conn, rebuild, now)
            listings.record(conn, rebuild, purl, [("a.whl", digest), (f"only-{number}.whl", None)], now)
            assert listings.conflicts(conn, purl) == (["a.whl"] if number == 2 else [])
        assert listings.last(conn, purl) == [("a.whl", "2" * 64), ("only-2.whl", None)]
        assert listings.last(conn, "pkg:pypi/other@1.0") == []


def world_rebuild(conn: Any, rebuild: str, now: Any) -> None:
    from service.records.schema import rebuild as table

    conn.execute(
        table.insert().values(
            id=rebuild,
            request="{}",
            request_sha256="0" * 64,
            state="done",
            visibility="public",
            arch="amd64",
            priority=0,
            seq=1,
            created=now,
            updated=now,
        )
    )


@pytest.mark.parametrize("start", list(RebuildState))
@pytest.mark.parametrize("to", list(RebuildState))
def test_a_rebuild_moves_by_the_table_only(world: World, start: RebuildState, to: RebuildState) -> None:
    rebuild = world.accept().rebuild_id
    world.execute("UPDATE rebuild SET state = ?, phase = 'build' WHERE id = ?", start.value, rebuild)
    if to not in REBUILD_TRANSITIONS[start]:
        with pytest.raises(OwnError, match="cannot become"), world.db.write() as conn:
            rebuilds.move(conn, rebuild, to)
        return
    with world.db.write() as conn:
        row = rebuilds.move(conn, rebuild, to, outcome="differs" if to is RebuildState.DONE else None)
    assert (row.state, row.seq) == (to, 2)
    assert (row.finished is not None) is to.terminal
    assert ("outcome" in world.json(rebuild)) is (to is RebuildState.DONE)


def test_a_decision_is_signed_before_it_is_shown_and_answered_once(world: World) -> None:
    client, now = world.principals["client"], times.now()
    with world.db.write() as conn:
        first, second, third = (decisions.ask(conn, client, policy="default", question={"artifacts": []}, checkpoint=None, now=now) for _ in range(3))
        assert [row.id for row in decisions.asked(conn)] == sorted([first, second, third])
        decisions.begin_signing(conn, first, "deny", {"verdict": "deny"}, ["1" * 64])
        assert [row.id for row in decisions.signing(conn)] == [first]
        assert decisions.about(conn, "1" * 64) == []
        decisions.finish(conn, first, now)
        assert [row.verdict for row in decisions.about(conn, "1" * 64)] == ["deny"]
        decisions.answer_pending(conn, second, {"verdict": "pending"}, now)
        decisions.fail(conn, third, {"detail": "no such policy"}, now)
        for done in (first, second, third):
            with pytest.raises(OwnError, match="cannot become"):
                decisions.begin_signing(conn, done, "allow", {}, [])
        assert decisions.asked(conn) == []


def test_ids_grow_with_time_and_have_one_shape() -> None:
    early, late = ids.rebuild_id(START), ids.rebuild_id(START + timedelta(milliseconds=1))
    assert early < late
    assert ids.is_id(early, "rb")
    for bad in (f"{early}0", early[:-1], early.replace("rb-", "rq-"), early.upper(), f"{early}\n"):
        assert not ids.is_id(bad, "rb")


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.120Z"])
def test_times_keep_their_form(text: str) -> None:
    assert times.rfc3339(times.parse_rfc3339(text)) == text
    assert times.from_milliseconds(times.to_milliseconds(times.parse_rfc3339(text))) == times.parse_rfc3339(text)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        times.parse_rfc3339("2026-01-01T00:00:00")
    with pytest.raises(ValueError, match="zone"):
        times.to_milliseconds(START.replace(tzinfo=None))
