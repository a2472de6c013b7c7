"""The state folder, keys, processes, log, index and clock of an instance."""

from __future__ import annotations

import ctypes
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from reprove.core import notes
from reprove.core.checkpoints import parse_checkpoint
from reprove.core.cosignatures import cosignature_time
from reprove.core.errors import ReproveError
from reprove.settings import Settings
from workers.cli.checks import Row, fail, ok, warn
from workers.inputs.egress import EgressClient, FetchError
from workers.inputs.index import PypiIndex

PROJECT = "idna"
"""A small project that every public index has; asked for to see whether the index answers as it must."""
INDEX_SECONDS = 10
PROCESSES = ("redis", "sequencer", "witness", "api", "workerapi", "scheduler", "resolver", "proxy", "attester")


def check_instance(settings: Settings) -> Iterator[Row]:
    """Look whether there is an instance at all, and whether its database is its own."""
    try:
        instance = (settings.home / "instance").read_text().strip()
    except OSError:
        yield fail("instance", f"{settings.home} holds no instance", "reprove init, or deploy/quickstart, or set REPROVE_HOME")
        return
    yield ok("instance", f"{instance} at {settings.home}")
    path = settings.home / "records.db"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2)) as database:
            rows = dict(database.execute("SELECT key, value FROM meta").fetchall())
    except (sqlite3.Error, OSError) as error:
        yield warn("records.db", f"cannot be read: {error}", "run the doctor as root; if it is damaged, reprove restore")
        return
    if rows.get("instance", instance) != instance:
        yield fail("records.db", f"belongs to instance {rows['instance']}", "put the right records.db back: nothing starts with a foreign one")
    else:
        yield ok("records.db", f"{path.stat().st_size / 1e6:.1f} MB")


def check_log(settings: Settings) -> Iterator[Row]:
    """Look at the published checkpoint and when it was cosigned."""
    try:
        note = notes.parse_note((settings.home / "log" / "checkpoint").read_text())
        size = parse_checkpoint(note.text).size
        times = [cosignature_time(note, notes.parse_vkey(text.split()[0])) for text in settings.witnesses]
    except FileNotFoundError:
        yield warn("log", "nothing is published yet")
        return
    except (OSError, ReproveError, ValueError, IndexError) as error:
        yield fail("log", f"the published checkpoint: {error}", "reprove log fsck")
        return
    seen = [time_ for time_ in times if time_ is not None]
    if len(seen) < settings.witness_quorum:
        yield fail("log", f"size {size}, cosigned by {len(seen)} of {settings.witness_quorum} witnesses", "start the witness: entries wait for it")
    else:
        yield ok("log", f"size {size}, {f'cosigned {_span(max(0, time.time() - min(seen)))} ago' if seen else 'cosigned by nobody, as set'}")


def check_keys(settings: Settings) -> Iterator[Row]:
    """Look at the key files' modes."""
    folder = settings.home / "secrets"
    names = ["log.key", "attester.key", "witness.key", "resolver.key", *(f"worker-{n + 1}.key" for n in range(settings.workers))]
    wrong = []
    for name in names:
        try:
            state = (folder / name).stat()
        except PermissionError:
            yield warn("keys", f"{folder} cannot be looked at by this user", "run the doctor as root")
            return
        except OSError:
            wrong.append(f"{name} is missing")
            continue
        if stat.S_IMODE(state.st_mode) & 0o077:
            wrong.append(f"{name} can be read by others (mode {stat.S_IMODE(state.st_mode):04o})")
    if wrong:
        yield fail("keys", "; ".join(wrong), f"chmod 0400 the key files in {folder}; missing ones come from a backup, never from a new init")
    else:
        yield ok("keys", f"{len(names)} keys, readable by their owners only")


def check_processes(settings: Settings) -> Iterator[Row]:
    """Look whether every process of the instance runs."""
    names = (*PROCESSES, *(f"worker-{number + 1}" for number in range(settings.workers)))
    dead = [name for name in names if not _alive(settings.home / "run" / f"{name}.pid")]
    if len(dead) == len(names):
        yield fail("processes", "none runs", "deploy/quickstart --serve")
    elif dead:
        yield fail("processes", f"not running: {', '.join(dead)}", "deploy/quickstart --serve starts what is missing; see the logs in run/")
    else:
        yield ok("processes", " ".join(names))


def check_index(settings: Settings) -> Iterator[Row]:
    """Ask the canonical index for one project, and compare its clock with ours."""
    if not settings.index_pypi_url:
        yield fail("index", "no canonical index is set", "reprove init sets it from pip's own configuration; else REPROVE_INDEX_PYPI_URL")
        return
    client = EgressClient(settings.fetch_allow)
    started = time.monotonic()
    try:
        page = PypiIndex(settings.index_pypi_url, client).project(PROJECT, timeout=INDEX_SECONDS)
        took = time.monotonic() - started
    except FetchError as error:
        yield fail("index", f"does not answer as it must: {error}", "check REPROVE_INDEX_PYPI_URL and REPROVE_FETCH_ALLOW")
        return
    finally:
        client.close()
    if page is None:
        yield warn("index", f"has no project {PROJECT}: fine for a private index")
    elif not any(file.uploaded for file in page.files):
        yield fail("index", "gives no upload times: rebuilds end input-unavailable", "use an index that speaks the simple API version 1.1")
    else:
        yield ok("index", f"answers with upload times, {took:.1f} s")


def check_clock(settings: Settings) -> Iterator[Row]:
    """Look whether the clock is behind what was written already, and whether anything keeps it right."""
    newest = 0.0
    for name in ("records.db", "log/checkpoint", "config.toml"):
        try:
            newest = max(newest, (settings.home / name).stat().st_mtime)
        except OSError:
            continue
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    behind = newest - time.time()
    if behind > 2:
        yield fail("clock", f"{now} UTC is {_span(behind)} behind this instance's own files", "set the clock, then look at reprove log fsck")
    elif not _synchronised():
        yield warn(
            "clock", f"{now} UTC, kept by nobody", "run systemd-timesyncd or chrony: entry times come from witnesses, ages and leases from here"
        )
    else:
        yield ok("clock", f"{now} UTC, synchronised")


def _synchronised() -> bool:
    """Ask the kernel (adjtimex(2), read only) whether a time service keeps the clock: STA_UNSYNC is 0x40."""
    buffer = (ctypes.c_long * 64)()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(buffer))
    return state >= 0 and not ctypes.c_int(buffer[5]).value & 0x40


def _alive(pid_file: Path) -> bool:
    try:
        return Path(f"/proc/{int(pid_file.read_text())}").exists()
    except (OSError, ValueError):
        return False


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
