"""The one way out of the resolver and the proxy: https to an address that was checked first (DESIGN section 8).

Every answer is capped in bytes and time. A refusal says the same whatever was refused, so that nobody maps an inner network with it;
what really happened is in :class:`FetchError`'s ``kind``, for the log and for retries.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin

from reprove.core.errors import Problem, Slug, UpstreamError
from workers.inputs.addresses import Endpoint, endpoint_of, is_public, parse_allow

MAX_REDIRECTS = 3
CONNECT_SECONDS = 10.0
_KEPT = 8
"""Idle connections to one place."""
IDLE_SECONDS = 20.0
CHUNK = 1 << 18
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Lookup = Callable[[str, int], list[str]]
"""Host and port in, addresses out; OSError when there are none."""


class FetchKind(StrEnum):
    """What really happened; never shown to a requester."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"
    TOO_LARGE = "too-large"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"


class FetchError(UpstreamError):
    """A fetch that did not give the whole answer. ``status`` is the HTTP status where there was one."""

    def __init__(self, kind: FetchKind, detail: str, status: int | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.status = status

    @property
    def problem(self) -> Problem:
        """What a requester may see: the same for every kind."""
        return Problem(Slug.FETCH_REFUSED, "the address could not be fetched")

    @property
    def transient(self) -> bool:
        """Whether asking again can help."""
        if self.kind is FetchKind.STATUS:
            return self.status is not None and (self.status >= 500 or self.status in (408, 425, 429))
        return self.kind in (FetchKind.UNREACHABLE, FetchKind.TIMEOUT, FetchKind.TRUNCATED, FetchKind.GARBAGE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole 200 answer: where it came from after redirects, its media type, its bytes."""

    url: str
    content_type: str
    body: bytes


class EgressClient:
    """Fetches under the egress rules; one may be shared by threads, connections are kept for 20 s."""

    def __init__(self, allow: tuple[str, ...] = (), *, lookup: Lookup | None = None, context: ssl.SSLContext | None = None) -> None:
        self._allow = parse_allow(allow)
        self._lookup = lookup or system_lookup
        self._context = context or ssl.create_default_context()
        self._idle: dict[Endpoint, list[tuple[float, _Connection]]] = {}  # owned by whoever holds _lock
        self._closed = False  # under _lock
        self._lock = threading.Lock()

    def get(self, url: str, *, max_bytes: int, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the whole body of a 200 answer of at most ``max_bytes``, within ``timeout`` seconds altogether, or raise FetchError."""
        with self.open(url, max_bytes=max_bytes, timeout=timeout, headers=headers) as stream:
            return Answer(stream.url, stream.content_type, b"".join(stream))

    @contextlib.contextmanager
    def open(self, url: str, *, max_bytes: int, timeout: float, headers: Mapping[str, str] | None = None) -> Iterator[Stream]:
        """Yield the body of a 200 answer as a :class:`Stream` of chunks, with the same caps as :meth:`get`."""
        deadline = time.monotonic() + timeout
        for _ in range(MAX_REDIRECTS + 1):
            endpoint, target = self._admit(url)
            connection, response = self._request(endpoint, target, headers or {}, deadline)
            if response.status not in _REDIRECTS:
                break
            location = response.headers.get("Location")
            response.close()
            connection.close()
            if location is None:
                raise FetchError(FetchKind.GARBAGE, "a redirect without a location", response.status)
            url = urljoin(url, location)
        else:
            raise FetchError(FetchKind.REFUSED, "too many redirects")
        whole = False
        try:
            stream = Stream(url, response, max_bytes)
            yield stream
            whole = stream.finished
        finally:
            response.close()
            if whole and not response.will_close:
                self._keep(endpoint, connection)
            else:
                connection.close()

    def _admit(self, url: str) -> tuple[Endpoint, str]:
        found = endpoint_of(url)
        if found is None:
            raise FetchError(FetchKind.REFUSED, "not a plain https address")
        endpoint = found[0]
        if endpoint not in self._allow and (not endpoint.tls or endpoint.port != 443):
            raise FetchError(FetchKind.REFUSED, "neither https on port 443 nor in fetch_allow")
        return found

    def _request(self, endpoint: Endpoint, target: str, headers: Mapping[str, str], deadline: float) -> tuple[_Connection, http.client.HTTPResponse]:
        kept = self._kept(endpoint)
        if kept is not None:
            # A server may close an idle connection at any moment: that says nothing about it, so one fresh try follows.
            with contextlib.suppress(FetchError):
                return kept, _exchange(kept, target, headers, deadline)
        connection = self._connect(endpoint, deadline)
        return connection, _exchange(connection, target, headers, deadline)

    def _connect(self, endpoint: Endpoint, deadline: float) -> _Connection:
        try:
            addresses = self._lookup(endpoint.host, endpoint.port)
        except OSError as error:
            raise FetchError(FetchKind.UNREACHABLE, f"no address: {error}") from None
        # One inner address among public ones is how a rebinding name server hides it: the whole answer is refused.
        if endpoint not in self._allow and not all(is_public(address) for address in addresses):
            raise FetchError(FetchKind.REFUSED, "an address that is not public")
        last = "no address"
        for address in addresses[:4]:
            connection = _Connection(endpoint, address, self._context, deadline)
            try:
                connection.connect()
            except TimeoutError:
                last = "connecting took too long"
            except (OSError, ssl.SSLError) as error:
                last = type(error).__name__
            else:
                return connection
            connection.close()
        raise FetchError(FetchKind.UNREACHABLE, last)

    def _kept(self, endpoint: Endpoint) -> _Connection | None:
        with self._lock:
            rows = self._idle.get(endpoint, [])
            while rows:
                since, connection = rows.pop()
                if time.monotonic() - since < IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def _keep(self, endpoint: Endpoint, connection: _Connection) -> None:
        with self._lock:
            if not self._closed and len(rows := self._idle.setdefault(endpoint, [])) < _KEPT:
                rows.append((time.monotonic(), connection))
                return
        connection.close()

    def close(self) -> None:
        """Close the kept connections; a request that is under way ends, and its connection is not kept."""
        with self._lock:
            self._closed = True
            for rows in self._idle.values():
                for _, connection in rows:
                    connection.close()
            self._idle.clear()


class Stream:
    """The body of a 200 answer, chunk by chunk. Iterating it to the end is what proves that the body is whole."""

    def __init__(self, url: str, response: http.client.HTTPResponse, max_bytes: int) -> None:
        self.url = url
        self.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.finished = False
        self.size = 0
        self._response = response
        self._max = max_bytes
        # Asked for identity; a compressed answer is either a fault or a bomb, and its digest would not be the file's.
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchError(FetchKind.GARBAGE, "a content encoding that was not asked for", response.status)
        if response.status != 200:
            raise FetchError(FetchKind.STATUS, f"status {response.status}", response.status)
        self._length = response.length
        if self._length is not None and self._length > max_bytes:
            raise FetchError(FetchKind.TOO_LARGE, f"{self._length} bytes, the limit is {max_bytes}")

    def __iter__(self) -> Iterator[bytes]:
        with _faults():
            while chunk := self._response.read1(CHUNK):
                self.size += len(chunk)
                if self.size > self._max:
                    raise FetchError(FetchKind.TOO_LARGE, f"more than {self._max} bytes")
                yield chunk
        if self._length is not None and self.size != self._length:
            raise FetchError(FetchKind.TRUNCATED, f"{self.size} of {self._length} bytes")
        self.finished = True


class _Connection(http.client.HTTPConnection):
    """A connection to the address that was checked, whose every read and write ends at the deadline of the request under way."""

    def __init__(self, endpoint: Endpoint, address: str, context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self.endpoint = endpoint
        self.deadline = deadline
        self._address = address
        self._tls = context

    def connect(self) -> None:
        timeout = min(CONNECT_SECONDS, _remaining(self.deadline))
        raw = socket.create_connection((self._address, self.endpoint.port), timeout)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain = self._tls.wrap_socket(raw, server_hostname=self.endpoint.host) if self.endpoint.tls else raw
        except BaseException:
            raw.close()
            raise
        self.sock: Any = _DeadlineSocket(plain, self)


class _DeadlineSocket:
    """The part of a socket that ``http.client`` uses. A peer that sends a byte now and then still ends at the deadline."""

    def __init__(self, raw: socket.socket, connection: _Connection) -> None:
        self.raw = raw
        self._connection = connection
        self._readers = 0
        self._closed = False

    def sendall(self, data: bytes) -> None:
        self.arm()
        self.raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_DeadlineReader(self))

    def arm(self) -> None:
        self.raw.settimeout(_remaining(self._connection.deadline))

    def close(self) -> None:
        """Close once the last reader is done: ``http.client`` closes the socket of a last answer before its body is read."""
        self._closed = True
        if self._readers == 0:
            self.raw.close()

    def release(self) -> None:
        self._readers -= 1
        if self._closed:
            self.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, owner: _DeadlineSocket) -> None:
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # typeshed: any writable buffer
        self._owner.arm()
        return self._owner.raw.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._owner.release()
        super().close()


def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system's resolver, for at most 10 s; every distinct address in its order. Raises OSError."""
    answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.put(OSError(str(error)))
        else:
            answer.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))

    # The resolver has its own idea of time and no way to be interrupted; the thread ends by itself.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError("the name server did not answer") from None
    if isinstance(found, OSError):
        raise found
    return found


def _exchange(connection: _Connection, target: str, headers: Mapping[str, str], deadline: float) -> http.client.HTTPResponse:
    connection.deadline = deadline
    try:
        with _faults():
            connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": connection.endpoint.header, "Accept-Encoding": "identity", "User-Agent": "reprove", **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse()
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise FetchError(FetchKind.TIMEOUT, "the answer took too long") from None
    except http.client.IncompleteRead:
        raise FetchError(FetchKind.TRUNCATED, "the answer ended early") from None
    except http.client.RemoteDisconnected:
        raise FetchError(FetchKind.UNREACHABLE, "the connection was closed") from None
    except (http.client.HTTPException, ValueError) as error:
        raise FetchError(FetchKind.GARBAGE, type(error).__name__) from None
    except OSError as error:
        raise FetchError(FetchKind.UNREACHABLE, type(error).__name__) from None


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
