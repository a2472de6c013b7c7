"""Frames of the control socket: a length of 4 bytes, big-endian, and that many bytes of JSON."""

from __future__ import annotations

import socket
import struct
from typing import Any

from reprove.core.canonical import canonical, parse

MAX_FRAME = 16 * 1024**2


def send(connection: socket.socket, value: object) -> None:
    """Send one value."""
    data = canonical(value)
    connection.sendall(struct.pack(">I", len(data)) + data)


def receive(connection: socket.socket) -> Any:  # noqa: ANN401  # any JSON value
    """Receive one value, None when the other side has closed. Raises ProblemError for what is no frame, OSError for what breaks."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if length > MAX_FRAME:
        raise OSError(f"a frame of {length} bytes")
    data = _exactly(connection, length)
    return None if data is None else parse(data, max_bytes=MAX_FRAME, what="the frame")


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        chunk = connection.recv(min(count - len(parts), 1 << 16))
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)
