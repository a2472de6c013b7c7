"""The records database: SQLite in WAL with synchronous=FULL, one writer at a time, short transactions, group commit.

Writers of one host take a lock file before BEGIN IMMEDIATE, because SQLite's own busy handler polls with sleeps that grow to 100 ms, which
costs tail latency; the lock is advisory and dies with its process, and SQLite's own lock still decides. :meth:`Database.grouped` lets threads
that write at the same time share one transaction and one fsync. A moment when the process dies before COMMIT leaves nothing; after it, everything.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.settings import Settings
from service.records.schema import SCHEMA_VERSION, meta

T = TypeVar("T")

BUSY_SECONDS = 10
POLL_SECONDS = 0.001
MAX_GROUP = 64
"""Most writes that share one transaction: bounds how long the first of them waits."""


class Database:
    """Connections to records.db. Safe to share between threads; must be opened after a fork, never before."""

    def __init__(self, path: Path, *, readers: int = 8) -> None:
        self.path = path
        self._reading = _engine(path, "BEGIN", readers, pragma="query_only=ON")
        self._writing = _engine(path, "BEGIN IMMEDIATE", 1)
        self._writer = threading.Lock()
        self._waiting: deque[_Work[object]] = deque()
        self._lock_file = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot; writing through it is refused by SQLite. Keep it short: it holds back the WAL's checkpoint."""
        with _translated(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One BEGIN IMMEDIATE transaction: durable when the block ends, undone when it raises. Never do anything slow inside.

        Raises ProblemError ``storage-full`` when the disk is, ``unavailable`` when another writer holds the database for 10 s.
        """
        with self._writer, self._among_processes(), _translated(), self._writing.connect() as connection, connection.begin():
            yield connection

    def grouped(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction that it may share with other threads' work: one fsync for all, each in its own savepoint.

        ``work`` may be run in another thread, and must do nothing but SQL. Its result or exception is this call's; when it returns it is durable.
        """
        mine: _Work[T] = _Work(work)
        self._waiting.append(mine)  # type: ignore[arg-type]  # the queue is of any result type
        with self._writer:
            # whoever holds the lock serves everybody who queued meanwhile, in order, so my turn came or comes now
            while not mine.done:
                batch = [self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting)))]
                self._run(batch)
        return mine.outcome()

    def close(self) -> None:
        """Close every connection."""
        self._reading.dispose()
        self._writing.dispose()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def _run(self, batch: list[_Work[object]]) -> None:
        try:
            with self._among_processes(), _translated(), self._writing.connect() as connection, connection.begin():
                for item in batch:
                    item.run(connection, alone=len(batch) == 1)
        except Exception as error:  # noqa: BLE001  # handed to every caller whose work was in the transaction that failed
            for item in batch:
                item.fail(error)
        finally:
            for item in batch:
                item.done = True

    @contextmanager
    def _among_processes(self) -> Iterator[None]:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # whoever holds it that long hangs: SQLite's lock decides then, and answers instead of waiting for ever
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)


class _Work(Generic[T]):
    """One caller's part of a group: what to do and how it ended."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self._result: T | None = None
        self._error: BaseException | None = None
        self.done = False

    def run(self, connection: Connection, *, alone: bool) -> None:
        if alone:
            self._result = self._work(connection)
            return
        try:
            with connection.begin_nested():
                self._result = self._work(connection)
        except OperationalError:  # the disk or the lock: nobody's work in this transaction can be kept
            raise
        except Exception as error:  # noqa: BLE001  # handed to its caller; the savepoint is undone, the others' work is not
            self._error = error

    def fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set, or _error is


def open_database(settings: Settings) -> Database:
    """Open this instance's database.

    Raises OwnError with one line when it is missing, another instance's, newer than this program, or not upgraded yet.
    """
    path = database_path(settings)
    if not path.exists():
        raise OwnError(f"{path} is missing: run `reprove init`")
    database = Database(path, readers=max(8, settings.api_threads))
    try:
        with database.read() as connection:
            facts = {row.key: row.value for row in connection.execute(select(meta))}
    except DatabaseError:
        facts = {}
    try:
        _refuse_foreign(facts, instance_of(settings), path)
    except OwnError:
        database.close()
        raise
    return database


def database_path(settings: Settings) -> Path:
    """Where records.db really lies: SQLite writes its journal beside it, so links are followed first."""
    return (settings.home / "records.db").resolve()


def instance_of(settings: Settings) -> str:
    """The id that `reprove init` gave this state folder: 16 hex characters."""
    try:
        return (settings.home / "instance").read_text().strip()
    except OSError as error:
        raise OwnError(f"{settings.home / 'instance'}: {error.strerror}: run `reprove init`") from None


def _refuse_foreign(facts: dict[str, str], instance: str, path: Path) -> None:
    if "schema" not in facts or "instance" not in facts:
        raise OwnError(f"{path} is not a records database of Reprove, or was never finished: run `reprove init`")
    if facts["instance"] != instance:
        raise OwnError(f"{path} belongs to instance {facts['instance']}, this state folder is instance {instance}: refusing to mix them")
    if int(facts["schema"]) > SCHEMA_VERSION:
        raise OwnError(f"{path} has schema {facts['schema']}, this program knows {SCHEMA_VERSION}: start the newer program")
    if int(facts["schema"]) < SCHEMA_VERSION:
        raise OwnError(f"{path} has schema {facts['schema']}, this program needs {SCHEMA_VERSION}: run `reprove init`, which upgrades it")


def _engine(path: Path, begin: str, connections: int, *, pragma: str | None = None) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3's own: we emit BEGIN ourselves
        for each in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-16000", pragma):
            if each is not None:
                connection.execute(f"PRAGMA {each}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the two faults that a caller can do something about into problems."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "disk is full" in text or "disk I/O error" in text:
            raise ProblemError(Slug.STORAGE_FULL, "the records' disk is full: nothing was written") from error
        if "locked" in text or "busy" in text:
            raise ProblemError(Slug.UNAVAILABLE, "the records are busy: nothing was written, try again") from error
        raise
