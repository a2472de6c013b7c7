"""Blobs: visible only whole, never half-written on a full disk, gone only when nobody refers to them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reprove.core.digests import sha256
from reprove.core.errors import ProblemError
from service.records import blobs, times
from service.records.blobstore import BlobStore, open_store
from service.scheduling.janitor import Janitor
from tests.service.world import World

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_store(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, made by this test and nobody else's."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "reprove-test", str(folder)], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def files(store: BlobStore) -> list[str]:
    return [path.name for path in store.root.rglob("*") if path.is_file()]


def slug(caught: pytest.ExceptionInfo[ProblemError]) -> str:
    return caught.value.problem.slug


def test_a_blob_is_stored_once_and_read_back(store: BlobStore) -> None:
    data = os.urandom(600_000)
    digest = sha256(data)
    first = store.put(io.BytesIO(data), digest, len(data))
    assert (first.size, first.created) == (len(data), True)
    assert store.put(io.BytesIO(data), digest, len(data)).created is False
    assert store.put_bytes(data) == digest
    assert files(store) == [digest]
    with store.open(digest) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert store.read(digest, max_bytes=len(data)) == data


@pytest.mark.parametrize(
    ("data", "name", "limit", "expected"),
    [(b"x", sha256(b"y"), 10, "digest-mismatch"), (b"x" * 11, sha256(b"x" * 11), 10, "too-large"), (b"x", "../../etc", 10, "invalid-request")],
)
def test_what_is_refused_leaves_nothing(store: BlobStore, data: bytes, name: str, limit: int, expected: str) -> None:
    with pytest.raises(ProblemError) as caught:
        store.put(io.BytesIO(data), name, limit)
    assert slug(caught) == expected
    assert files(store) == []


def test_a_missing_and_a_damaged_blob_are_said(store: BlobStore) -> None:
    digest = store.put_bytes(b"good")
    with pytest.raises(ProblemError) as caught:
        store.open("ab" * 32)
    assert slug(caught) == "not-found"
    store.path(digest).write_bytes(b"evil")
    with pytest.raises(ProblemError) as caught:
        store.read(digest, max_bytes=10)
    assert slug(caught) == "digest-mismatch"
    with pytest.raises(ProblemError) as caught:
        store.read(digest, max_bytes=3)
    assert slug(caught) == "too-large"


@pytest.mark.parametrize("odd", ["link", "fifo", "folder"])
def test_what_is_no_plain_file_is_no_blob_and_hangs_nobody(store: BlobStore, tmp_path: Path, odd: str) -> None:
    """Another account of the records group may write below the store."""
    path = store.path("ab" * 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    {"link": lambda: path.symlink_to(secret), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[odd]()
    with pytest.raises(ProblemError) as refused:
        store.open("ab" * 32)
    assert slug(refused) == "not-found"


def test_a_full_disk_is_507_and_nothing_half_written(small_disk: Path) -> None:
    store = open_store(small_disk)
    small = store.put_bytes(b"small")
    big = os.urandom(2 * 1024 * 1024)
    with pytest.raises(ProblemError) as caught:
        store.put(io.BytesIO(big), sha256(big), len(big))
    assert (slug(caught), caught.value.problem.slug.status) == ("storage-full", 507)
    assert files(store) == [small]
    assert store.read(small, max_bytes=10) == b"small"


def test_a_nearly_full_disk_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    class Untouchable(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("it was read")

    open_store(tmp_path)
    store = BlobStore(tmp_path / "blobs", min_free=2**62)
    with pytest.raises(ProblemError) as caught:
        store.put(Untouchable(b"x"), sha256(b"x"), 1)
    assert slug(caught) == "storage-full"


def test_records_on_a_full_disk_say_so_and_keep_what_they_had(small_disk: Path) -> None:
    world = World.make(small_disk)
    accepted: list[str] = []

    def fill() -> None:
        for number in range(5000):
            accepted.append(world.accept(f"pkg:pypi/demo{number}@1.0", key=f"k{number}", body={"purl": "x" * 2000, "n": number}).rebuild_id)

    with pytest.raises(ProblemError) as caught:
        fill()
    assert slug(caught) == "storage-full"
    assert accepted
    assert {row.id for row in world.sql("SELECT id FROM rebuild")} == set(accepted)
    assert world.sql("PRAGMA integrity_check")[0][0] == "ok"
    world.db.close()


def test_any_failed_step_of_a_put_leaves_nothing(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("fsync", "link", "fchmod"):
        with monkeypatch.context() as patch:

            def full(*_: object, **__: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, step, full)
            with pytest.raises(ProblemError) as caught:
                store.put_bytes(b"data")
            assert slug(caught) == "storage-full"
        assert files(store) == []


def test_only_blobs_that_nobody_refers_to_expire_and_only_after_a_day(world: World) -> None:
    now = times.now()
    kept, dropped, fresh = (world.store.put_bytes(data) for data in (b"kept", b"dropped", b"fresh"))
    with world.db.write() as conn:
        for digest, age in ((kept, 2 * DAY), (dropped, 2 * DAY), (fresh, 0 * DAY)):
            blobs.add(conn, world.store, digest, 1, "at-x", now - age)
        blobs.refer(conn, [kept], "rb-x")
        blobs.release(conn, "at-x")
    assert Janitor(world.db, world.store).sweep(now) == 1
    assert [world.store.has(digest) for digest in (kept, dropped, fresh)] == [True, False, True]
    with world.db.read() as conn:
        assert blobs.missing(conn, [kept, dropped, fresh]) == [dropped]


def test_a_blob_that_expired_while_it_was_put_is_not_recorded(world: World) -> None:
    digest = world.store.put_bytes(b"data")
    world.store.remove(digest)
    with pytest.raises(ProblemError) as caught, world.db.write() as conn:
        blobs.add(conn, world.store, digest, 4, "at-x", times.now())
    assert slug(caught) == "unavailable"


def test_what_crashes_left_is_swept_after_a_day(world: World) -> None:
    old = time.time() - 2 * 86400
    orphan, young = world.store.put_bytes(b"no row"), world.store.put_bytes(b"no row yet")
    half = world.store.root / ".put-0123456789abcdef"
    half.write_bytes(b"half")
    for path in (world.store.path(orphan), half):
        os.utime(path, (old, old))
    janitor = Janitor(world.db, world.store)
    assert sum(janitor.sweep(times.now()) for _ in range(256)) == 2
    assert files(world.store) == [young]
