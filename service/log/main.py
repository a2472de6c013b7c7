"""The sequencer process: ``python -m service.log.main``. Opens what ``reprove init`` made, recovers, listens; ends on the first doubt."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from pathlib import Path

import structlog

from reprove import crashpoints, logs
from reprove import settings as settings_module
from reprove.core import keys, notes
from reprove.core.errors import ReproveError
from reprove.settings import Settings
from reprove.signers import open_signer
from service.accounts import SUBMIT
from service.log.admission_helper import Admission
from service.log.creation import log_origin
from service.log.durable import DurableFolder
from service.log.errors import StateError
from service.log.recovery import recover
from service.log.sequencer import Limits, Sequencer
from service.log.server import Server
from service.log.store import LogStore
from service.log.witness_client import Panel, parse_witness

_DRAIN_SECONDS = 6
_log = structlog.get_logger()


def lock(settings: Settings) -> list[int]:
    """Take the exclusive locks on the database and on the folder, held for life; StateError when another process has one."""
    folder = settings.home / "log"
    database = Path(os.path.realpath(settings.home / "log.db"))
    if not folder.is_dir() or not database.is_file():
        raise StateError(f"there is no log in {settings.home}; `reprove init` makes one, nothing else does")
    held = []
    for path, flags in ((database.with_suffix(".lock"), os.O_RDWR | os.O_CREAT), (folder, os.O_RDONLY)):
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(f"another sequencer holds the log in {settings.home}") from error
        held.append(descriptor)
    return held


def open_sequencer(settings: Settings) -> tuple[Sequencer, Server]:
    """Open keys, database and folder, recover, and listen. The locks must be held. ReproveError says in one line why not."""
    signer = open_signer(settings.log_key)
    vkey = notes.VKey(log_origin(settings, signer), notes.ED25519, signer.public_key)
    if not settings.attester_public:
        raise StateError("setting attester_public names no key: nothing could be admitted")
    attester = keys.from_pem(Path(settings.attester_public).read_text())
    addresses = [parse_witness(text) for text in settings.witnesses]
    if not 0 <= settings.witness_quorum <= len({address.vkey.key.spki for address in addresses}):
        raise StateError(f"witness_quorum is {settings.witness_quorum}, but {len(addresses)} distinct witnesses are set")
    store = LogStore(settings.home / "log.db")
    if store.meta("vkey") != str(vkey):
        raise StateError(f"{settings.home / 'log.db'} is of log {store.meta('vkey')}, the settings name {vkey}")
    folder = DurableFolder(settings.home / "log")
    panel = Panel(addresses, settings.witness_quorum, vkey, settings.witness_timeout)
    recovered = recover(store, folder, vkey, panel)
    limits = Limits(
        batch=settings.log_batch,
        linger_seconds=settings.log_linger_ms / 1000,
        # The API stops accepting at min_free; the log must still be able to end what was accepted.
        min_free=settings.min_free // 2,
    )
    sequencer = Sequencer(recovered, store=store, folder=folder, origin=vkey.name, signer=signer, panel=panel, limits=limits)
    group = SUBMIT if settings.separate_users and os.geteuid() != 0 else None
    server = Server(settings.sockets / "sequencer.sock", sequencer, Admission(attester), group=group)
    return sequencer, server


def main() -> int:
    """Run until SIGTERM or SIGINT, or until a fault that makes the state doubtful; returns the exit status."""
    try:
        settings = settings_module.load()
        crashpoints.check_environment()
        logs.configure("sequencer", settings.log_level)
        held = lock(settings)
        sequencer, server = open_sequencer(settings)
    except (ReproveError, OSError) as error:
        print(f"sequencer cannot start: {error}", file=sys.stderr)  # noqa: T201  # one line, also without a log
        return 1
    thread = threading.Thread(target=_sequence, args=(sequencer,), name="sequence", daemon=True)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    # The sequencing thread blocks often and briefly (syncs, SQLite); it must not wait 5 ms each time for a thread that encodes an answer.
    sys.setswitchinterval(0.0005)
    server.start()
    thread.start()
    _log.info("sequencer ready", socket=str(settings.sockets / "sequencer.sock"))
    while not ending.wait(0.5):  # a signal that comes just before a wait without end would be heard by nobody
        pass
    server.close()
    sequencer.stop()
    thread.join(_DRAIN_SECONDS)
    _log.info("sequencer stopped", locks=len(held))
    return 0


def _sequence(sequencer: Sequencer) -> None:
    try:
        sequencer.run()
    except BaseException as error:  # noqa: BLE001  # whatever it is, the state is in doubt and the process ends
        # Nobody is answered: what is committed is found by recovery. Not sys.exit, which ends only this thread.
        _log.critical("sequencer stops", detail=str(error), kind=type(error).__name__, exc_info=not isinstance(error, ReproveError))
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
