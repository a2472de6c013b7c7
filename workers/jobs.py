"""The two functions that a job in Redis may name: claim the attempt, do the work under its lease, give it back when it cannot be done.

Only an id comes from Redis. What is to be done comes from the worker api, after the claim; a job that rings twice finds nothing to claim.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from reprove.core.errors import OwnError, ProblemError, ReproveError
from reprove.settings import Settings
from reprove.signers import Signer
from workers.client import Claim, LeaseLostError, WorkerApiError, WorkerClient
from workers.context import WorkerContext
from workers.heartbeat import Heartbeat
from workers.inputs.store import InputStore
from workers.sandbox import Engine, EngineUnavailableError, connect

LOOK_SECONDS = 2.0
CLAIM_SECONDS = 30.0
ENGINE_SECONDS = 3600.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a worker process has before it forks: no connection, no thread."""

    settings: Settings
    name: str
    kind: str
    signer: Signer
    token: str
    instance: str

    @property
    def store(self) -> Path:
        """This process's own input store."""
        return self.settings.home / "inputs" / ("resolver" if self.kind == "resolve" else "worker")

    @property
    def api_url(self) -> str:
        """The worker api's address."""
        return f"http://127.0.0.1:{self.settings.worker_api_port}"


_runtime: Runtime | None = None


def configure(runtime: Runtime) -> None:
    """Set what every job of this process uses; called once, before the first fork."""
    global _runtime  # noqa: PLW0603  # RQ calls module functions with ids only
    _runtime = runtime


def resolve(attempt: str) -> None:
    """Run an attempt of kind ``resolve``."""
    from workers import resolve as work

    def run(context: WorkerContext) -> None:
        outside = work.Outside.of(context.settings)
        try:
            work.run(context, outside)
        finally:
            outside.client.close()

    _attempt("resolve", attempt, run)


def rebuild(attempt: str) -> None:
    """Run an attempt of kind ``rebuild``."""
    from workers import rebuild as work

    _attempt("rebuild", attempt, work.run)


def open_engine(runtime: Runtime) -> Engine:
    """Connect to the container engine as this worker. Raises EngineUnavailableError when none answers."""
    return Engine(connect(), runtime.instance, worker=runtime.name, scratch=None)


def wait_for_engine(opening: Callable[[], Engine], heartbeat: Heartbeat, *, look: float = LOOK_SECONDS) -> Engine:
    """Open the engine; while none answers the attempt waits and says why. Gives up after an hour with EngineUnavailableError."""
    deadline = time.monotonic() + ENGINE_SECONDS
    while True:
        try:
            engine = opening()
        except EngineUnavailableError as error:
            heartbeat.waiting("engine", str(error))
            if time.monotonic() > deadline:
                raise
            heartbeat.pause(look)
        else:
            heartbeat.waiting(None)
            return engine


def _attempt(kind: str, attempt: str, run: Callable[[WorkerContext], None]) -> None:
    runtime = _runtime
    if runtime is None or runtime.kind != kind:
        raise OwnError(f"this process runs no attempts of kind {kind}")
    structlog.contextvars.bind_contextvars(attempt=attempt)
    client = WorkerClient(runtime.api_url, runtime.token)
    try:
        try:
            claim = client.claim(attempt, runtime.signer.public_key.fingerprint, patience=CLAIM_SECONDS)
        except WorkerApiError as error:
            # Nothing is claimed, or nobody heard that it is: the scheduler rings again, or the lease runs out.
            _log.warning("could not claim", reason=str(error))
            return
        if claim is None:
            _log.info("nothing to claim")
            return
        structlog.contextvars.bind_contextvars(rebuild=claim.rebuild, lease=claim.lease)
        _under_lease(runtime, client, claim, run)
    finally:
        client.close()


def _under_lease(runtime: Runtime, client: WorkerClient, claim: Claim, run: Callable[[WorkerContext], None]) -> None:
    settings = runtime.settings
    with Heartbeat(client, claim.lease, interval=settings.heartbeat_seconds, lease_seconds=claim.lease_seconds) as heartbeat:
        previous = signal.signal(signal.SIGTERM, lambda _number, _frame: heartbeat.drain())
        try:
            engine = None if runtime.kind == "resolve" else wait_for_engine(lambda: open_engine(runtime), heartbeat)
            run(WorkerContext(settings, client, claim, heartbeat, runtime.signer, InputStore(runtime.store), engine, _log))
        except LeaseLostError as error:
            if not heartbeat.draining:
                _log.warning("stopped", reason=str(error))
                return
            _release(client, claim, "the worker is shutting down", drained=True)
        except WorkerApiError as error:
            # Nobody to tell: the lease runs out and the attempt is given to somebody else.
            _log.exception("stopped", reason=str(error))
        except (ReproveError, ProblemError, OSError) as error:
            _log.exception("attempt failed")
            _release(client, claim, f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  # whatever it is, the attempt is given back
            _log.exception("attempt failed for a reason that nobody thought of")
            _release(client, claim, f"internal error: {type(error).__name__}")
        finally:
            signal.signal(signal.SIGTERM, previous)


def _release(client: WorkerClient, claim: Claim, reason: str, *, drained: bool = False) -> None:
    try:
        client.release(claim.lease, reason, retry=True, drained=drained)
    except (LeaseLostError, ProblemError, WorkerApiError) as error:
        _log.warning("could not give the attempt back; its lease runs out", reason=str(error))
