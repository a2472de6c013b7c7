"""Loopback ports for the servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

_FIRST, _LAST = 10_000, 32_000
"""Below what Linux gives to outgoing connections: one of those would take the port between the draw and the server's start."""


def free_port(count: int = 1) -> int:
    """Draw a port that is free now, together with the ``count - 1`` above it."""
    while True:
        first = random.randrange(_FIRST, _LAST)  # chance, not secrecy
        if all(_free(first + more) for more in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
