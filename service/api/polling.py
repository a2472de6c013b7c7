"""Long polls: who may hold a thread, and one watcher that wakes them (INTERFACE section 5).

Rules: at most half of the threads hold a long poll and at most :data:`PER_PRINCIPAL` of one principal; above that the answer is immediate and
carries ``Retry-After``. A waiting thread holds no database connection: one watcher per process asks for the sequence numbers of all watched
rebuilds with one query per :data:`INTERVAL_SECONDS`, and only while somebody waits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

PER_PRINCIPAL = 4
INTERVAL_SECONDS = 0.1
MAX_WAIT_SECONDS = 25.0

SequenceReader = Callable[[tuple[str, ...]], Mapping[str, int]]
"""Given ids of rebuilds, their current sequence numbers; unknown ids are absent."""


class LongPolls:
    """Slots and wake-ups of this process; every attribute is guarded by ``_changed``'s lock."""

    def __init__(self, threads: int, read_sequences: SequenceReader) -> None:
        self._slots = max(1, threads // 2)
        self._read = read_sequences
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()
        self._watched: Counter[str] = Counter()
        self._sequences: dict[str, int] = {}
        self._running = False
        self._failed: Exception | None = None

    @property
    def held(self) -> int:
        """How many threads wait now."""
        with self._changed:
            return self._held.total()

    @contextmanager
    def slot(self, principal: str) -> Iterator[bool]:
        """Hold one slot; gives False when none is free for ``principal``."""
        with self._changed:
            granted = self._held.total() < self._slots and self._held[principal] < PER_PRINCIPAL
            if granted:
                self._held[principal] += 1
        try:
            yield granted
        finally:
            if granted:
                with self._changed:
                    self._held[principal] -= 1
                    self._held += Counter()

    def wait(self, rebuild: str, after: int, seconds: float) -> None:
        """Return once the rebuild's sequence number is above ``after``, or after ``seconds`` (at most 25), whichever is first."""
        deadline = time.monotonic() + min(seconds, MAX_WAIT_SECONDS)
        with self._changed:
            self._watched[rebuild] += 1
            self._start()
            try:
                while self._failed is None and self._sequences.get(rebuild, -1) <= after:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        return
            finally:
                self._watched[rebuild] -= 1
                if not self._watched[rebuild]:
                    del self._watched[rebuild]
                    self._sequences.pop(rebuild, None)

    def _start(self) -> None:
        if not self._running:
            self._running, self._failed = True, None
            threading.Thread(target=self._watch, name="long-polls", daemon=True).start()

    def _watch(self) -> None:
        """Read until nobody waits; a database that fails ends every wait early, so that the request itself meets the fault."""
        while True:
            with self._changed:
                ids = tuple(self._watched)
                if not ids:
                    self._running = False
                    return
            try:
                sequences = self._read(ids)
            except Exception as error:  # noqa: BLE001  # whatever it is, the waiting requests read the same database and report it
                with self._changed:
                    self._running, self._failed = False, error
                    self._changed.notify_all()
                return
            with self._changed:
                if any(self._sequences.get(key) != value for key, value in sequences.items()):
                    self._sequences.update({key: value for key, value in sequences.items() if key in self._watched})
                    self._changed.notify_all()
            time.sleep(INTERVAL_SECONDS)
