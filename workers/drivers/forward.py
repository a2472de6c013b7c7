"""Carry bytes between a loopback port and the session's socket, inside the fetch container. Standard library only, Python 3.9 to 3.13."""

from __future__ import annotations

import contextlib
import socket
import threading


class Forwarder:
    """Listens on a free port of 127.0.0.1 and connects each client to the Unix socket at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            upstream.connect(self._path)
        except OSError:
            client.close()
            upstream.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_copy, args=(client, upstream), daemon=True).start()
        _copy(upstream, client)
        client.close()
        upstream.close()

    def close(self) -> None:
        """Stop accepting."""
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            chunk = source.recv(1 << 18)
            if not chunk:
                break
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
