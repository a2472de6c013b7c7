"""Accepting, joining, repeating, limiting and cancelling requests."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from reprove.core.errors import ProblemError
from reprove.core.states import RebuildState
from service.records import audit, requests, times
from tests.service.world import PURL, World

DAY = timedelta(days=1)


def end(world: World, rebuild: str, outcome: str | None, state: str = "done") -> None:
    now = times.to_milliseconds(times.now())
    world.execute("UPDATE attempt SET state = 'reported'")
    world.execute("DELETE FROM outbox")
    world.execute("UPDATE rebuild SET state = ?, outcome = ?, finished = ? WHERE id = ?", state, outcome, now, rebuild)


def test_an_accepted_request_has_everything_that_is_needed_to_go_on(world: World) -> None:
    accepted = world.accept(key="k")
    assert accepted.created
    row = world.rebuild(accepted.rebuild_id)
    assert (row.state, row.purl, row.request) == (RebuildState.QUEUED, PURL, f'{{"purl":"{PURL}"}}')
    (bell,) = world.sql("SELECT * FROM outbox")
    assert (bell.attempt_id, bell.queue, bell.function) == (world.open_attempt(row.id), "resolve", "workers.jobs.resolve")
    assert [len(world.sql(f"SELECT * FROM {table}")) for table in ("request", "idempotency", "attempt")] == [1, 1, 1]


def test_the_same_key_and_body_give_the_same_answer_and_another_body_a_conflict(world: World) -> None:
    first = world.accept(key="k")
    assert world.accept(key="k") == requests.Accepted(first.request_id, first.rebuild_id, created=False)
    with pytest.raises(ProblemError) as caught:
        world.accept("pkg:pypi/other@1.0", key="k")
    assert caught.value.problem.slug == "idempotency-conflict"
    assert world.accept("pkg:pypi/other@1.0", key="k", who="other").created
    assert len(world.sql("SELECT * FROM request")) == 2


def test_a_repeated_key_never_starts_new_work_even_with_force(world: World) -> None:
    body = {"purl": PURL, "force": True}
    assert world.accept(key="k", force=True, body=body).rebuild_id == world.accept(key="k", force=True, body=body).rebuild_id


@pytest.mark.parametrize(
    ("outcome", "state", "joined"),
    [
        ("reproduced", "done", True),
        ("differs", "done", True),
        ("build-failed", "done", True),
        ("inconclusive", "done", False),
        (None, "rejected", False),
        (None, "cancelled", False),
        (None, "queued", True),
        (None, "running", True),
        (None, "attesting", True),
    ],
)
def test_which_rebuilds_are_shared(world: World, outcome: str | None, state: str, joined: bool) -> None:
    first = world.accept().rebuild_id
    end(world, first, outcome, state)
    assert (world.accept(who="other").rebuild_id == first) is joined


def test_an_old_verdict_is_not_shared_and_force_shares_nothing(world: World) -> None:
    first = world.accept().rebuild_id
    end(world, first, "reproduced")
    later = times.now() + 2 * DAY
    assert world.accept(now=later, max_age=3 * DAY).rebuild_id == first
    second = world.accept(now=later, max_age=DAY).rebuild_id
    assert second != first
    forced = world.accept(now=later + DAY, force=True).rebuild_id
    assert forced not in (first, second)
    assert world.accept(now=later + DAY).rebuild_id == forced


def test_private_and_public_work_is_not_shared(world: World) -> None:
    assert world.accept().rebuild_id != world.accept(visibility="private").rebuild_id


def test_a_more_urgent_request_that_joins_hurries_the_bell(world: World) -> None:
    world.accept(priority=0)
    world.accept(priority=5, who="other")
    world.accept(priority=1, who="other")
    assert world.sql("SELECT priority FROM outbox")[0].priority == 5


def test_writes_are_limited_by_principal_and_minute(world: World) -> None:
    now = times.parse_rfc3339("2026-02-01T10:00:30Z")
    for n in range(3):
        world.accept(f"pkg:pypi/demo{n}@1.0", per_minute=3, now=now)
    with pytest.raises(ProblemError, match="try again in 30 s") as caught:
        world.accept("pkg:pypi/demo9@1.0", per_minute=3, now=now)
    assert caught.value.problem.slug == "rate-limited"
    world.accept("pkg:pypi/demo9@1.0", per_minute=3, now=now, who="other")
    world.accept("pkg:pypi/demo9@1.0", per_minute=3, now=now + timedelta(seconds=30))


def test_eight_clients_at_once_start_one_rebuild(world: World) -> None:
    found: list[str] = []
    barrier = threading.Barrier(8)

    def post() -> None:
        barrier.wait()
        found.append(world.accept().rebuild_id)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_only_those_who_asked_can_cancel_and_the_last_one_stops_it(world: World) -> None:
    rebuild = world.accept().rebuild_id
    client, other = world.principals["client"], world.principals["other"]
    with world.db.write() as conn, pytest.raises(ProblemError, match="no request of yours"):
        requests.cancel(conn, other, rebuild, times.now())
    world.accept(who="other")
    with world.db.write() as conn:
        assert requests.cancel(conn, client, rebuild, times.now()) is RebuildState.QUEUED
        assert requests.cancel(conn, client, rebuild, times.now()) is RebuildState.QUEUED
        assert requests.cancel(conn, other, rebuild, times.now()) is RebuildState.CANCELLED
        assert requests.cancel(conn, other, rebuild, times.now()) is RebuildState.CANCELLED
        done_by = [row["principal_id"] for row in audit.of_target(conn, rebuild)]
    assert done_by == [client.id, client.id, other.id]
    assert world.accept().rebuild_id != rebuild


@pytest.mark.parametrize("state", ["attesting", "done", "rejected"])
def test_what_is_being_attested_or_has_ended_is_not_cancelled(world: World, state: str) -> None:
    rebuild = world.accept().rebuild_id
    end(world, rebuild, "reproduced" if state == "done" else None, state)
    with world.db.write() as conn, pytest.raises(ProblemError, match="can no longer be cancelled"):
        requests.cancel(conn, world.principals["client"], rebuild, times.now())
