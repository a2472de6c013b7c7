"""Files that survive a power cut: created once and never overwritten, or replaced atomically.

What POSIX asks for, as the file systems' developers spell it out:

* a file's bytes are durable after ``fsync`` of the file; its *name* is durable after ``fsync`` of the directory that holds the name;
* a new directory's name needs the same of its parent.

So a new file goes: temporary name, write, ``fsync``; ``link`` to the final name (fails if that exists); ``fsync`` every directory above it.
A final name therefore never has torn bytes, not even after a power cut between the two syncs, and recovery can compare instead of guess.

``fsync`` may fail and then succeed on repetition though the data is lost, so a failure is fatal at once. BUG: a restart reads the page cache,
which may hold what the disk does not; after an input/output error the operator's guide says to reboot the host before starting again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from service.log.errors import DiskFullError, FatalError

_TEMPORARY = ".tmp"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SYNC_THREADS = 6
"""Concurrent syncs share one journal commit of the file system; beyond a few nothing is gained."""


class DurableFolder:
    """A folder that one process writes. Names are relative POSIX paths that the caller made (never from outside)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / _TEMPORARY
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        # A temporary file is a write that nobody was told of.
        for left in self._temporary.iterdir():
            left.unlink()
        self._pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="fsync")
        # Directories whose own name this process has made durable; owned by the sequencing thread.
        self._settled: set[PurePosixPath] = {PurePosixPath(".")}

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def close(self) -> None:
        """End the syncing threads."""
        self._pool.shutdown()

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None when it does not exist."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, files: Mapping[str, bytes]) -> None:
        """Create every file durably. One that exists with the same bytes is fine; with other bytes it stays as it is and FatalError is raised.

        Raises DiskFullError when there is no room (some files may exist then; doing it again completes the set).
        """
        names = list(files)
        temporary = [self._temporary / str(number) for number in range(len(names))]
        with _full_is_told(), _removed(temporary):
            fresh = []
            for name, path in zip(names, temporary, strict=True):
                if (existing := self.read(name)) is None:
                    fresh.append((name, path, _write(path, files[name])))
                else:
                    _compare(name, existing, files[name])
            self._sync(descriptor for _, _, descriptor in fresh)
            # A crash here leaves temporary files, which the next start removes.
            for name, path, _ in fresh:
                self._link(path, self._root / name, files[name])
        # A crash here leaves complete files whose names may vanish with a power cut; staging still has their content.
        self._sync_names(names)

    def replace(self, name: str, data: bytes) -> None:
        """Replace one file atomically and durably: a reader sees the old bytes or the new ones."""
        path = self._temporary / "replacement"
        with _full_is_told(), _removed([path]):
            self._sync([_write(path, data, mode=0o644)])
            path.rename(self._root / name)
        # A crash here shows the new file; a power cut may bring back the old one, which recovery replaces again.
        self._sync_names([name])

    def _link(self, path: Path, final: Path, data: bytes) -> None:
        self._make_folder(final.parent)
        try:
            os.link(path, final)
        except FileExistsError:
            _compare(final.name, final.read_bytes(), data)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir()
            folder.chmod(0o755)  # the log is public whatever the umask

    def _sync(self, descriptors: Iterable[int]) -> None:
        for done in list(self._pool.map(_sync_and_close, list(descriptors))):
            if done is not None:
                raise FatalError(f"fsync failed ({done.strerror}): what is on disk is unknown") from done

    def _sync_names(self, names: Iterable[str]) -> None:
        folders = {PurePosixPath(name).parent for name in names}
        for folder in list(folders):
            while folder not in self._settled:
                self._settled.add(folder)
                folder = folder.parent  # noqa: PLW2901  # walks up to the first parent whose name is durable
                folders.add(folder)
        self._sync(os.open(self._root / folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders)


def free_bytes(path: Path) -> int:
    """Bytes that this process may still write on the file system of ``path``."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def _write(path: Path, data: bytes, *, mode: int = 0o444) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(descriptor, mode)  # the log is public whatever the umask
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_and_close(descriptor: int) -> OSError | None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None


def _compare(name: str, existing: bytes, wanted: bytes) -> None:
    if existing != wanted:
        raise FatalError(f"{name} exists with other bytes; a file of the log is never overwritten")


@contextlib.contextmanager
def _removed(paths: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _full_is_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError("the disk of the log is full") from error
        raise FatalError(f"cannot write the log's files: {error.strerror}") from error
