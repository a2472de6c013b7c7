"""``witness.db``: for each log that a witness knows, the largest tree that it has cosigned. SQLite, WAL, ``synchronous=FULL``."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from reprove.core import merkle, notes
from reprove.core.notes import VKey
from reprove.crashpoints import crash_point
from service.log.errors import FatalError, StateError

SCHEMA_VERSION = "1"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE log (origin TEXT PRIMARY KEY, vkey TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """The largest tree of a log that this witness cosigned, and its note with both signatures; ``note`` is None before the first."""

    vkey: VKey
    size: int
    root: bytes
    note: str | None


class WitnessState:
    """One open ``witness.db``. A lock makes check and change one step for all threads; a second process is kept out by the write lock of SQLite."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StateError(f"there is no witness at {path}; `reprove init` makes one, nothing else does")
        self._connection = _connect(Path(os.path.realpath(path)))
        self._lock = threading.Lock()
        if self.meta("schema") != SCHEMA_VERSION:
            raise StateError(f"{path} is of another version of this program")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def meta(self, key: str) -> str | None:
        """Return a fact fixed when the witness was made (``vkey``, ``schema``)."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def seen(self, origin: str) -> Seen | None:
        """Return what was last cosigned of a log; None for a log that is not known here."""
        with self._lock:
            return self._seen(origin)

    def origins(self) -> tuple[str, ...]:
        """List the known logs."""
        with self._lock:
            return tuple(row[0] for row in self._connection.execute("SELECT origin FROM log"))

    def advance(self, origin: str, decide: Callable[[Seen], Seen]) -> Seen:
        """Replace what was seen by what ``decide`` makes of it, atomically and durably; whatever ``decide`` raises changes nothing.

        The comparison with the old size and the change are one transaction, else a slower request would roll the witness back (tlog-witness).
        """
        connection = self._connection
        with self._lock:
            try:
                connection.execute("BEGIN IMMEDIATE")
                old = self._seen(origin)
                assert old is not None
                new = decide(old)
                connection.execute("UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?", (new.size, new.root, new.note, origin))
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                if error.sqlite_errorname != "SQLITE_FULL":
                    raise FatalError(f"witness.db: {error}; what is durable is known after a restart") from error
                raise
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        # Durable. A crash here loses only the answer: the log asks again with the old size, is told 409, and comes back with this one.
        crash_point("witness.persisted")
        return new

    def _seen(self, origin: str) -> Seen | None:
        row = self._connection.execute("SELECT vkey, size, root, note FROM log WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Seen(notes.parse_vkey(row[0]), row[1], row[2], row[3])


def require_unused(path: Path, vkey: str) -> None:
    """Accept an existing ``witness.db`` only when it is of this key and has cosigned nothing; StateError else."""
    connection = _connect(Path(os.path.realpath(path)))
    try:
        (found,) = connection.execute("SELECT value FROM meta WHERE key = 'vkey'").fetchone()
        (used,) = connection.execute("SELECT count(*) FROM log WHERE note IS NOT NULL").fetchone()
    finally:
        connection.close()
    if found != vkey or used:
        raise StateError(f"there is a witness at {path} already: {found}")


def create(path: Path, vkey: str, logs: Iterable[VKey]) -> None:
    """Make a new ``witness.db`` for the witness ``vkey``, never over an existing one (StateError)."""
    real = Path(os.path.realpath(path))
    if real.exists():
        raise StateError(f"there is a witness at {path} already")
    temporary = real.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    connection = _connect(temporary)
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", [("schema", SCHEMA_VERSION), ("vkey", vkey)])
    rows = [(vkey.name, str(vkey), 0, merkle.EMPTY_ROOT, None) for vkey in logs]
    connection.executemany("INSERT INTO log (origin, vkey, size, root, note) VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    temporary.rename(real)
    folder = os.open(real.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
