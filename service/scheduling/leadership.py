"""Who schedules: the holder of one lease row. Two leaders for a moment would ring twice, which the claim makes harmless."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from service.records import leases
from service.records.database import Database

NAME = "scheduler"
SECONDS = 10
RENEW_SECONDS = 3
_log = structlog.get_logger()


class Leadership:
    """This process's candidacy. ``monotonic`` is a clock in seconds, for tests."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._asked: float | None = None
        self.holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.leading = False

    def check(self, now: datetime) -> bool:
        """Take or extend the lease when it is time to; say whether this process leads."""
        moment = self._monotonic()
        pause = RENEW_SECONDS if self.leading else 1
        if self._asked is not None and moment - self._asked < pause:
            return self.leading
        with self._database.write() as conn:
            leading = leases.hold(conn, NAME, self.holder, now=now, seconds=SECONDS)
        self._asked = moment
        if leading != self.leading:
            _log.info("leadership", leading=leading, holder=self.holder)
        self.leading = leading
        return leading

    def step_down(self) -> None:
        """Let the next one begin at once."""
        if self.leading:
            with self._database.write() as conn:
                leases.let_go(conn, NAME, self.holder)
            self.leading = False
