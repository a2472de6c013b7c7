"""The lease is kept while it is ours, and whatever ends it stops the work: lost, cancelled, unreachable, shutting down."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprove.core.errors import OwnError
from reprove.core.states import Phase
from reprove.settings import Settings
from reprove.signers import FileSigner
from tests.sim.workerapi import TOKEN, SimWorkerApi
from tests.workers.processes import until
from workers import jobs
from workers.client import LeaseLostError, WorkerClient
from workers.context import WorkerContext
from workers.heartbeat import Heartbeat
from workers.sandbox import EngineUnavailableError

ATTEMPT = "at-" + "0" * 20


@pytest.fixture
def client(api: SimWorkerApi) -> Iterator[Any]:
    made = WorkerClient(api.url, TOKEN, patience=0.3)
    yield made
    made.close()


def beating(client: WorkerClient, api: SimWorkerApi, *, seconds: float = 0.6) -> Any:
    api.lease_seconds = seconds
    return Heartbeat(client, "lease-1", interval=0.1, lease_seconds=seconds)


def test_it_beats_and_hands_over_every_event_in_order(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api) as heartbeat:
        with heartbeat.phase(Phase.FETCH, candidate=1) as notes:
            notes["detail"] = "2 inputs"
        with pytest.raises(ValueError, match="x"), heartbeat.phase(Phase.BUILD):
            raise ValueError("x")
        until(lambda: api.beats > 4)
        heartbeat.event(Phase.REPORT, "started", "y" * 1000)
    rows = [(row["phase"], row["status"], row["detail"][:10]) for row in api.events]
    assert rows == [
        ("fetch", "started", ""),
        ("fetch", "done", "2 inputs"),
        ("build", "started", ""),
        ("build", "failed", "ValueError"),
        ("report", "started", "y" * 10),
    ]
    assert len(api.events[-1]["detail"]) == 400


@pytest.mark.parametrize("how", ["lost", "cancel"])
def test_a_lost_or_cancelled_lease_calls_back_once_and_stops_the_work(client: WorkerClient, api: SimWorkerApi, how: str) -> None:
    called = []
    with beating(client, api) as heartbeat:
        heartbeat.on_lost(lambda: called.append(1))
        forget = heartbeat.on_lost(lambda: called.append(2))
        forget()
        heartbeat.check()
        setattr(api, how, True)
        with pytest.raises(LeaseLostError):
            heartbeat.pause(10)
        until(lambda: called)
        with pytest.raises(LeaseLostError):
            heartbeat.check()
        heartbeat.on_lost(lambda: called.append(3))
    assert called == [1, 3]
    assert not heartbeat.draining


def test_a_callback_that_fails_does_not_keep_others_from_running(client: WorkerClient, api: SimWorkerApi) -> None:
    called = []
    with beating(client, api) as heartbeat:
        heartbeat.on_lost(lambda: 1 / 0)
        heartbeat.on_lost(lambda: called.append(1))
        api.lost = True
        until(lambda: called)


def test_a_service_out_of_reach_for_as_long_as_the_lease_lasts_is_a_lost_lease(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api) as heartbeat:
        until(lambda: api.beats)
        api.fail = lambda _m, _p: (503, "unavailable")
        started = time.monotonic()
        with pytest.raises(LeaseLostError, match="could not be reached"):
            heartbeat.pause(10)
        assert 0.3 < time.monotonic() - started < 5


def test_a_service_that_hangs_is_out_of_reach_too(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api, seconds=2) as heartbeat:
        until(lambda: api.beats)
        api.fail = lambda _m, _p: time.sleep(20)  # type: ignore[func-returns-value]
        started = time.monotonic()
        with pytest.raises(LeaseLostError, match="could not be reached"):
            heartbeat.pause(15)
        assert time.monotonic() - started < 6


def test_a_short_outage_is_not(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api, seconds=3) as heartbeat:
        until(lambda: api.beats)
        api.fail = lambda _m, _p: (503, "unavailable")
        time.sleep(0.5)
        api.fail = lambda _m, _p: None
        beats = api.beats
        until(lambda: api.beats > beats + 2)
        heartbeat.check()


def test_after_the_report_a_late_heartbeat_is_no_lost_lease(client: WorkerClient, api: SimWorkerApi) -> None:
    called = []
    with beating(client, api) as heartbeat:
        heartbeat.on_lost(lambda: called.append(1))
        until(lambda: api.beats)
        heartbeat._stop = True
        api.lost = True
    assert called == []


def test_waiting_is_said_and_taken_back(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api) as heartbeat:
        heartbeat.waiting("environment", "trixie-python is not made yet")
        until(lambda: api.waiting and api.waiting[-1])
        assert api.waiting[-1] == {"reason": "environment", "detail": "trixie-python is not made yet"}
        heartbeat.waiting(None)
        until(lambda: api.waiting[-1] is None)


def test_without_an_engine_the_attempt_waits_says_why_and_goes_on_when_one_is_there(client: WorkerClient, api: SimWorkerApi) -> Any:
    tries = []

    def opening() -> Any:
        tries.append(1)
        if len(tries) < 4:
            raise EngineUnavailableError("no answer from the container engine")
        return "engine"

    with beating(client, api) as heartbeat:
        assert jobs.wait_for_engine(opening, heartbeat, look=0.15) == "engine"
        until(lambda: api.waiting[-1] is None)
    assert {"reason": "engine", "detail": "no answer from the container engine"} in api.waiting


def test_an_attempt_that_waits_for_an_engine_can_be_cancelled(client: WorkerClient, api: SimWorkerApi) -> None:
    def opening() -> None:
        raise EngineUnavailableError("none")

    with beating(client, api) as heartbeat:
        threading.Timer(0.3, setattr, (api, "cancel", True)).start()
        with pytest.raises(LeaseLostError):
            jobs.wait_for_engine(opening, heartbeat, look=5)


@pytest.fixture
def runtime(api: SimWorkerApi, signer: FileSigner, tmp_path: Path) -> Iterator[Any]:
    settings = Settings(home=tmp_path, worker_port=int(api.url.rpartition(":")[2]), heartbeat_seconds=1, lease_seconds=3)
    made = jobs.Runtime(settings=settings, name="resolver", kind="resolve", signer=signer, token=TOKEN, instance="0" * 16)
    jobs.configure(made)
    yield made
    jobs._runtime = None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OwnError("disk gone"), "OwnError: disk gone"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left"),
        (KeyError("x"), "internal error: KeyError"),
    ],
)
def test_a_fault_of_ours_gives_the_attempt_back(runtime: jobs.Runtime, api: SimWorkerApi, error: Any, reason: str) -> None:
    def run(_context: Any) -> None:
        raise error

    jobs._attempt("resolve", ATTEMPT, run)
    ((what, body),) = api.ended
    assert what == "release"
    assert body["retry"] is True
    assert body["reason"].startswith(reason)


def test_a_lost_lease_ends_quietly(runtime: jobs.Runtime, api: SimWorkerApi) -> None:
    def run(context: WorkerContext) -> None:
        api.lost = True
        context.client.release(context.lease, "x")

    jobs._attempt("resolve", ATTEMPT, run)
    assert api.ended == []


def test_sigterm_gives_the_attempt_back_and_restores_the_handler(runtime: jobs.Runtime, api: SimWorkerApi) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run(context: WorkerContext) -> None:
        signal.raise_signal(signal.SIGTERM)
        context.heartbeat.pause(5)

    jobs._attempt("resolve", ATTEMPT, run)
    assert api.ended == [("release", {"reason": "the worker is shutting down", "retry": True, "drained": True})]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_service_that_is_away_at_the_claim_is_no_failure(runtime: jobs.Runtime, api: SimWorkerApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CLAIM_SECONDS", 0.2)
    api.fail = lambda _m, _p: (503, "unavailable")
    jobs._attempt("resolve", ATTEMPT, lambda _context: pytest.fail("ran"))


def test_what_cannot_be_claimed_is_left_alone(runtime: jobs.Runtime, api: SimWorkerApi) -> None:
    api.claimable = False
    jobs._attempt("resolve", ATTEMPT, lambda _context: pytest.fail("ran"))
    assert api.ended == []


def test_a_process_runs_only_its_own_kind(runtime: jobs.Runtime) -> None:
    with pytest.raises(OwnError, match="kind rebuild"):
        jobs.rebuild(ATTEMPT)
    jobs.configure(replace(runtime, kind="rebuild"))
    with pytest.raises(OwnError, match="kind resolve"):
        jobs.resolve(ATTEMPT)


def test_the_end_of_an_attempt_tells_what_happened_first_and_is_no_lost_lease(client: WorkerClient, api: SimWorkerApi) -> None:
    called: list[int] = []
    with beating(client, api) as heartbeat:
        heartbeat.on_lost(lambda: called.append(1))
        heartbeat.event(Phase.REPORT, "done", "stored")
        with heartbeat.ending():
            told = [event["detail"] for event in api.events]
            api.lost = True
        time.sleep(0.3)
        assert told == ["stored"]
        assert not heartbeat.lost
    assert called == []


def test_an_end_that_fails_leaves_the_lease_watched(client: WorkerClient, api: SimWorkerApi) -> None:
    with beating(client, api) as heartbeat:
        with pytest.raises(ValueError, match="no"), heartbeat.ending():
            raise ValueError("no")
        api.lost = True
        until(lambda: heartbeat.lost)
