"""What happens at the same time: whoever commits first wins, and exactly one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reprove.core.errors import ProblemError, Slug
from reprove.core.states import AttemptState
from service.records import attempts, fenced, recovery, requests, times
from service.records.attempts import AttemptKind
from service.scheduling.reconciler import stuck
from tests.service.world import World

ROUNDS = 8


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run all at the same time; results in order, a problem's slug for a problem."""
    barrier = threading.Barrier(len(works))
    found: list[object] = [None] * len(works)

    def run(place: int, work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            found[place] = work() or "done"
        except ProblemError as error:
            found[place] = error.problem.slug

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def claim(world: World, attempt: str, kind: AttemptKind) -> str:
    return world.db.grouped(
        lambda conn: (
            fenced.claim(
                conn,
                attempt,
                kind,
                principal=world.principals["worker"],
                worker_sha256=world.worker.public_key.fingerprint,
                now=times.now(),
                seconds=15,
            ).lease
        )
    )


def cancel(world: World, rebuild: str) -> object:
    with world.db.write() as conn:
        return requests.cancel(conn, world.principals["client"], rebuild, times.now())


def test_five_workers_that_hear_the_same_bell_get_one_lease(world: World) -> None:
    for number in range(ROUNDS):
        attempt = world.open_attempt(world.accept(f"pkg:pypi/demo{number}@1.0").rebuild_id)
        found = at_once(*[lambda attempt=attempt: claim(world, attempt, AttemptKind.RESOLVE) for _ in range(5)])  # type: ignore[misc]
        assert found.count(Slug.LEASE_LOST) == 4


@pytest.mark.slow
def test_a_report_and_a_cancellation_at_once_have_one_winner(world: World) -> None:
    api = world.api()
    ends = set()
    for number in range(ROUNDS):
        rebuild = world.accept(f"pkg:pypi/demo{number}@1.0").rebuild_id
        api.resolved(rebuild)
        lease = api.claim(world.open_attempt(rebuild), "rebuild")
        envelope = api.report(lease)
        signed = fenced.Signed(id=envelope.id, envelope=envelope.encode(), blobs=frozenset())

        def report(lease: str = lease.token, signed: fenced.Signed = signed) -> None:
            world.db.grouped(lambda conn: fenced.store_report(conn, lease, signed, [], times.now()))

        found = at_once(report, lambda rebuild=rebuild: cancel(world, rebuild))  # type: ignore[misc]
        state = world.json(rebuild)["state"]
        expected = {"attesting": ["done", Slug.INVALID_REQUEST], "cancelled": [Slug.LEASE_LOST, "cancelled"]}
        assert found == expected[state]
        ends.add(state)
    assert ends <= {"attesting", "cancelled"}
    assert stuck(world.db) == []


def test_a_claim_and_a_cancellation_at_once_leave_nothing_running(world: World) -> None:
    for number in range(ROUNDS):
        rebuild = world.accept(f"pkg:pypi/demo{number}@1.0").rebuild_id
        attempt = world.open_attempt(rebuild)
        at_once(lambda attempt=attempt: claim(world, attempt, AttemptKind.RESOLVE), lambda rebuild=rebuild: cancel(world, rebuild))  # type: ignore[misc]
        body = world.json(rebuild)
        assert (body["state"], [each["state"] for each in body["attempts"]]) == ("cancelled", ["cancelled"])
    assert world.sql("SELECT * FROM outbox") == []


def test_a_reconciler_and_a_report_at_once_have_one_winner(world: World) -> None:
    api = world.api()
    for number in range(ROUNDS):
        rebuild = world.accept(f"pkg:pypi/demo{number}@1.0").rebuild_id
        api.resolved(rebuild)
        lease = api.claim(world.open_attempt(rebuild), "rebuild")
        envelope = api.report(lease)
        signed = fenced.Signed(id=envelope.id, envelope=envelope.encode(), blobs=frozenset())

        def lose(attempt: str = lease.body["attempt"]["id"]) -> None:
            with world.db.write() as conn:
                row = attempts.get(conn, attempt)
                assert row is not None
                if row.state is AttemptState.RUNNING:
                    recovery.lose(conn, row, retries=2, now=times.now())

        def report(lease: str = lease.token, signed: fenced.Signed = signed) -> None:
            world.db.grouped(lambda conn: fenced.store_report(conn, lease, signed, [], times.now()))

        at_once(lose, report)
        body = world.json(rebuild)
        states = [each["state"] for each in body["attempts"] if each["kind"] == "rebuild"]
        assert (body["state"], states) in (("attesting", ["reported"]), ("queued", ["lost", "waiting"]))
    assert stuck(world.db) == []


def test_a_request_that_joins_while_the_last_one_cancels_is_never_left_without_work(world: World) -> None:
    for number in range(ROUNDS):
        purl = f"pkg:pypi/demo{number}@1.0"
        rebuild = world.accept(purl).rebuild_id
        at_once(lambda rebuild=rebuild: cancel(world, rebuild), lambda purl=purl: world.accept(purl, who="other"))  # type: ignore[misc]
        (row,) = world.sql("SELECT rebuild_id FROM request WHERE principal_id = ? ORDER BY id DESC LIMIT 1", world.principals["other"].id)
        assert world.json(row.rebuild_id)["state"] == "queued"
    assert stuck(world.db) == []
