"""The sequencer's Unix socket: frames of JSON in, frames of JSON out; one thread per connection, few connections.

Operations: ``add`` (1 to 256 envelopes, contiguous and in order), ``prove`` (an entry by ``index`` or ``id``), ``head`` (the published
checkpoint). Every answer is an object; a refusal is ``{"error": <problem>}``. The socket is open to the attester's account alone, but what may
be logged rests on the attester's signature, not on who connects.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import structlog

from reprove.core.digests import parse_sha256
from reprove.core.errors import ProblemError, Slug
from service.log import frames
from service.log.admission import parse_request
from service.log.admission_helper import Admission
from service.log.errors import FatalError, StateError
from service.log.sequencer import Sequencer

_MAX_CONNECTIONS = 64
_IDLE_SECONDS = 300.0
_MAX_PATH = 107
_log = structlog.get_logger()


class Server:
    """Listens until :meth:`close`."""

    def __init__(self, path: Path, sequencer: Sequencer, admission: Admission, *, group: str | None = None) -> None:
        if len(os.fsencode(path)) > _MAX_PATH:
            raise StateError(f"the socket's path {path} is longer than {_MAX_PATH} bytes; choose a shorter run_dir")
        self._sequencer = sequencer
        self._admission = admission
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._path = path
        # The lock on log.db is held: a socket that is left here has no listener.
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o660)
        if group is not None:
            try:
                os.chown(path, -1, grp.getgrnam(group).gr_gid)
            except KeyError:
                raise StateError(f"there is no group {group}; set-up makes it, or set separate_users = false") from None
        self._socket.listen(_MAX_CONNECTIONS)
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Take no more connections; those under way get their answer."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                with contextlib.suppress(OSError), connection:
                    frames.send_bytes(connection, _refusal(ProblemError(Slug.RATE_LIMITED, "too many connections to the sequencer")))
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_IDLE_SECONDS)
                self._dialogue(connection)
        except OSError:
            pass  # the other side went away; what it submitted is logged all the same
        finally:
            self._slots.release()

    def _dialogue(self, connection: socket.socket) -> None:
        while True:
            try:
                frame = frames.receive(connection)
            except ProblemError as error:
                # After a frame that is too long or cut short nobody knows where the next one begins.
                frames.send_bytes(connection, _refusal(error))
                return
            if frame is None:
                return
            try:
                answer = self._answer(frame)
            except ProblemError as error:
                answer = _refusal(error)
            except FatalError as error:
                # Found while reading for one answer; the sequencing thread will find it too if it matters to what is signed.
                _log.critical("the log's files are damaged", detail=str(error))
                answer = _refusal(ProblemError(Slug.UNAVAILABLE, "the log's files are damaged; the operator has been told"))
            frames.send_bytes(connection, answer)

    def _answer(self, frame: bytes) -> bytes:
        if self._admission.is_large(frame):
            return self._sequencer.submit(self._admission.admit_frame(frame)).encode()
        request = parse_request(frame)
        match request.get("op"):
            case "add":
                return self._sequencer.submit(self._admission.admit_request(request)).encode()
            case "prove":
                return self._prove(request)
            case "head":
                published = self._sequencer.published
                return _encode({"size": published[0], "checkpoint": published[1]} if published else {"size": None, "checkpoint": None})
        raise ProblemError(Slug.INVALID_REQUEST, "op is add, prove or head", pointer="/op")

    def _prove(self, request: dict[str, Any]) -> bytes:
        if set(request) == {"op", "index"} and type(request["index"]) is int:
            return self._sequencer.prove(index=request["index"]).encode()
        if set(request) == {"op", "id"}:
            return self._sequencer.prove(attestation=bytes.fromhex(parse_sha256(request["id"], pointer="/id"))).encode()
        raise ProblemError(Slug.INVALID_REQUEST, "prove takes an index or an id")


def _encode(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _refusal(error: ProblemError) -> bytes:
    return _encode({"error": error.problem.as_json()})
