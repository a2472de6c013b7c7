"""The queue between those who submit and the one thread that sequences. Bounded, ordered, and honest about time.

A submission is *waiting* until the sequencer takes it, and *taken* from then on. Only a waiting one can be given up; a taken one will be
part of the log (or is refused as a whole), whether or not its submitter still waits: asked again, it is answered as a duplicate.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from reprove.core.errors import Problem, ProblemError, Slug
from service.log.admission import Admitted
from service.log.answers import Answer


class Submission:
    """A submitter's envelopes, contiguous and in order, and later what it is answered."""

    def __init__(self, entries: Sequence[Admitted]) -> None:
        self.entries = tuple(entries)
        self._done = threading.Event()
        self._answer: Answer | Problem | None = None
        self.arrived = time.monotonic()

    def resolve(self, answer: Answer | Problem) -> None:
        """Give the answer (or a :class:`Problem`) to whoever waits; the first answer stands."""
        if not self._done.is_set():
            self._answer = answer
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; say whether it came."""
        return self._done.wait(seconds)

    @property
    def answered(self) -> bool:
        """Whether the answer is there."""
        return self._done.is_set()

    @property
    def answer(self) -> Answer | Problem:
        """The answer; only after :meth:`wait` said that it came."""
        assert self._answer is not None
        return self._answer


class Intake:
    """The bounded queue. ``_lock`` guards everything below it."""

    def __init__(self, *, batch: int, linger_seconds: float, capacity: int) -> None:
        self._batch = batch
        self._linger = linger_seconds
        self._capacity = capacity
        self._lock = threading.Condition()
        self._waiting: deque[Submission] = deque()
        self._entries = 0
        self._closed = False
        # Submitters whose sequencer was away come back together.
        self._busy_until = time.monotonic() + 2 * linger_seconds

    def put(self, submission: Submission) -> None:
        """Queue a submission; ProblemError ``rate-limited`` when too many entries wait, ``unavailable`` when the process is ending."""
        with self._lock:
            if self._closed:
                raise ProblemError(Slug.UNAVAILABLE, "the sequencer is stopping; submit again")
            if self._entries + len(submission.entries) > self._capacity and self._waiting:
                raise ProblemError(Slug.RATE_LIMITED, f"{self._entries} entries wait to be logged; submit again in a second")
            self._waiting.append(submission)
            self._entries += len(submission.entries)
            self._lock.notify_all()

    def give_up(self, submission: Submission) -> bool:
        """Take a submission back; False when the sequencer has it already."""
        with self._lock:
            try:
                self._waiting.remove(submission)
            except ValueError:
                return False
            self._entries -= len(submission.entries)
            return True

    def take(self, timeout: float) -> list[Submission]:
        """Return the submissions of the next batch, oldest first; empty after ``timeout`` seconds without any, or when closed and drained.

        Lingers for more only while batches follow each other closely: a lone submission is sequenced at once.
        """
        with self._lock:
            if not self._waiting and not self._lock.wait_for(lambda: bool(self._waiting) or self._closed, timeout):
                return []
            if self._waiting and time.monotonic() < self._busy_until and not self._closed:
                left = self._waiting[0].arrived + self._linger - time.monotonic()
                self._lock.wait_for(lambda: self._entries >= self._batch or self._closed, max(0.0, left))
            taken: list[Submission] = []
            count = 0
            while self._waiting and (not taken or count + len(self._waiting[0].entries) <= self._batch):
                taken.append(self._waiting.popleft())
                count += len(taken[-1].entries)
            self._entries -= count
            return taken

    def batch_ended(self) -> None:
        """Note that a batch was just answered: its submitters are likely to be back within a moment."""
        with self._lock:
            self._busy_until = time.monotonic() + 2 * self._linger

    def close(self) -> None:
        """Take no more; what waits is still handed out."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    @property
    def drained(self) -> bool:
        """Whether it is closed and empty."""
        with self._lock:
            return self._closed and not self._waiting

    def refuse_all(self, problem: Problem) -> None:
        """Answer everything that waits with a problem."""
        with self._lock:
            waiting, self._waiting, self._entries = list(self._waiting), deque(), 0
        for submission in waiting:
            submission.resolve(problem)
