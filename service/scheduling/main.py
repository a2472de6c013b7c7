"""The scheduler: ``python -m service.scheduling.main``. Any number may run; one leads. SIGTERM lets the lease go and ends within a round."""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from reprove import logs
from reprove import settings as settings_module
from reprove.core.errors import ReproveError
from reprove.crashpoints import check_environment
from reprove.settings import Settings
from service.records import times
from service.records.blobstore import open_store
from service.records.database import Database, open_database
from service.scheduling.bell import Bell, BellError, open_bell
from service.scheduling.dispatcher import dispatch
from service.scheduling.janitor import Janitor
from service.scheduling.leadership import Leadership
from service.scheduling.reconciler import Reconciler

POLL_SECONDS = 0.1
SWEEP_SECONDS = 60
MAX_BELL_PAUSE = 5.0
_log = structlog.get_logger()


@dataclass(slots=True)
class _Due:
    """When the next of each kind of work is due, on the monotonic clock."""

    reconcile: float = 0.0
    sweep: float = 0.0
    bell: float = 0.0
    bell_pause: float = 0.0


class Scheduler:
    """One process's rounds."""

    def __init__(self, settings: Settings, database: Database, bell: Bell) -> None:
        self._settings = settings
        self._database = database
        self._bell = bell
        self._leadership = Leadership(database)
        self._reconciler = Reconciler(database, bell, settings)
        self._janitor = Janitor(database, open_store(settings.home))
        self._due = _Due()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; a fault of the database or of Redis costs a pause, never a row."""
        while not stop.is_set():
            pause = POLL_SECONDS
            try:
                self.round()
            except BellError as error:
                pause = self._pause_bell(str(error))
            except (SQLAlchemyError, ReproveError, OSError) as error:
                _log.error("round_failed", error=str(error))
                pause = 1.0
            stop.wait(pause)
        self._leadership.step_down()

    def round(self) -> None:
        """Do what is due, if this process leads."""
        now, clock = times.now(), time.monotonic()
        if not self._leadership.check(now):
            return
        if clock >= self._due.reconcile:
            self._due.reconcile = clock + self._settings.reconcile_seconds
            self._reconciler.look(now)
        if clock >= self._due.bell:
            dispatch(self._database, self._bell, workers=self._settings.workers, now=now)
            self._due.bell_pause = 0.0
        if clock >= self._due.sweep:
            self._due.sweep = clock + SWEEP_SECONDS
            self._janitor.sweep(now)

    def _pause_bell(self, reason: str) -> float:
        """Redis is away: ring later, reconcile meanwhile."""
        if not self._due.bell_pause:
            _log.warning("bell_down", reason=reason)
        self._due.bell_pause = min(MAX_BELL_PAUSE, max(0.2, 2 * self._due.bell_pause))
        self._due.bell = time.monotonic() + self._due.bell_pause
        return POLL_SECONDS


def main() -> int:
    """Run until SIGTERM; 1 with one line when it must not start."""
    check_environment()
    stop = threading.Event()

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    try:
        settings = settings_module.load()
        database, bell = open_database(settings), open_bell(settings)
    except ReproveError as error:
        print(f"scheduler: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 1
    logs.configure("scheduler", settings.log_level)
    _log.info("ready")
    Scheduler(settings, database, bell).run(stop)
    database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
