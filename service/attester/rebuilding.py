"""One round over the rebuilds in state ``attesting``: prepare each, log all in one batch, record each with ``done`` in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from reprove.core.errors import OwnError, ProblemError, ReproveError, Slug
from reprove.core.states import RebuildState
from reprove.crashpoints import crash_point
from service.attester.attest import Attestation, Prepared, rebuild_columns
from service.attester.checks import UnconfirmedError
from service.attester.submit import MAX_BATCH, Entry, Submitter, record_entry
from service.records import rebuilds, times
from service.records.database import Database
from service.records.rebuilds import RebuildRow

log = structlog.get_logger()

ALARM_SECONDS = 60
"""How often the same fault of the same rebuild is logged."""
HELD_SECONDS = 5
"""How long a rebuild that could not be prepared lets others go first."""
MAX_BATCH_BYTES = 24 * 1024 * 1024
"""Payloads of one submission, unless one rebuild alone has more: in base64 they fit into a frame of the sequencer."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A rebuild whose envelopes are persisted, and when its turn began."""

    prepared: Prepared
    began: float


class Rebuilds:
    """The rebuild half of the attester. One per process; not shared between threads."""

    def __init__(self, database: Database, attestation: Attestation, submitter: Submitter) -> None:
        self._database = database
        self._attestation = attestation
        self._submitter = submitter
        self._alarmed: dict[str, float] = {}
        self._held: dict[str, float] = {}

    def round(self) -> int:
        """Do what is there to do; returns how many rebuilds ended."""
        now = time.monotonic()
        self._held = {each: until for each, until in self._held.items() if until > now}
        with self._database.read() as conn:
            queue = rebuilds.attesting(conn, MAX_BATCH // 2 + len(self._held))
        turn = sorted(queue, key=lambda row: row.id in self._held)[: MAX_BATCH // 2]
        ready = [found for row in turn if (found := self._prepare(row)) is not None]
        return sum(self._log_all(batch) for batch in _batches(ready))

    def _prepare(self, row: RebuildRow) -> _Ready | None:
        began = time.monotonic()
        try:
            return _Ready(self._attestation.prepare(row, times.now()), began)
        except UnconfirmedError as error:
            self._reject(row, str(error))
        except (ReproveError, SQLAlchemyError) as error:
            self._hold(row, str(error))
        except Exception as error:
            # Whatever it is, also what tampered rows cause that nobody thought of: one rebuild's fault never stops the others.
            log.exception("a rebuild cannot be prepared", rebuild=row.id)
            self._hold(row, f"internal error: {type(error).__name__}")
        return None

    def _hold(self, row: RebuildRow, reason: str) -> None:
        self._held[row.id] = time.monotonic() + HELD_SECONDS
        self._alarm(row.id, reason)

    def _log_all(self, ready: Sequence[_Ready]) -> int:
        """All in one batch; if the log refuses that, one by one, so that one bad envelope holds back nobody else."""
        try:
            entries = self._submitter.submit([envelope for each in ready for envelope in each.prepared.envelopes])
        except ProblemError as error:
            if error.problem.slug in (Slug.UNAVAILABLE, Slug.STORAGE_FULL):
                self._alarm("log", error.problem.detail)
                return 0
            if len(ready) == 1:
                self._alarm(ready[0].prepared.rebuild.id, error.problem.detail)
                return 0
            return sum(self._log_all([each]) for each in ready)
        except OwnError as error:
            self._alarm("log", str(error))
            return 0
        done = 0
        for each in ready:
            count = len(each.prepared.envelopes)
            mine, entries = entries[:count], entries[count:]
            done += self._record(each, mine)
        return done

    def _record(self, ready: _Ready, entries: Sequence[Entry]) -> int:
        """Entry rows, the outcome and ``done``: one transaction. A crash before it repeats the submission, which is answered the same."""
        prepared, now = ready.prepared, times.now()
        try:
            with self._database.write() as conn:
                for entry in entries:
                    record_entry(conn, entry, now)
                rebuilds.add_events(conn, prepared.rebuild.id, [_event(entries, time.monotonic() - ready.began)], attempt_id=None, now=now)
                rebuilds.move(conn, prepared.rebuild.id, RebuildState.DONE, now=now, **rebuild_columns(prepared.comparison))
        except (ReproveError, SQLAlchemyError) as error:
            self._alarm(prepared.rebuild.id, str(error))
            return 0
        crash_point("record.committed")
        value = prepared.comparison
        log.info("attested", rebuild=prepared.rebuild.id, outcome=value.outcome, level=value.level, log_index=[entry.index for entry in entries])
        return 1

    def _reject(self, row: RebuildRow, reason: str) -> None:
        """Nobody enrolled has signed which bytes are the original: no statement can be made, so there is no outcome."""
        log.error("resolution not confirmed", alarm=True, rebuild=row.id, resolution=row.resolution_id, reason=reason)
        try:
            with self._database.write() as conn:
                detail = "no enrolled resolver has signed what the original is"
                rebuilds.move(conn, row.id, RebuildState.REJECTED, cause_class=Slug.UNAVAILABLE.value, cause_detail=detail)
        except ReproveError as error:
            self._alarm(row.id, str(error))

    def _alarm(self, what: str, reason: str) -> None:
        now = time.monotonic()
        if now - self._alarmed.get(what, -ALARM_SECONDS) >= ALARM_SECONDS:
            self._alarmed[what] = now
            log.error("attesting is held up", alarm=True, what=what, reason=reason)


def _batches(ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
    """Cut what is ready into submissions that the sequencer takes: a hostile package can make a report of megabytes."""
    batch: list[_Ready] = []
    size = 0
    for each in ready:
        own = sum(len(envelope.payload) for envelope in each.prepared.envelopes)
        if batch and size + own > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += own
    if batch:
        yield batch


def _event(entries: Sequence[Entry], seconds: float) -> dict[str, object]:
    places = ", ".join(str(entry.index) for entry in entries)
    count = f"{len(entries)} statement{'s' if len(entries) > 1 else ''}"
    return {"phase": "attest", "status": "done", "detail": f"{count}, log index {places}, cosigned", "seconds": round(seconds, 3)}
