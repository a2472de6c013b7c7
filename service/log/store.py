"""``log.db``: the sequencer's memory of what it signed. Trusted; the folder of tiles is not (sunlight's lock backend).

SQLite, WAL, ``synchronous=FULL``. Tables: ``head`` (the newest signed checkpoint, changed only by compare-and-swap), ``staged`` (the entries
of a batch that is committed but not yet published, at most one), ``entry`` (strict deduplication by PAE id), ``checkpoint`` (every
checkpoint ever signed, with its first and its newest cosigned form), ``meta``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from reprove.crashpoints import crash_point
from service.log.errors import DiskFullError, FatalError, StateError

SCHEMA_VERSION = "1"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
                   epoch INTEGER NOT NULL) STRICT;
CREATE TABLE staged (one INTEGER PRIMARY KEY CHECK (one = 1), start INTEGER NOT NULL, leaves BLOB NOT NULL) STRICT;
CREATE TABLE entry (id BLOB PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, root BLOB NOT NULL, note TEXT NOT NULL, first TEXT, newest TEXT) STRICT;
"""
_LENGTH = struct.Struct(">I")
_CHUNK = 2048
"""Rows in one statement. Each step of a statement gives Python's lock away and waits for it again, so one step must do much."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest signed checkpoint: size, root and the note with the log's signature alone."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Staged:
    """A committed batch that is not published yet: the entries from ``start`` up to the head."""

    start: int
    leaves: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint of the history in the first form that a quorum cosigned."""

    size: int
    note: str


class LogStore:
    """One open ``log.db``. Writes come from the sequencing thread alone; look-ups may come from any thread."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StateError(f"there is no log at {path}; `reprove init` makes one, nothing else does")
        real = Path(os.path.realpath(path))
        self.folder = real.parent
        self._connection = _connect(real)
        self._reader = _connect(real)
        self._reader_lock = threading.Lock()
        version = self.meta("schema")
        if version != SCHEMA_VERSION:
            raise StateError(f"{path} has schema {version}, this program reads {SCHEMA_VERSION}; it is of another version")
        self._epoch = self._begin_epoch()

    def close(self) -> None:
        """Close the database; nothing is pending."""
        self._reader.close()
        self._connection.close()

    def meta(self, key: str) -> str | None:
        """Return one fact that was fixed when the log was made (``origin``, ``vkey``, ``instance``, ``schema``)."""
        with self._reader_lock:
            row = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def head(self) -> Head:
        """Return the newest signed checkpoint."""
        row = self._connection.execute("SELECT size, root, note FROM head").fetchone()
        return Head(*row)

    def staged(self) -> Staged | None:
        """Return the batch that is committed and not yet published."""
        row = self._connection.execute("SELECT start, leaves FROM staged").fetchone()
        return None if row is None else Staged(row[0], tuple(_unpack(row[1])))

    def find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each id that is committed already. For the sequencing thread: its connection keeps its cache from batch to batch."""
        found: dict[bytes, int] = {}
        for at in range(0, len(ids), _CHUNK):
            some = ids[at : at + _CHUNK]
            marks = ",".join("?" * len(some))
            found.update(self._connection.execute(f"SELECT id, position FROM entry WHERE id IN ({marks})", some))  # noqa: S608  # marks only
        return found

    def position(self, attestation: bytes) -> int | None:
        """Return the index of one id, or None. For any thread."""
        with self._reader_lock:
            row = self._reader.execute("SELECT position FROM entry WHERE id = ?", (attestation,)).fetchone()
        return None if row is None else int(row[0])

    def covering(self, index: int) -> Published | None:
        """Return the first published checkpoint that covers entry ``index``."""
        return self._published("SELECT size, first FROM checkpoint WHERE size > ? AND first IS NOT NULL ORDER BY size LIMIT 1", index)

    def before(self, index: int) -> str | None:
        """Return the last published checkpoint that does not cover entry ``index``: the entry is younger than its cosignatures."""
        found = self._published("SELECT size, newest FROM checkpoint WHERE size <= ? AND first IS NOT NULL ORDER BY size DESC LIMIT 1", index)
        return found.note if found else None

    def published(self, size: int) -> Published | None:
        """Return the published checkpoint of exactly ``size``, in its newest form."""
        return self._published("SELECT size, newest FROM checkpoint WHERE size = ? AND first IS NOT NULL", size)

    def root_of(self, size: int) -> bytes:
        """Return the root that was signed for ``size``; FatalError when none was."""
        row = self._connection.execute("SELECT root FROM checkpoint WHERE size = ?", (size,)).fetchone()
        if row is None:
            raise FatalError(f"log.db has no checkpoint of size {size}")
        return bytes(row[0])

    def stage(self, old: Head, new: Head, leaves: Sequence[bytes], ids: Sequence[bytes]) -> None:
        """Commit a batch: its entries, their ids and the signed checkpoint, if the head is still ``old`` and this process still owns the log.

        Raises DiskFullError with nothing changed, FatalError when another process moved the head or the commit's fate is unknown.
        """
        rows = sorted(zip(ids, range(old.size, new.size), strict=True))  # in the order of the index: neighbours share pages
        with self._transaction():
            changed = self._connection.execute(
                "UPDATE head SET size = ?, root = ?, note = ? WHERE size = ? AND root = ? AND epoch = ?",
                (new.size, new.root, new.note, old.size, old.root, self._epoch),
            ).rowcount
            if changed != 1:
                raise FatalError("another sequencer moved the head of this log; this one stops")
            self._connection.execute("INSERT INTO staged (one, start, leaves) VALUES (1, ?, ?)", (old.size, _pack(leaves)))
            for at in range(0, len(rows), _CHUNK):
                some = rows[at : at + _CHUNK]
                marks = ",".join(["(?, ?)"] * len(some))
                self._connection.execute(f"INSERT INTO entry (id, position) VALUES {marks}", list(chain.from_iterable(some)))  # noqa: S608  # marks only
            self._connection.execute("INSERT INTO checkpoint (size, root, note) VALUES (?, ?, ?)", (new.size, new.root, new.note))
            # A crash here loses the batch: nothing of it was shown to anybody, and the signature dies with the process.
            crash_point("log.staged")
        # This was the commit point. From here on the batch is part of the log whatever happens; a crash here is finished by recovery.
        crash_point("log.committed")

    def settle(self, size: int, cosigned: str) -> None:
        """Record that the checkpoint of ``size`` is published, in the form ``cosigned``, and drop the staged batch.

        Not synced on its own: a power cut that loses it brings the staged batch back, and applying it again changes nothing.
        """
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                self._connection.execute("DELETE FROM staged")
                self._connection.execute("UPDATE checkpoint SET first = coalesce(first, ?), newest = ? WHERE size = ?", (cosigned, cosigned, size))
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

    def _published(self, query: str, index: int) -> Published | None:
        with self._reader_lock:
            row = self._reader.execute(query, (index,)).fetchone()
        return None if row is None else Published(*row)

    def _begin_epoch(self) -> int:
        with self._transaction():
            self._connection.execute("UPDATE head SET epoch = epoch + 1")
        return int(self._connection.execute("SELECT epoch FROM head").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorname == "SQLITE_FULL":
                # SQLite undoes the whole transaction when a write finds no room.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise DiskFullError("the disk of log.db is full") from error
            # An input/output error may have hit the sync of the commit: nobody knows whether it is durable.
            raise FatalError(f"log.db: {error}; whether the batch is committed is known after a restart") from error
        except FatalError:
            connection.execute("ROLLBACK")
            raise


def create(path: Path, *, meta: dict[str, str], head: Head) -> None:
    """Make a new ``log.db`` with its first signed checkpoint, never over an existing one (StateError)."""
    real = Path(os.path.realpath(path))
    if real.exists():
        raise StateError(f"there is a log at {path} already")
    temporary = real.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    connection = _connect(temporary)
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", [("schema", SCHEMA_VERSION), *meta.items()])
    connection.execute("INSERT INTO head (one, size, root, note, epoch) VALUES (1, ?, ?, ?, 0)", (head.size, head.root, head.note))
    connection.execute("INSERT INTO checkpoint (size, root, note) VALUES (?, ?, ?)", (head.size, head.root, head.note))
    connection.execute("COMMIT")
    connection.close()
    # A crash before the rename leaves no log.db: init begins again.
    temporary.rename(real)
    folder = os.open(real.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def require_unused(path: Path, vkey: str) -> None:
    """Accept an existing ``log.db`` only when it is of this key and nothing was ever logged in it; StateError else."""
    connection = _connect(Path(os.path.realpath(path)))
    try:
        (found,) = connection.execute("SELECT value FROM meta WHERE key = 'vkey'").fetchone()
        (used,) = connection.execute("SELECT count(*) FROM checkpoint WHERE size > 0 OR first IS NOT NULL").fetchone()
    finally:
        connection.close()
    if found != vkey or used:
        raise StateError(f"there is a log at {path} already: {found}")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    # 32 MiB of journal before it is folded into the database: folding costs two syncs that some submitter waits for.
    connection.execute("PRAGMA wal_autocheckpoint = 8192")
    return connection


def _pack(leaves: Iterable[bytes]) -> bytes:
    return b"".join(part for leaf in leaves for part in (_LENGTH.pack(len(leaf)), leaf))


def _unpack(blob: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(blob):
        (length,) = _LENGTH.unpack_from(blob, at)
        yield blob[at + 4 : at + 4 + length]
        at += 4 + length
