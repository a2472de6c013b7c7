"""The witness's listener: plain HTTP/1.1 on loopback, few threads, small bodies, short times."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from reprove import crashpoints, logs
from reprove import settings as settings_module
from reprove.core import notes
from reprove.core.errors import ReproveError
from reprove.settings import Settings
from reprove.signers import open_signer
from service.log.errors import FatalError, StateError
from service.log.witness import MAX_BODY, Reply, Witness
from service.log.witness_state import WitnessState

_SECONDS = 10
_MAX_CONNECTIONS = 64
_LATEST = re.compile(r"/([0-9a-f]{64})/checkpoint")
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 411: "Length Required", 413: "Content Too Large"}
_log = structlog.get_logger()


class WitnessServer(ThreadingHTTPServer):
    """Serves one :class:`Witness`; connections beyond the limit are closed at once."""

    daemon_threads = True
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # socketserver's types
        """Take a connection if there is a slot."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # socketserver's types
        """Serve a connection and give its slot back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002  # socketserver's types
        """Log what ended a connection; a fault of the state ends the process, because nobody knows what is durable."""
        error = sys.exc_info()[1]
        if isinstance(error, FatalError):
            _log.critical("witness stops", detail=str(error))
            os._exit(1)
        if not isinstance(error, OSError):
            _log.error("request failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    disable_nagle_algorithm = True
    server: WitnessServer

    def do_GET(self) -> None:
        match = _LATEST.fullmatch(self.path)
        self._send(self.server.witness.latest(match[1]) if match else Reply(404, b"not found\n"))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
            # The body is not read, so the connection cannot be used again.
            self.close_connection = True
            self._send(Reply(413, b"at most 64 KiB\n") if length else Reply(411, b"say the length\n"))
            return
        body = self.rfile.read(int(length))
        if self.path != "/add-checkpoint":
            self._send(Reply(404, b"not found\n"))
            return
        try:
            reply = self.server.witness.add_checkpoint(body)
        except sqlite3.OperationalError:
            reply = Reply(507, b"the disk of the witness is full\n")
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        # One write: headers and body in two packets would wait for each other.
        closing = "Connection: close\r\n" if self.close_connection else ""
        head = f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}\r\nContent-Type: {reply.content_type}\r\n{closing}"
        self.wfile.write(f"{head}Content-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing for each request."""


def open_server(settings: Settings) -> WitnessServer:
    """Open key, state and port; StateError or OwnError says in one line what is missing."""
    signer = open_signer(settings.witness_key)
    state = WitnessState(settings.home / "witness.db")
    vkey = notes.parse_vkey(state.meta("vkey") or "")
    if vkey.key != signer.public_key:
        raise StateError(f"{settings.home / 'witness.db'} is of witness {vkey}, the setting witness_key names another key")
    try:
        return WitnessServer(("127.0.0.1", settings.witness_api_port), Witness(state, signer))
    except OSError as error:
        raise StateError(f"port {settings.witness_api_port}: {error.strerror}") from error


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    try:
        settings = settings_module.load()
        crashpoints.check_environment()
        logs.configure("witness", settings.log_level)
        server = open_server(settings)
    except ReproveError as error:
        print(f"witness cannot start: {error}", file=sys.stderr)  # noqa: T201  # one line, also without a log
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _log.info("witness ready", port=server.server_address[1])
    while not stop.wait(0.5):  # a signal that comes just before a wait without end would be heard by nobody
        pass
    server.shutdown()
    return 0
