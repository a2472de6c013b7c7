"""The worker's side of the worker api: retries, problems, blobs, and answers that nobody agreed on."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reprove.core.digests import sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, ProblemError, Slug
from tests.sim.workerapi import TOKEN, SimWorkerApi
from workers.client import LeaseLostError, WorkerApiError, WorkerClient
from workers.inputs.store import InputStore

ATTEMPT, KEY = "at-" + "0" * 20, "0" * 64


@pytest.fixture
def client(api: SimWorkerApi) -> Iterator[Any]:
    made = WorkerClient(api.url, TOKEN, patience=1.0)
    yield made
    made.close()


def failing(api: SimWorkerApi, times: int, status: int = 503, slug: Any = "unavailable") -> Any:
    """Answer the next ``times`` calls with a problem."""
    left = [times]

    def fail(_method: Any, _path: Any) -> Any:
        left[0] -= 1
        return (status, slug) if left[0] >= 0 else None

    api.fail = fail


def test_a_claim_carries_what_is_to_be_done(client: WorkerClient, api: SimWorkerApi) -> None:
    envelope = Envelope(b"{}", (b"x",))
    api.resolution, api.kind = {"id": envelope.id, "envelope": envelope.as_json()}, "rebuild"
    claim = client.claim(ATTEMPT, KEY)
    assert claim is not None
    assert (claim.attempt, claim.kind, claim.purl, claim.resolution, claim.resolution_id) == (ATTEMPT, "rebuild", api.purl, envelope, envelope.id)
    assert claim.limits["time"] == 60
    assert client.claim(ATTEMPT, KEY) is None


@pytest.mark.parametrize("times", [1, 3])
def test_a_moments_trouble_is_ridden_out(client: WorkerClient, api: SimWorkerApi, times: int) -> None:
    failing(api, times)
    assert client.heartbeat("lease-1").cancel is False


def test_trouble_that_lasts_ends_after_the_clients_patience(client: WorkerClient, api: SimWorkerApi) -> None:
    failing(api, 10**6)
    started = time.monotonic()
    with pytest.raises(WorkerApiError):
        client.heartbeat("lease-1")
    assert time.monotonic() - started < 3


def test_a_service_that_is_gone_is_an_error_with_one_name(tmp_path: Path) -> None:
    client = WorkerClient("http://127.0.0.1:1", TOKEN, patience=0.2)
    with pytest.raises(WorkerApiError):
        client.heartbeat("lease-1")
    with pytest.raises(WorkerApiError):
        client.get_blob("lease-1", sha256(b"x"), InputStore(tmp_path), max_bytes=10)


def test_a_service_that_restarts_is_reached_again(api: SimWorkerApi) -> None:
    client = WorkerClient(api.url, TOKEN, patience=5)
    client.heartbeat("lease-1")
    client._connection().sock.shutdown(2)
    client.heartbeat("lease-1")
    client.close()


@pytest.mark.parametrize(
    ("status", "slug"),
    [(401, Slug.UNAUTHENTICATED), (403, Slug.FORBIDDEN), (413, Slug.TOO_LARGE), (422, Slug.DIGEST_MISMATCH), (507, Slug.STORAGE_FULL)],
)
def test_a_problem_is_an_answer_and_not_tried_again(client: WorkerClient, api: SimWorkerApi, status: int, slug: Any) -> None:
    failing(api, 10**6, status, slug)
    with pytest.raises(ProblemError) as caught:
        client.heartbeat("lease-1")
    assert caught.value.problem.slug is slug
    assert len(api.calls) == 1


def test_a_lost_lease_has_its_own_error_wherever_it_shows(client: WorkerClient, api: SimWorkerApi, tmp_path: Path) -> None:
    api.lost = True
    envelope = Envelope(b"{}", (b"x",))
    for call in (
        lambda: client.heartbeat("lease-1"),
        lambda: client.log("lease-1", 0, b"x"),
        lambda: client.report("lease-1", envelope),
        lambda: client.resolution("lease-1", envelope),
        lambda: client.reject("lease-1", "unknown-package", "x"),
        lambda: client.release("lease-1", "x"),
    ):
        with pytest.raises(LeaseLostError):
            call()


def test_only_missing_blobs_are_uploaded_and_fetched_ones_are_checked(client: WorkerClient, api: SimWorkerApi, tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    data = [b"one", b"two" * 100_000]
    digests = [sha256(one) for one in data]
    (tmp_path / "two").write_bytes(data[1])
    api.blobs[digests[0]] = data[0]
    client.upload("lease-1", {digests[0]: data[0], digests[1]: tmp_path / "two"})
    assert [call for call in api.calls if call.startswith("PUT")] == [f"PUT /w/v1/blobs/sha256:{digests[1]}"]
    for digest, one in zip(digests, data, strict=True):
        assert client.get_blob("lease-1", digest, store, max_bytes=10**6).path.read_bytes() == one
    with pytest.raises(ProblemError, match="sim says not-found"):
        client.get_blob("lease-1", sha256(b"other"), store, max_bytes=10)


def test_a_service_that_answers_other_bytes_is_not_believed(client: WorkerClient, api: SimWorkerApi, tmp_path: Path) -> None:
    wrong = sha256(b"wanted")
    api.blobs[wrong] = b"something else"
    with pytest.raises(ProblemError) as caught:
        client.get_blob("lease-1", wrong, InputStore(tmp_path), max_bytes=100)
    assert caught.value.problem.slug is Slug.DIGEST_MISMATCH
    assert not InputStore(tmp_path).has(wrong)
    api.blobs[wrong] = b"x" * 101
    with pytest.raises(ProblemError) as caught:
        client.get_blob("lease-1", wrong, InputStore(tmp_path), max_bytes=100)
    assert caught.value.problem.slug is Slug.TOO_LARGE


def test_the_log_is_sent_in_pieces_at_their_offsets(client: WorkerClient, api: SimWorkerApi) -> None:
    text = bytes(range(256)) * 3000
    client.log("lease-1", 0, text[:1000])
    client.log("lease-1", 1000, text[1000:])
    assert bytes(api.log) == text


@pytest.mark.parametrize("answer", [{}, [], {"lease_seconds": "x"}, {"lease_seconds": 1}])
def test_an_answer_of_another_shape_is_one_error(client: WorkerClient, api: SimWorkerApi, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimWorkerApi, "answer", lambda *_a: (200, answer))
    with pytest.raises(WorkerApiError, match="than agreed"):
        client.heartbeat("lease-1")


def test_a_problem_that_is_none_is_one_error(client: WorkerClient, api: SimWorkerApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimWorkerApi, "answer", lambda *_a: (400, b"<html>proxy error"))
    with pytest.raises(WorkerApiError, match="answered 400"):
        client.heartbeat("lease-1")


def test_threads_share_a_client(client: WorkerClient, api: SimWorkerApi) -> None:
    threads = [threading.Thread(target=lambda: (client.heartbeat("lease-1"), client.close())) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert api.beats == 8


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:1", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(OwnError):
        WorkerClient(url, TOKEN)


def test_a_store_never_shows_a_file_that_is_not_whole(tmp_path: Path) -> Iterator[Any]:
    store = InputStore(tmp_path)
    data = b"data" * 1000

    def broken() -> Iterator[Any]:
        yield data[:100]
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        store.put_stream(broken(), max_bytes=10**6, sha256=sha256(data))
    assert not store.has(sha256(data))
    assert list((tmp_path / "tmp").iterdir()) == []
    stored = store.put_stream([data], max_bytes=10**6, sha256=sha256(data))
    assert store.put(data) == stored
    assert hashlib.sha256(stored.path.read_bytes()).hexdigest() == stored.sha256
    assert stored.path.stat().st_mode & 0o222 == 0
    (tmp_path / "tmp" / "left").write_bytes(b"x")
    (tmp_path / "tmp" / "fresh").write_bytes(b"x")
    os.utime(tmp_path / "tmp" / "left", (1, 1))
    store.clean()
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["fresh"]


@pytest.mark.parametrize("digest", ["", "x", "../../etc/passwd", "A" * 64, "0" * 63])
def test_a_store_knows_only_digests(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ProblemError):
        InputStore(tmp_path).path(digest)


def test_heartbeat_bodies_are_what_the_service_reads(client: WorkerClient, api: SimWorkerApi) -> None:
    client.heartbeat("lease-1", [{"phase": "build", "status": "done", "detail": "x", "seconds": 1.5}], {"reason": "engine", "detail": "none"})
    assert json.loads(json.dumps(api.events)) == [{"phase": "build", "status": "done", "detail": "x", "seconds": 1.5}]
    assert api.waiting == [{"reason": "engine", "detail": "none"}]
