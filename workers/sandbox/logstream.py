"""The attached output of a container, always drained. An attached reader that stops reading blocks the build, and then the engine's kill."""

from __future__ import annotations

import contextlib
import socket
import struct
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER = struct.Struct(">BxxxL")
_CHUNK = 65536


class LogReader:
    """Reads frames in its own thread until the stream ends; hands on the first ``cap`` bytes and counts the rest.

    ``changed`` is set at the end of the stream and once more than ``cap`` bytes have come: whoever runs the step waits on it.
    An error of ``on_log`` is kept in ``error`` and the draining goes on.
    """

    def __init__(self, stream: socket.socket, cap: int, on_log: Callable[[bytes], None] | None, changed: Event) -> None:
        self._stream = stream
        self._allowed = self._cap = cap
        self._on_log = on_log
        self._changed = changed
        self.received = 0
        self.ended = False
        self.error: Exception | None = None
        self._thread = Thread(target=self._drain, name="sandbox-log", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the build wrote more than it may."""
        return self.received > self._allowed

    def close(self) -> None:
        """End the reader; the container is gone, so at most the last bytes in flight are waited for (5 s)."""
        self._thread.join(5)
        if self._thread.is_alive():
            self._cap = 0  # a hook this slow gets no more
            with contextlib.suppress(OSError):
                self._stream.shutdown(socket.SHUT_RDWR)
            self._thread.join(5)
        self._stream.close()

    def _drain(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        pending = bytearray()
        left = 0
        try:
            while True:
                count = self._stream.recv_into(buffer)
                if not count:
                    return
                pending += buffer[:count]
                left = self._frames(pending, left)
        except OSError:
            return  # the stream was closed under us; the container's state, not the log, says how it ended
        finally:
            self.ended = True
            self._changed.set()

    def _frames(self, pending: bytearray, left: int) -> int:
        """Take whole headers and whatever payload has come out of ``pending``; return what is left of the frame under way."""
        while pending:
            if left == 0:
                if len(pending) < _HEADER.size:
                    break
                _, left = _HEADER.unpack_from(pending)
                del pending[: _HEADER.size]
                continue
            part = bytes(pending[:left])
            del pending[: len(part)]
            left -= len(part)
            self._take(part)
        return left

    def _take(self, part: bytes) -> None:
        room = self._cap - self.received
        self.received += len(part)
        if self.over:
            self._changed.set()
        if room <= 0 or self._on_log is None or self.error is not None:
            return
        try:
            self._on_log(part[:room])
        except Exception as error:  # noqa: BLE001  # the caller's hook may fail in any way; draining must go on, the step raises it at its end
            self.error = error
            self._changed.set()
