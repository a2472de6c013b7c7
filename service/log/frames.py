"""Length-prefixed frames on a Unix socket: an unsigned 32-bit big-endian length, then that many bytes of JSON. Sizes and times are bounded."""

from __future__ import annotations

import json
import socket
import struct

from reprove.core.errors import ProblemError, Slug

MAX_FRAME = 64 * 1024 * 1024
"""Enough for 256 envelopes of ordinary statements and for the largest single envelope (16 MiB, in base64 inside JSON)."""

_LENGTH = struct.Struct(">I")


def receive(connection: socket.socket, *, max_bytes: int = MAX_FRAME) -> bytes | None:
    """Read one frame; None when the other side closed between frames.

    Raises ProblemError ``too-large`` before reading anything of a frame that is too long, ``invalid-request`` for a frame that is cut short,
    and what the socket raises (TimeoutError included).
    """
    prefix = _exactly(connection, 4, optional=True)
    if prefix is None:
        return None
    (length,) = _LENGTH.unpack(prefix)
    if length > max_bytes:
        raise ProblemError(Slug.TOO_LARGE, f"a frame has at most {max_bytes} bytes, this one says {length}")
    data = _exactly(connection, length)
    assert data is not None
    return data


def send(connection: socket.socket, document: object) -> None:
    """Write one JSON value as a frame."""
    send_bytes(connection, json.dumps(document, separators=(",", ":")).encode())


def send_bytes(connection: socket.socket, data: bytes) -> None:
    """Write a frame of bytes that are JSON already."""
    connection.sendall(b"".join((_LENGTH.pack(len(data)), data)))


def _exactly(connection: socket.socket, count: int, *, optional: bool = False) -> bytes | None:
    buffer = bytearray(min(count, 1 << 20))
    got = 0
    while got < count:
        if got == len(buffer):
            # Grown as bytes arrive: a length alone does not reserve memory.
            buffer.extend(bytes(min(count - got, len(buffer))))
        received = connection.recv_into(memoryview(buffer)[got:])
        if received == 0:
            if optional and got == 0:
                return None
            raise ProblemError(Slug.INVALID_REQUEST, f"the frame ends after {got} of {count} bytes")
        got += received
    return bytes(buffer)
