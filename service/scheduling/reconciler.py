"""What nobody is alive to say is found here, from SQL alone: leases that ended, rings that were lost (DESIGN section 4)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from reprove.core.states import AttemptState, RebuildState
from reprove.settings import Settings
from service.records import attempts, outbox, rebuilds, recovery
from service.records.attempts import AttemptRow
from service.records.database import Database
from service.records.outbox import Ring
from service.scheduling.bell import Bell, BellError, Heard

TAKEN_SECONDS = 20
"""How long a worker that took a ring may be silent before the bell rings again; a claim takes milliseconds."""
MAX_BACKOFF = 60
_log = structlog.get_logger()


class Reconciler:
    """One leader's reconciler. It remembers only when it last looked, to tell a lost worker from a host that slept."""

    def __init__(self, database: Database, bell: Bell, settings: Settings) -> None:
        self._database = database
        self._bell = bell
        self._settings = settings
        self._looked: datetime | None = None
        self._patient_until: datetime | None = None

    def look(self, now: datetime) -> int:
        """Do one round; returns how many attempts were moved. Raises BellError after everything that needs no Redis was done."""
        self._notice_a_gap(now)
        moved = self._lose_expired(now) if self._patient_until is None or now >= self._patient_until else 0
        return moved + self._ring_again(now)

    def _notice_a_gap(self, now: datetime) -> None:
        """After a pause of this process (start, a sleeping host, a jump of the clock) leases look dead whose workers live: let them be heard once."""
        longest = timedelta(seconds=3 * self._settings.reconcile_seconds + 1)
        if self._looked is None or abs(now - self._looked) > longest:
            self._patient_until = now + timedelta(seconds=self._settings.heartbeat_seconds)
        self._looked = now

    def _lose_expired(self, now: datetime) -> int:
        with self._database.read() as conn:
            rows = recovery.expired(conn, now)
        lost = [row for row in rows if self._lose(row, now)]
        for row in lost:
            _log.warning("lost", rebuild=row.rebuild_id, attempt=row.id, n=row.n)
            self._forget_quietly(row)
        return len(lost)

    def _lose(self, row: AttemptRow, now: datetime) -> bool:
        with self._database.write() as conn:
            current = attempts.get(conn, row.id)
            if current is None or current.state is not AttemptState.RUNNING or current.expires is None or current.expires > now:
                return False
            recovery.lose(conn, current, retries=self._settings.retries, now=now)
            return True

    def _forget_quietly(self, row: AttemptRow) -> None:
        """The dead attempt's job is of no use; that Redis keeps it a while does no harm."""
        try:
            self._bell.forget(row.id, row.kind.queue(self._settings.arch))
        except BellError as error:
            _log.info("redis could not forget", attempt=row.id, reason=str(error))

    def _ring_again(self, now: datetime) -> int:
        with self._database.read() as conn:
            rings = outbox.rung_before(conn, now - timedelta(seconds=self._settings.reconcile_seconds), limit=500)
        again = 0
        for ring in rings:
            heard = self._bell.look(ring)
            waited = now - ring.dispatched if ring.dispatched else timedelta(0)
            if heard is Heard.LISTED or (heard is Heard.TAKEN and waited < timedelta(seconds=TAKEN_SECONDS)):
                continue
            self._bell.forget(ring.attempt_id, ring.queue)
            again += self._back_to_outbox(ring, heard, now)
        return again

    def _back_to_outbox(self, ring: Ring, heard: Heard, now: datetime) -> bool:
        # the first time at once (Redis was emptied), then more slowly: a worker that cannot claim would be rung all day
        pause = 0 if ring.tries <= 1 else min(MAX_BACKOFF, 2 ** min(ring.tries, 10))
        with self._database.write() as conn:
            row = attempts.get(conn, ring.attempt_id)
            if row is None or row.state is not AttemptState.DISPATCHED:
                return False
            attempts.set_state(conn, row, AttemptState.WAITING, now=now)
            outbox.mark_lost(conn, ring.attempt_id, due=now + timedelta(seconds=pause))
        _log.warning("a ring was lost, ringing again", attempt=ring.attempt_id, heard=heard.value, tries=ring.tries)
        return True


def stuck(database: Database) -> list[str]:
    """Rebuilds that are neither ended nor have anything that could end them: always empty, or a bug (tests and `doctor` look)."""
    with database.read() as conn:
        return [
            row_id
            for state in (RebuildState.QUEUED, RebuildState.RUNNING)
            for row_id in rebuilds.ids_in(conn, state)
            if len(attempts.open_of(conn, row_id)) != 1
        ]
