"""Durable files when the disk misbehaves. Each write fails in two ways: not done, and done but reported as failed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.log import durable
from service.log.durable import DurableFolder
from service.log.errors import DiskFullError, FatalError

FILES = {"tile/0/000.p/1": b"a", "tile/entries/x001/000": b"b", "tile/1/000": b"c"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DurableFolder]:
    made = DurableFolder(tmp_path)
    yield made
    made.close()


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_files_are_created_once_and_may_be_created_again_identically(folder: DurableFolder) -> None:
    folder.create(FILES)
    folder.create(FILES)
    assert {name: folder.read(name) for name in FILES} == FILES
    assert names(folder.root) == set(FILES)


def test_another_content_is_fatal_and_changes_nothing(folder: DurableFolder) -> None:
    folder.create(FILES)
    with pytest.raises(FatalError, match="never overwritten"):
        folder.create({"tile/2/000": b"d", "tile/1/000": b"other"})
    assert {name: folder.read(name) for name in FILES} == FILES
    assert names(folder.root) == set(FILES)


def test_a_file_that_appears_in_between_is_not_overwritten(folder: DurableFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read = folder.read
    monkeypatch.setattr(folder, "read", lambda _name: None)
    (folder.root / "x").write_bytes(b"theirs")
    with pytest.raises(FatalError, match="never overwritten"):
        folder.create({"x": b"ours"})
    assert read("x") == b"theirs"


def test_temporary_files_of_a_crash_are_removed_at_start(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "0").write_bytes(b"half")
    DurableFolder(tmp_path).close()
    assert names(tmp_path) == set()


def test_every_file_and_every_directory_above_it_is_synced_before_create_returns(folder: DurableFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[int] = set()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.add(os.fstat(descriptor).st_ino), real(descriptor))[1])
    folder.create(FILES)
    for name in FILES:
        path = folder.root / name
        assert path.stat().st_ino in synced
        for parent in path.relative_to(folder.root).parents:
            assert parent == Path() or (folder.root / parent).stat().st_ino in synced
    assert folder.root.stat().st_ino in synced


def test_a_name_appears_only_after_its_bytes_are_synced(folder: DurableFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), real_fsync(fd))[1])
    monkeypatch.setattr(os, "link", lambda a, b: (order.append("link"), real_link(a, b))[1])
    folder.create({"a": b"1"})
    assert order == ["sync", "link", "sync"]


def test_replace_shows_the_old_bytes_or_the_new_ones(folder: DurableFolder) -> None:
    folder.replace("checkpoint", b"1")
    folder.replace("checkpoint", b"22")
    assert folder.read("checkpoint") == b"22"
    assert names(folder.root) == {"checkpoint"}


def failing(real: Callable[..., object], number: int, *, persisted: bool) -> Callable[..., object]:
    def fail(*args: object) -> object:
        if persisted:
            real(*args)
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("persisted", [False, True], ids=["failed", "failed but persisted"])
@pytest.mark.parametrize(("call", "number", "expected"), [
    ("fsync", errno.EIO, FatalError),
    ("fsync", errno.ENOSPC, FatalError),  # the data may be gone whatever the number says
    ("link", errno.ENOSPC, DiskFullError),
    ("link", errno.EIO, FatalError),
    ("write", errno.ENOSPC, DiskFullError),
    ("write", errno.EDQUOT, DiskFullError),
    ("write", errno.EIO, FatalError),
])  # fmt: skip
def test_a_failed_call_is_told_and_can_be_done_again(
    folder: DurableFolder, monkeypatch: pytest.MonkeyPatch, call: str, number: int, expected: type[Exception], persisted: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, call, failing(getattr(os, call), number, persisted=persisted))
        with pytest.raises(expected):
            folder.create(FILES)
    left = {name: folder.read(name) for name in FILES}
    assert all(data in (None, FILES[name]) for name, data in left.items())
    assert not list((folder.root / ".tmp").iterdir())
    folder.create(FILES)
    assert {name: folder.read(name) for name in FILES} == FILES


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_replacement_keeps_the_old_bytes(folder: DurableFolder, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    folder.replace("checkpoint", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "write", failing(os.write, number, persisted=False))
        with pytest.raises((DiskFullError, FatalError)):
            folder.replace("checkpoint", b"new")
    assert folder.read("checkpoint") == b"old"
