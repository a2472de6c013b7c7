"""The worker api's ordinary day: from the bell to the report, and what repeats of it do."""

from __future__ import annotations

from reprove.core.digests import sha256
from reprove.core.states import RebuildState
from service.records.attempts import MAX_DRAINED
from tests.service.world import WHEEL, World


def test_a_request_goes_from_claim_to_report(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    row = world.rebuild(rebuild)
    assert (row.state, row.phase, row.original_file, row.original_sha256) == (RebuildState.QUEUED, "wait", WHEEL, sha256(b"original"))
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    assert lease.body["resolution"]["id"] == row.resolution_id
    assert world.rebuild(rebuild).state is RebuildState.RUNNING
    assert api.call("GET", f"/w/v1/blobs/sha256:{sha256(b'source')}", who="worker", Reprove_Lease=lease.token) == b"source"
    envelope = api.report(lease)
    assert api.on(lease, "report", envelope.encode()) == {"id": envelope.id}
    row = world.rebuild(rebuild)
    assert (row.state, row.settled_by, row.report_id) == (RebuildState.ATTESTING, "report", envelope.id)
    assert "outcome" not in world.json(rebuild)
    assert [each["state"] for each in world.json(rebuild)["attempts"]] == ["reported", "reported"]


def test_an_answer_that_was_lost_is_given_again(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    for data in (b"original", b"source", b"page"):
        api.put(lease, data)
    envelope = api.resolution(lease)
    assert api.on(lease, "resolution", envelope.encode()) == api.on(lease, "resolution", envelope.encode())
    assert len(world.sql("SELECT * FROM report")) == 1


def test_a_second_ring_finds_nothing_to_claim(world: World) -> None:
    api = world.api()
    attempt = world.open_attempt(world.accept().rebuild_id)
    api.claim(attempt, "resolve")
    api.claim(attempt, "resolve", expect=409, slug="lease-lost")
    api.claim("at-" + "0" * 20, "resolve", expect=409, slug="lease-lost")


def test_a_resolution_with_an_outcome_goes_to_the_attester_at_once(world: World) -> None:
    from reprove.core.outcomes import Outcome
    from reprove.core.statements.parts import Cause

    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild, outcome=Outcome.NOT_ATTEMPTABLE, cause=Cause("no-sdist", "no source was published"), source=None)
    row = world.rebuild(rebuild)
    assert (row.state, row.settled_by) == (RebuildState.ATTESTING, "resolution")
    assert world.sql("SELECT * FROM outbox") == []


def test_a_rejection_ends_the_rebuild_with_its_slug(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    api.on(lease, "reject", {"cause": {"class": "unknown-package", "detail": "no such project"}})
    body = world.json(rebuild)
    assert (body["state"], body["cause"]) == ("rejected", {"class": "unknown-package", "detail": "no such project"})
    assert "outcome" not in body
    api.on(lease, "heartbeat", {}, expect=409, slug="lease-lost")


def test_heartbeats_carry_progress_and_what_is_waited_for(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    before = world.rebuild(rebuild).seq
    assert api.on(lease, "heartbeat", {"events": [], "waiting": None}) == {"lease_seconds": 15, "cancel": False}
    assert world.rebuild(rebuild).seq == before
    api.on(lease, "heartbeat", {"events": [{"phase": "build", "status": "started", "candidate": 1}], "waiting": {"reason": "environment"}})
    body = world.json(rebuild)
    assert (body["phase"], body["waiting"]) == ("build", {"reason": "environment"})
    assert world.rebuild(rebuild).seq > before
    api.on(lease, "heartbeat", {"waiting": None})
    assert "waiting" not in world.json(rebuild)


def test_the_running_log_is_appended_once(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    for offset, data in ((0, b"one\n"), (4, b"two\n"), (4, b"two\n"), (0, b"one\n")):
        api.on(lease, f"log?offset={offset}", data)
    assert (world.home / "logs" / f"{rebuild}.log").read_bytes() == b"one\ntwo\n"
    api.on(lease, "log?offset=100", b"gap", expect=400, slug="invalid-request")
    api.on(lease, f"log?offset={world.settings.limit_log}", b"x", expect=413, slug="too-large")


def test_a_released_attempt_is_tried_again_until_the_retries_are_spent(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    for n in (1, 2, 3):
        lease = api.claim(world.open_attempt(rebuild), "rebuild")
        assert lease.body["attempt"]["n"] == n
        api.on(lease, "release", {"reason": "the engine is gone", "retry": True})
        assert world.rebuild(rebuild).state is (RebuildState.QUEUED if n < 3 else RebuildState.ATTESTING)
    row = world.rebuild(rebuild)
    assert (row.settled_by, row.cause_class) == ("infrastructure", "infrastructure")
    assert row.cause_detail == "the engine is gone (3 attempts)"


def test_a_worker_that_is_told_to_stop_costs_no_retry_but_cannot_put_the_end_off_for_ever(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    rounds = 0
    while world.rebuild(rebuild).state is RebuildState.QUEUED:
        lease = api.claim(world.open_attempt(rebuild), "rebuild")
        api.on(lease, "release", {"reason": "the worker is shutting down", "drained": True})
        rounds += 1
        assert rounds < 20
    assert rounds == MAX_DRAINED + world.settings.retries + 1
    assert world.rebuild(rebuild).settled_by == "infrastructure"


def test_a_resolver_that_never_succeeds_ends_in_a_rejection_without_outcome(world: World) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    lease = api.claim(world.open_attempt(rebuild), "resolve")
    api.on(lease, "release", {"reason": "no network", "retry": False})
    body = world.json(rebuild)
    assert (body["state"], body["cause"]["class"]) == ("rejected", "unavailable")


def test_a_cancelled_rebuild_tells_its_worker_to_stop(world: World) -> None:
    from service.records import requests, times

    api = world.api()
    rebuild = world.accept().rebuild_id
    world.accept(who="other")
    api.resolved(rebuild)
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    with world.db.write() as conn:
        assert requests.cancel(conn, world.principals["client"], rebuild, times.now()) is RebuildState.RUNNING
    assert api.on(lease, "heartbeat", {})["cancel"] is False
    with world.db.write() as conn:
        assert requests.cancel(conn, world.principals["other"], rebuild, times.now()) is RebuildState.CANCELLED
    assert api.on(lease, "heartbeat", {})["cancel"] is True
    api.on(lease, "report", api.report(lease).encode(), expect=409, slug="lease-lost")
