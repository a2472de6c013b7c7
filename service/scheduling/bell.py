"""RQ as a doorbell: ring for an attempt, look whether the ring is still to be heard, forget it.

Jobs carry an attempt's id and nothing else. What is in Redis is never parsed here beyond a status word: whoever can write to Redis can at most
make the bell ring once more or once less, and both are mended from SQL.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from reprove.core.errors import OwnError, UpstreamError
from reprove.settings import Settings
from service.records.outbox import Ring

USER = "scheduler"
SOCKET_SECONDS = 5
FAILED_SECONDS = 60


class BellError(UpstreamError):
    """Redis does not answer; nothing is lost, the outbox rows stay."""


class Heard(StrEnum):
    """What became of a ring that nobody has claimed."""

    LISTED = "listed"
    """It stands in the queue."""
    TAKEN = "taken"
    """A worker took it from the queue and has not claimed (yet)."""
    GONE = "gone"
    """Redis knows nothing of it, or the job ended without a claim."""


class Bell(Protocol):
    """What the scheduler needs of RQ; tests have one without Redis."""

    def ring(self, ring: Ring) -> None:
        """Put the attempt into its queue; once more is the same as once. Raises BellError."""

    def look(self, ring: Ring) -> Heard:
        """Say what became of a ring. Raises BellError."""

    def forget(self, attempt_id: str, queue: str) -> None:
        """Remove every trace of a ring. Raises BellError."""


class RqBell:
    """The bell through RQ 3: JSON, unique ids, no retries, no results."""

    def __init__(self, connection: Redis, *, job_timeout: int) -> None:
        self._redis = connection
        self._job_timeout = job_timeout

    def ring(self, ring: Ring) -> None:
        """See :class:`Bell`."""
        try:
            Queue(ring.queue, connection=self._redis, serializer=JSONSerializer).enqueue_call(
                ring.function,
                args=[ring.attempt_id],
                timeout=self._job_timeout,
                result_ttl=0,
                failure_ttl=FAILED_SECONDS,
                description=ring.attempt_id,
                job_id=ring.attempt_id,
                unique=True,
            )
        except DuplicateJobError:
            # rung before and not marked: the process died in between; `look` finds out later whether anybody heard it
            return
        except (RedisError, OSError) as error:
            raise BellError(f"redis: {error}") from error

    def look(self, ring: Ring) -> Heard:
        """See :class:`Bell`."""
        key = f"{Queue.redis_queue_namespace_prefix}{ring.queue}"
        try:
            status = self._redis.hget(Job.key_for(ring.attempt_id), "status")
            if status is None:
                return Heard.GONE
            if status in (b"queued", b"deferred", b"scheduled") and self._redis.lpos(key, ring.attempt_id) is not None:
                return Heard.LISTED
        except (RedisError, OSError) as error:
            raise BellError(f"redis: {error}") from error
        return Heard.TAKEN if status in (b"queued", b"started") else Heard.GONE

    def forget(self, attempt_id: str, queue: str) -> None:
        """See :class:`Bell`."""
        key = f"{Queue.redis_queue_namespace_prefix}{queue}"
        try:
            pipe = self._redis.pipeline(transaction=True)
            pipe.lrem(key, 0, attempt_id)
            pipe.lrem(f"{key}:intermediate", 0, attempt_id)
            pipe.delete(Job.key_for(attempt_id))
            pipe.execute()
        except (RedisError, OSError) as error:
            raise BellError(f"redis: {error}") from error


def open_bell(settings: Settings) -> RqBell:
    """Connect as this instance's scheduler. No connection is made yet: Redis may be down now and come later."""
    file = settings.home / "secrets" / f"redis-{USER}.password"
    try:
        password = file.read_text().strip()
    except OSError as error:
        raise OwnError(f"{file}: {error.strerror}: run `reprove init`") from None
    connection = Redis(
        unix_socket_path=str(settings.sockets / "redis.sock"),
        username=USER,
        password=password,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    # a backstop only: the worker has its own timers, and a lost one is noticed by its lease
    return RqBell(connection, job_timeout=settings.candidates * settings.limit_time + 7200)
