"""RQ as a doorbell that nobody can put words into (DESIGN section 4).

A job in Redis names a function by text, so whoever can write to Redis could run any function as the worker, whatever the serializer. Here
the bytes of a job are checked before anything is imported or called: one of two functions, exactly one attempt id, which is the job's own
id. Everything else that a job's hash can carry (callbacks, web hooks, results, dependencies) is dropped unread. What is refused is deleted:
SQL is the queue of record, so the scheduler rings again if there was something to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import zlib
from collections.abc import Callable, Mapping
from resource import struct_rusage
from types import FrameType
from typing import Any, ClassVar

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from reprove.core.canonical import parse
from reprove.core.errors import ProblemError

ATTEMPT = re.compile(r"at-[0-9a-z]{20}\Z")
MAX_JOB_BYTES = 4096
DRAIN_SECONDS = 8
_HASH_FIELDS = frozenset({"created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "origin", "status", "worker_name"})
"""What of a job's hash is read besides ``data``: times, numbers and plain text."""

_log = structlog.get_logger(__name__)


class CheckedJob(Job):
    """A job whose function comes from ``functions``, never from an import by name."""

    functions: ClassVar[Mapping[str, Callable[[str], None]]] = {}
    """Function name to function; set once by :func:`allow` before any job is fetched."""
    seconds: ClassVar[int] = 86400
    """Wall clock after which an attempt's process is killed: a last resort, each step has its own timer."""

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> CheckedJob:  # noqa: A002, ANN401, ARG003  # rq's signature
        """Fetch a job, or refuse it: to RQ a refused job does not exist."""
        if not ATTEMPT.match(id):
            _log.warning("refused a job", reason="its id is no attempt id", job=repr(id)[:80])
            raise NoSuchJobError("refused")
        job = cls(id, connection=connection, serializer=JSONSerializer)
        try:
            job.refresh()  # type: ignore[no-untyped-call]  # rq's
        except (ProblemError, ValueError, TypeError, KeyError, UnicodeError, ArithmeticError) as error:
            _log.warning("refused a job", reason=str(error)[:200], job=id)
            if connection is not None:
                connection.delete(job.key)
            raise NoSuchJobError("refused") from error
        return job

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Take over a job's hash after checking its bytes; fields that are not known to be harmless are dropped unread."""
        fields = {bytes(key).decode("ascii", "replace"): value for key, value in raw_data.items()}
        if "data" not in fields:
            raise NoSuchJobError("refused: no data")
        name, attempt = check_data(fields["data"], self.functions)
        if attempt != self.id:
            raise ValueError("the argument is not the job's own id")
        harmless = {key.encode(): value for key, value in fields.items() if key in _HASH_FIELDS and len(value) <= MAX_JOB_BYTES}
        harmless[b"data"] = json.dumps([name, None, [attempt], {}]).encode()
        super().restore(harmless)
        # RQ must neither keep what the job returned nor the job itself: SQL has all of it.
        self.result_ttl = 0
        self.failure_ttl = 0
        self.retries_left = None
        self.timeout = self.seconds

    @property
    def func(self) -> Callable[[str], None]:
        """The function from the allow-list; nothing is imported."""
        return self.functions[str(self.func_name)]

    @property
    def success_callback(self) -> None:
        """Never any."""

    @property
    def failure_callback(self) -> None:
        """Never any."""

    @property
    def stopped_callback(self) -> None:
        """Never any."""

    def send_webhooks(self, status: object, *, exc_string: str | None = None) -> None:
        """Never any: an address in Redis is nobody's wish."""


def check_data(raw: bytes, functions: Mapping[str, object]) -> tuple[str, str]:
    """Read a job's ``data``: function name and attempt id. Raises ValueError or ProblemError for anything else; nothing is unpickled."""
    if len(raw) > MAX_JOB_BYTES:
        raise ValueError("its data is too large")
    text = raw
    if raw[:1] == b"\x78":  # RQ compresses with zlib; JSON starts with a bracket
        unpacker = zlib.decompressobj()
        try:
            text = unpacker.decompress(raw, MAX_JOB_BYTES)
        except zlib.error:
            raise ValueError("its data is neither JSON nor zlib") from None
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise ValueError("its data is too large or cut")
    document = parse(text, max_bytes=MAX_JOB_BYTES, what="its data")
    if not isinstance(document, list) or len(document) != 4:
        raise ValueError("its data is not [function, null, [attempt], {}]")
    name, instance, arguments, keywords = document
    if not isinstance(name, str) or name not in functions:
        raise ValueError(f"it names {str(name)[:80]!r}, which is not in the allow-list")
    if instance is not None or keywords != {} or not isinstance(arguments, list) or len(arguments) != 1:
        raise ValueError("it has other arguments than one attempt id")
    attempt = arguments[0]
    if not isinstance(attempt, str) or not ATTEMPT.match(attempt):
        raise ValueError("its argument is no attempt id")
    return name, attempt


def allow(functions: Mapping[str, Callable[[str], None]], *, seconds: int) -> None:
    """Set the allow-list of this process, and how long one attempt may take at most."""
    CheckedJob.functions = dict(functions)
    CheckedJob.seconds = seconds


class CheckedQueue(Queue):
    """A queue that makes checked jobs only."""

    job_class = CheckedJob


class CheckedWorker(Worker):
    """A worker of exactly one queue that forks for each attempt and drains on SIGTERM within 10 s.

    RQ's own maintenance is off: it would act on what Redis says about jobs, and SQL knows better.
    """

    job_class = CheckedJob
    queue_class = CheckedQueue
    max_connection_wait_time = 5.0

    def __init__(self, queue: str, connection: Redis, *, name: str, on_dead_horse: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            [queue],
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            job_class=CheckedJob,
            queue_class=CheckedQueue,
            worker_ttl=60,
            job_monitoring_interval=10,
            disable_default_exception_handler=False,
            log_job_description=False,
        )
        if len(self.queues) != 1:
            raise AssertionError("a worker has exactly one queue, or a dying one loses a job (RQ pops without a copy)")
        self.stopping = False
        self.on_dead_horse = on_dead_horse

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never."""
        return False

    def run_maintenance_tasks(self) -> None:
        """Do nothing: the scheduler's reconciler does it from SQL."""

    def subscribe(self) -> None:
        """Do not listen to commands (kill, stop, shut down): cancelling goes through the lease."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  # rq's signature
        """Take no more jobs; a running attempt is told to give itself back, and killed after 8 s (its lease then runs out)."""
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self.stopping = True
        self._stop_requested = True
        if not self.horse_pid:
            raise StopRequested
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.horse_pid, signal.SIGTERM)
        killer = threading.Timer(DRAIN_SECONDS, self._kill_late_horse, (self.horse_pid,))
        killer.daemon = True
        killer.start()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:  # rq's signature
        """Treat a second signal like the first: the attempt is being given back already."""

    def setup_work_horse_signals(self) -> None:
        """Let the attempt's process decide what SIGTERM means (``workers.jobs``); until it has, the signal ends it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Keep RQ's own records; that Redis is down must not end the attempt, whose lease lives elsewhere."""
        try:
            super().maintain_heartbeats(job, execution)
        except RedisError as error:
            _log.warning("redis did not take a heartbeat", reason=type(error).__name__)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: struct_rusage) -> None:  # noqa: ARG002  # rq's signature
        """Clean up after an attempt that ended without saying so."""
        self.on_dead_horse()

    def _kill_late_horse(self, pid: int) -> None:
        if self.horse_pid == pid:
            _log.warning("the attempt did not give itself back in time", attempt=self.get_current_job_id())
            self.kill_horse()
