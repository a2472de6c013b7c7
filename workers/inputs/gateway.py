"""One session as HTTP on a Unix socket: pages, files, and nothing else (no absolute addresses, no CONNECT, no other method)."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, BinaryIO

from reprove.core.canonical import canonical
from workers.inputs.index import MEDIA_TYPE
from workers.inputs.session import RefusedError, Session

IDLE_SECONDS = 30.0
MAX_CONNECTIONS = 64
_PAGE = re.compile(r"/simple/([A-Za-z0-9][A-Za-z0-9._-]{0,127})/\Z")
_FILE = re.compile(r"/files/([0-9a-f]{64})/([A-Za-z0-9][A-Za-z0-9._+!-]{0,254})\Z")
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")


class Gateway:
    """Serves one session on one socket until it is closed; afterwards nobody is answered on it, old connections included."""

    def __init__(self, session: Session, path: Path) -> None:
        self.path = path
        self._server = _Server(str(path), session)
        # The folder is closed to other users; inside a container the user is another one.
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self.path.unlink(missing_ok=True)
        self._server.session.close()
        self._server.cut()
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        # The accept loop looks up every 0.2 s; nobody waits for that, since a closed session answers nothing.
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str, session: Session) -> None:
        self.session = session
        self._open: set[socket.socket] = set()  # under _lock
        self._lock = threading.Lock()
        super().__init__(path, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002  # socketserver's signature
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS or self.session.closed:
                return False
            self._open.add(request)
            return True

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # socketserver's signature
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # socketserver's signature
        """Say nothing: a client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's signature
        """Say nothing: the session's record is what counts."""

    def address_string(self) -> str:
        return "session"

    def do_GET(self) -> None:
        """Answer a page, a file, or a part of a file."""
        session = self.server.session
        try:
            if session.closed:
                raise RefusedError(403, "the session is closed")
            page, file = _PAGE.match(self.path), _FILE.match(self.path)
            if page is not None:
                return self._answer(200, session.page(page[1]), MEDIA_TYPE)
            if file is not None:
                return self._file(session, file[1], file[2])
            if self.path == "/given":
                return self._answer(200, canonical(session.names()), "application/json")
            raise session.refuse(403, f"not an address of this index: {self.command} {self.path[:200]}")
        except RefusedError as error:
            self._answer(error.status, error.reason.encode(), "text/plain")

    do_HEAD = do_GET  # noqa: N815  # http.server's name

    def _refused_method(self) -> None:
        self.close_connection = True
        error = self.server.session.refuse(405, f"a method other than GET: {self.command} {self.path[:200]}")
        self._answer(error.status, error.reason.encode(), "text/plain")

    do_POST = do_PUT = do_CONNECT = do_DELETE = do_OPTIONS = do_PATCH = do_TRACE = _refused_method  # noqa: N815  # http.server's names

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, session: Session, digest: str, name: str) -> None:
        given = session.file(digest, name)
        size = given.stored.size
        wanted = _range(self.headers.get("Range"), size)
        start, end = wanted or (0, size)
        with given.stored.path.open("rb") as source:
            self.send_response(200 if wanted is None else 206)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - start))
            if wanted is not None:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            if self.command != "HEAD":
                source.seek(start)
                _copy(source, self.wfile, end - start)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read a range with one part (RFC 9110 section 14); what is none, or cannot be had, gets the whole file."""
    match = _RANGE.match(header or "")
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    return (start, end) if 0 <= start < end <= size else None


def _copy(source: BinaryIO, target: Any, count: int) -> None:  # noqa: ANN401  # a socket's file
    if count > 1 << 20:
        target.flush()
    left = count
    while left > 0 and (chunk := source.read(min(left, 1 << 18))):
        target.write(chunk)
        left -= len(chunk)
