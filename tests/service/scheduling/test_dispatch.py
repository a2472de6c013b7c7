"""Outbox, bell and reconciler against a real Redis: whatever is lost there is found again from SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.records import recovery, requests, times
from service.records.principals import Principal
from service.scheduling.bell import BellError, open_bell
from service.scheduling.dispatcher import dispatch
from service.scheduling.reconciler import Reconciler, stuck
from tests.service.scheduling.conftest import RedisServer
from tests.service.world import World

SECOND = timedelta(seconds=1)


def test_a_request_is_rung_once_and_only_its_id_is_in_redis(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    attempt = world.open_attempt(world.accept().rebuild_id)
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 1
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 0
    assert redis.listed("resolve") == [attempt]
    with redis.connect() as connection:
        job = connection.hgetall(f"rq:job:{attempt}")
    assert b"demo" not in b"".join(job.values())  # type: ignore[union-attr]
    assert world.json(world.accept().rebuild_id)["attempts"][0]["state"] == "dispatched"


def test_a_crash_between_ring_and_mark_rings_once(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    attempt = world.open_attempt(world.accept().rebuild_id)
    dispatch(world.db, bell, workers=1, now=times.now())
    # as if the mark had never been written
    world.execute("UPDATE outbox SET dispatched = NULL")
    world.execute("UPDATE attempt SET state = 'waiting'")
    dispatch(world.db, bell, workers=1, now=times.now())
    assert redis.listed("resolve") == [attempt]


def test_the_list_stays_short_and_the_urgent_come_first(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    api = world.api()
    rebuilds = [world.accept(f"pkg:pypi/demo{n}@1.0", priority=n).rebuild_id for n in range(6)]
    for rebuild in rebuilds:
        api.resolved(rebuild)
    wanted = [world.open_attempt(rebuild) for rebuild in reversed(rebuilds)]
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 2
    assert redis.listed("rebuild-amd64") == wanted[:2]
    api.claim(wanted[0], "rebuild")
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 1
    assert redis.listed("rebuild-amd64") == wanted[:3]


def test_redis_down_keeps_the_rows_and_a_later_ring_delivers_them(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    redis.stop()
    attempt = world.open_attempt(world.accept().rebuild_id)
    with pytest.raises(BellError):
        dispatch(world.db, bell, workers=1, now=times.now())
    assert len(world.sql("SELECT * FROM outbox WHERE dispatched IS NULL")) == 1
    redis.start()
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 1
    assert redis.listed("resolve") == [attempt]


@pytest.mark.parametrize("harm", ["flushall", "taken and dropped", "job failed", "hash only"])
def test_a_ring_that_was_lost_is_rung_again(world: World, redis: RedisServer, harm: str) -> None:
    bell = open_bell(world.settings)
    attempt = world.open_attempt(world.accept().rebuild_id)
    now = times.now()
    dispatch(world.db, bell, workers=1, now=now)
    if harm == "flushall":
        redis.empty()
    elif harm == "taken and dropped":
        redis.take("resolve")
    elif harm == "job failed":
        redis.take("resolve")
        with redis.connect() as connection:
            connection.hset(f"rq:job:{attempt}", "status", "failed")
    else:
        with redis.connect() as connection:
            connection.delete("rq:queue:resolve")
    reconciler = Reconciler(world.db, bell, world.settings)
    assert reconciler.look(now + 30 * SECOND) == 1
    assert dispatch(world.db, bell, workers=1, now=now + 31 * SECOND) == 1
    assert redis.listed("resolve") == [attempt]


def test_a_ring_that_still_stands_in_the_queue_is_left_alone(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    world.accept()
    now = times.now()
    dispatch(world.db, bell, workers=1, now=now)
    assert Reconciler(world.db, bell, world.settings).look(now + timedelta(hours=1)) == 0


def test_flushall_at_every_phase_loses_nothing(world: World, redis: RedisServer) -> None:
    bell, api = open_bell(world.settings), world.api()
    reconciler = Reconciler(world.db, bell, world.settings)
    now = times.now()
    rebuild = world.accept().rebuild_id

    def ring_and_lose(queue: str, step: int) -> str:
        dispatch(world.db, bell, workers=1, now=now + step * 10 * SECOND)
        redis.empty()
        reconciler.look(now + (step * 10 + 2) * SECOND)
        dispatch(world.db, bell, workers=1, now=now + (step * 10 + 3) * SECOND)
        taken = redis.take(queue)
        assert taken is not None
        return taken

    redis.empty()
    lease = api.claim(ring_and_lose("resolve", 1), "resolve")
    redis.empty()
    for data in (b"original", b"source", b"page"):
        api.put(lease, data)
    api.on(lease, "resolution", api.resolution(lease).encode())
    redis.empty()
    lease = api.claim(ring_and_lose("rebuild-amd64", 2), "rebuild")
    redis.empty()
    api.on(lease, "report", api.report(lease).encode())
    assert world.json(rebuild)["state"] == "attesting"
    assert [each["state"] for each in world.json(rebuild)["attempts"]] == ["reported", "reported"]
    assert stuck(world.db) == []


def test_a_lost_worker_is_followed_by_another_attempt_and_cannot_report(world: World, redis: RedisServer) -> None:
    bell, api = open_bell(world.settings), world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    reconciler = Reconciler(world.db, bell, world.settings)
    now = times.now()
    reconciler.look(now)  # the first look is patient: it cannot know whether its own host slept
    assert reconciler.look(now + 2 * SECOND) == 0
    assert reconciler.look(now + 4 * SECOND) == 1
    attempts = world.json(rebuild)["attempts"]
    assert [(each["kind"], each["n"], each["state"]) for each in attempts] == [
        ("resolve", 1, "reported"),
        ("rebuild", 1, "lost"),
        ("rebuild", 2, "waiting"),
    ]
    api.on(lease, "report", api.report(lease).encode(), expect=409, slug="lease-lost")
    api.on(lease, "heartbeat", {}, expect=409, slug="lease-lost")
    api.put(lease, b"late", expect=409, slug="lease-lost")
    assert world.json(rebuild)["state"] == "queued"


def test_retries_spent_end_inconclusive_never_differs(world: World, redis: RedisServer) -> None:
    api = world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    for n in (1, 2, 3):
        lease = api.claim(world.open_attempt(rebuild), "rebuild")
        with world.db.write() as conn:
            late = times.now() + 60 * SECOND
            (row,) = recovery.expired(conn, late)
            assert row.id == lease.body["attempt"]["id"]
            assert row.n == n
            recovery.lose(conn, row, retries=2, now=late)
    row = world.rebuild(rebuild)
    assert (row.state, row.settled_by, row.cause_class) == ("attesting", "infrastructure", "infrastructure")


def test_a_sleeping_host_does_not_lose_its_workers(world: World, redis: RedisServer) -> None:
    bell, api = open_bell(world.settings), world.api()
    rebuild = world.accept().rebuild_id
    api.resolved(rebuild)
    lease = api.claim(world.open_attempt(rebuild), "rebuild")
    reconciler = Reconciler(world.db, bell, world.settings)
    now = times.now()
    reconciler.look(now)
    woken = now + timedelta(hours=1)
    assert reconciler.look(woken) == 0
    with world.db.write() as conn:
        from service.records import fenced

        fenced.heartbeat(conn, lease.token, [], None, now=woken + SECOND / 2, seconds=3)
    assert reconciler.look(woken + 2 * SECOND) == 0
    assert world.json(rebuild)["state"] == "running"


def test_a_cancelled_request_leaves_no_bell(world: World, redis: RedisServer) -> None:
    bell = open_bell(world.settings)
    rebuild = world.accept().rebuild_id
    client: Principal = world.principals["client"]
    with world.db.write() as conn:
        requests.cancel(conn, client, rebuild, times.now())
    assert dispatch(world.db, bell, workers=1, now=times.now()) == 0
    assert world.sql("SELECT * FROM outbox") == []
