"""The thread that keeps a lease alive and says what happens (DESIGN section 4: fenced by a lease).

When the lease is lost, or the service says cancel, or nobody could be reached for as long as the lease lasts, ``on_lost`` is called once:
it must kill the container. After that :meth:`Heartbeat.check` raises, so that the attempt stops at its next step.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import structlog

from reprove.core.errors import ProblemError, ReproveError
from reprove.core.states import Phase
from workers.client import LeaseLostError, WorkerApiError, WorkerClient

MAX_DETAIL = 400
MAX_PENDING = 500
FLUSH_SECONDS = 1.0
"""How long the end of an attempt waits for its last events; they are shown to people and decide nothing."""
_log = structlog.get_logger(__name__)


class Heartbeat:
    """A context manager around the work under one lease; threads may share it."""

    def __init__(
        self, client: WorkerClient, lease: str, *, interval: float, lease_seconds: float, on_lost: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._lease = lease
        self._interval = interval
        self._seconds = lease_seconds
        self._on_lost = [on_lost]  # under _lock
        self._events: list[dict[str, object]] = []  # under _lock
        self._waiting: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._over = threading.Event()
        self._ending = False
        self._lost: str | None = None
        self._draining = False
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    @property
    def lost(self) -> bool:
        """Whether the lease is gone."""
        return self._lost is not None

    @property
    def draining(self) -> bool:
        """Whether the process was told to stop, so that the lease is still ours to give back."""
        return self._draining

    def drain(self) -> None:
        """Stop the attempt as if the lease were lost, since the process was told to end. Safe in a signal handler."""
        self._draining = True
        threading.Thread(target=self._lose, args=("the worker is shutting down",), daemon=True).start()

    def check(self) -> None:
        """Raise LeaseLostError when the lease is gone; called between steps."""
        if self._lost is not None:
            raise LeaseLostError(self._lost)

    def pause(self, seconds: float) -> None:
        """Sleep; raises LeaseLostError as soon as the lease is gone."""
        self._over.wait(seconds)
        self.check()

    def on_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when the lease is lost (at once when it is); returns a function that takes it back."""
        with self._lock:
            self._on_lost.append(callback)
            late = self._lost is not None
        if late:
            callback()
        return lambda: self._forget(callback)

    def event(self, phase: Phase, status: str, detail: str = "", *, seconds: float | None = None, candidate: int | None = None) -> None:
        """Say what happened; sent at once, in order. ``status`` is ``started``, ``done`` or ``failed``."""
        event: dict[str, object] = {"phase": str(phase), "status": status, "detail": detail[:MAX_DETAIL]}
        event["seconds"] = round(seconds or 0.0, 3)
        if candidate is not None:
            event["candidate"] = candidate
        with self._lock:
            if len(self._events) < MAX_PENDING:
                self._events.append(event)
        self._wake.set()

    @contextlib.contextmanager
    def phase(self, phase: Phase, *, candidate: int | None = None) -> Iterator[dict[str, str]]:
        """Report a phase around a block; the block may put its ``detail`` into the dictionary that it gets."""
        notes: dict[str, str] = {}
        started = time.monotonic()
        self.event(phase, "started", candidate=candidate)
        try:
            yield notes
        except BaseException as error:
            detail = notes.get("detail") or (str(error) if isinstance(error, ReproveError) else type(error).__name__)
            self.event(phase, "failed", detail, seconds=time.monotonic() - started, candidate=candidate)
            raise
        self.event(phase, "done", notes.get("detail", ""), seconds=time.monotonic() - started, candidate=candidate)

    def waiting(self, reason: str | None, detail: str = "") -> None:
        """Say what the attempt waits for (``environment``, ``engine``), or None that it goes on."""
        now = None if reason is None else {"reason": reason, "detail": detail[:MAX_DETAIL]}
        if now != self._waiting:
            self._waiting = now
            self._wake.set()

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Around the call that ends the attempt: what happened is told first, and that the lease is over from then on is no news.

        A lease that was lost before is told by the call itself, which raises LeaseLostError.
        """
        deadline = time.monotonic() + FLUSH_SECONDS
        self._wake.set()
        while self._events and self._lost is None and time.monotonic() < deadline:
            time.sleep(0.005)
        self._ending = True
        try:
            yield
        except BaseException:
            self._ending = False
            raise

    def _work(self) -> None:
        try:
            self._run()
        finally:
            self._client.close()

    def _run(self) -> None:
        alive = time.monotonic()
        while True:
            try:
                self._beat()
                alive = time.monotonic()
            except (LeaseLostError, ProblemError) as error:
                # After the report the lease is gone by our own doing.
                return None if self._stop or self._ending else self._lose(str(error) or "the lease is lost")
            except WorkerApiError as error:
                _log.warning("heartbeat failed", reason=str(error))
                # Nobody extended the lease: by now somebody else may have the attempt.
                if time.monotonic() - alive > self._seconds:
                    return self._lose("the service could not be reached for as long as the lease lasts")
            if self._stop and not self._events:
                return None
            if self._stop:
                # The last events are worth one more call, not an endless one.
                with contextlib.suppress(LeaseLostError, ProblemError, WorkerApiError):
                    self._beat()
                return None
            self._wake.wait(self._interval)
            self._wake.clear()

    def _beat(self) -> None:
        with self._lock:
            events = self._events[:50]
            waiting = self._waiting
        beat = self._client.heartbeat(self._lease, events, waiting, patience=min(self._interval, 2.0))
        # Sent before it is dropped: a lost answer repeats an event, which shows a line twice and loses none.
        with self._lock:
            del self._events[: len(events)]
        self._seconds = beat.lease_seconds
        if beat.cancel:
            raise LeaseLostError("cancelled")

    def _lose(self, reason: str) -> None:
        with self._lock:
            if self._lost is not None:
                return
            self._lost = reason
            self._over.set()
            callbacks = list(self._on_lost)
        _log.warning("lease lost", reason=reason)
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001  # one that fails must not keep the others from stopping the work
                _log.exception("a callback on the lost lease failed")

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._on_lost.remove(callback)
