"""The container engine's HTTP interface, the few calls that a sandbox needs, over its local socket.

Bind mounts, host tmpfs and counters need an engine on this host, so there is no TCP, TLS or SSH here. Connections are kept and reused; every
call has a deadline; an answer is either JSON of bounded size or a stream that the caller closes.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from workers.sandbox.values import EngineUnavailableError, SandboxError

CALL_SECONDS = 60.0
"""Deadline of one call. Starting a container takes 0.1 s on a quiet host; a loaded one was seen to take seconds."""
MAX_ANSWER = 64 * 1024**2
_NEWEST = (1, 44)
_OLDEST = (1, 41)
_IDLE = 4


class EngineAnswerError(SandboxError):
    """The engine answered with an error. ``status`` is its HTTP status: 404 unknown, 409 in the wrong state."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: the engine answered {status}: {message}")
        self.status = status


class EngineTimeoutError(EngineUnavailableError):
    """The engine did not answer within the call's deadline."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self.sock = connection


class EngineClient:
    """Safe for several threads: a connection serves one call at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[_Connection] = []
        self._lock = Lock()
        self._prefix = ""
        self.api_version = ""

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout: float = CALL_SECONDS,
    ) -> Any:  # noqa: ANN401  # any JSON value
        """Make one call and read its JSON answer, None for no content. Raises EngineAnswerError, EngineTimeoutError or EngineUnavailableError."""
        payload = None if body is None else json.dumps(body).encode()
        with self._exchange(method, path, query, payload, timeout) as response:
            data = response.read(MAX_ANSWER + 1)
            if len(data) > MAX_ANSWER:
                raise SandboxError(f"{method} {path}: the engine's answer is larger than {MAX_ANSWER} bytes")
        try:
            return json.loads(data) if data.strip() else None
        except ValueError:
            raise EngineUnavailableError(f"{method} {path}: the engine's answer is not JSON, or was cut off") from None

    def send(self, path: str, source: BinaryIO, size: int, *, query: Mapping[str, object] | None = None, timeout: float = 600) -> Iterator[Any]:
        """Post a tar of ``size`` bytes and yield the JSON messages of the answer, one a line."""
        with self._exchange("POST", path, query, source, timeout, {"Content-Type": "application/x-tar", "Content-Length": str(size)}) as response:
            for line in response.read(MAX_ANSWER).splitlines():
                if line.strip():
                    yield json.loads(line)

    def receive(self, path: str, *, query: Mapping[str, object] | None = None, timeout: float = CALL_SECONDS) -> Iterator[bytes]:
        """Yield an answer's body piece by piece."""
        with self._exchange("GET", path, query, None, timeout) as response:
            while chunk := response.read(1024 * 1024):
                yield chunk

    def attach(self, container: str) -> socket.socket:
        """Take over a connection as the container's output, from now on, in 8-byte-headed frames. The caller closes it."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CALL_SECONDS)
            connection.connect(self._path)
            request = f"POST {self._prefix}/containers/{quote(container)}/attach?stdout=1&stderr=1&stream=1 HTTP/1.1\r\n"
            connection.sendall(f"{request}Host: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows the head belongs to the log
                byte = connection.recv(1)
                if not byte or len(head) > 8192:
                    raise EngineUnavailableError("attaching to the container: the engine closed the connection")
                head += byte
            if head.split(None, 2)[1] not in (b"101", b"200"):
                raise SandboxError(f"attaching to the container: the engine answered {head.splitlines()[0].decode('latin-1')}")
        except OSError as error:
            connection.close()
            raise EngineUnavailableError(f"attaching to the container: {error}") from error
        except SandboxError:
            connection.close()
            raise
        connection.settimeout(None)
        return connection

    def negotiate(self) -> None:
        """Ask for the engine's version and speak the newest that both know."""
        with self._exchange("GET", "/_ping", None, None, 10) as response:
            text = response.headers.get("Api-Version", "")
            response.read(1024)
        try:
            offered = (int(text.partition(".")[0]), int(text.partition(".")[2]))
        except ValueError:
            raise EngineUnavailableError(f"what listens at {self._path} is not a container engine") from None
        if offered < _OLDEST:
            raise EngineUnavailableError(f"the engine speaks API {text}; 1.41 (release 20.10) is the oldest that can be used")
        self.api_version = ".".join(map(str, min(offered, _NEWEST)))
        self._prefix = f"/v{self.api_version}"

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes | BinaryIO | None,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        what = f"{method} {path}"
        target = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        connection: _Connection | None = None
        try:
            connection, response = self._ask(method, target, body, timeout, headers or {"Content-Type": "application/json"})
            if response.status >= 400:
                raise EngineAnswerError(what, response.status, _message(response.read(65536)))
            yield response
        except TimeoutError as error:
            _close(connection)
            raise EngineTimeoutError(f"{what}: no answer from the container engine within {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            _close(connection)
            why = str(error) or type(error).__name__
            raise EngineUnavailableError(f"{what}: no answer from the container engine at {self._path} ({why})") from error
        except BaseException:
            _close(connection)
            raise
        self._give_back(connection, response)

    def _ask(
        self, method: str, target: str, body: bytes | BinaryIO | None, timeout: float, headers: Mapping[str, str]
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        """Send on a kept connection; one that the engine closed meanwhile (its restart) is replaced, once."""
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        for connection in (kept, _Connection(self._path, timeout)):
            if connection is None:
                continue
            try:
                connection.timeout = timeout
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                connection.request(method, target, body=body, headers=dict(headers))
                return connection, connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                connection.close()
                if connection is not kept or not isinstance(body, bytes | None):
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError("unreachable: the second connection answers or raises")

    def _give_back(self, connection: _Connection, response: http.client.HTTPResponse) -> None:
        reusable = response.isclosed() and not response.will_close
        with self._lock:
            if reusable and len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        response.close()
        connection.close()


def connect(path: Path | None = None) -> EngineClient:
    """A client for the engine at ``path``, else at ``DOCKER_HOST`` (``unix://`` only), else at the usual socket.

    Raises EngineUnavailableError when nothing usable answers within 10 s.
    """
    host = str(path) if path else os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if "://" in host and not host.startswith("unix://"):
        raise EngineUnavailableError(f"DOCKER_HOST is {host.partition(':')[0]}://…: a worker needs the engine of its own host, by its unix:// socket")
    client = EngineClient(host.removeprefix("unix://"))
    client.negotiate()
    return client


def _close(connection: _Connection | None) -> None:
    if connection is not None:
        connection.close()


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("latin-1")
