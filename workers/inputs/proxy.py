"""The recording proxy (DESIGN section 4): ``python -m workers.inputs.proxy``. It holds the network and the allow-list, and no key.

A worker opens a session over the control socket (frames, :mod:`workers.inputs.frames`) and mounts the session's own socket into the fetch
container. The session lives as long as the control connection it was opened on: a worker that dies leaves none behind.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from reprove import crashpoints, logs
from reprove import settings as settings_module
from reprove.core.errors import OwnError, ProblemError, ReproveError, Slug
from reprove.settings import Settings
from workers.inputs import frames
from workers.inputs.egress import EgressClient
from workers.inputs.gateway import Gateway
from workers.inputs.index import PypiIndex, parse_time
from workers.inputs.mirror import Mirror
from workers.inputs.session import Session, SessionLimits
from workers.inputs.store import InputStore

MAX_SESSIONS = 64
SESSION_SECONDS = 1800.0
MAX_BYTES = 4 * 1024**3
MAX_FILES = 2000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Open:
    session: Session
    gateway: Gateway


class Proxy:
    """One index, many sessions. ``folder`` is where session sockets are made; its path is short and only this user may enter it."""

    def __init__(self, mirror: Mirror, control: Path, folder: Path) -> None:
        self._mirror = mirror
        self._control = control
        self._folder = folder
        self._slots = threading.Semaphore(MAX_SESSIONS)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._woken, self._waker = socket.socketpair()
        self._stopping = False
        self._listening = False

    def listen(self) -> None:
        """Make the sockets. Raises OwnError when another proxy listens already."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.connect(str(self._control))
            raise OwnError(f"another proxy listens on {self._control}")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in self._folder.glob("*.sock"):
            stale.unlink()
        self._control.unlink(missing_ok=True)
        self._listener.bind(str(self._control))
        # Whoever may open sessions may use the network under the egress rules: this user and root, who runs the workers.
        self._control.chmod(0o600)
        self._listener.listen(64)
        self._listening = True

    def serve(self) -> None:
        """Accept control connections until :meth:`stop`."""
        while not self._stopping:
            ready, _, _ = select.select([self._listener, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(64)
            if self._listener in ready and not self._stopping:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
        self.close()

    def stop(self) -> None:
        """Make :meth:`serve` return; open sessions end with their connections. Safe in a signal handler, at whatever moment it comes."""
        self._stopping = True
        with contextlib.suppress(BlockingIOError):  # full of wake-ups: it is awake
            self._waker.send(b"x")

    def wake_on_signals(self) -> None:
        """Let every signal end the wait of :meth:`serve`: the kernel may hand it to any thread, and then nothing interrupts ours."""
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def close(self) -> None:
        """Give up the sockets."""
        if self._listening:
            self._listening = False
            self._control.unlink(missing_ok=True)
        for one in (self._listener, self._woken, self._waker):
            one.close()
        self._mirror.close()

    def _converse(self, connection: socket.socket) -> None:
        own: dict[str, _Open] = {}
        with connection:
            connection.settimeout(SESSION_SECONDS)
            try:
                while (request := frames.receive(connection)) is not None:
                    frames.send(connection, self._answer(request, own))
            except (OSError, ProblemError) as error:
                _log.info("control connection ended", reason=type(error).__name__)
            finally:
                for one in own.values():
                    self._close(one)

    def _answer(self, request: Any, own: dict[str, _Open]) -> dict[str, object]:  # noqa: ANN401  # any JSON value
        try:
            return _OPERATIONS[request["op"]](self, request, own)
        except (KeyError, TypeError, ValueError, AttributeError):
            return {"error": {"slug": str(Slug.INVALID_REQUEST), "detail": "not a request of this protocol"}}
        except ProblemError as error:
            return {"error": {"slug": str(error.problem.slug), "detail": error.problem.detail}}

    def _open(self, request: dict[str, Any], own: dict[str, _Open]) -> dict[str, object]:
        if str(request["index"]).rstrip("/") != self._mirror.index.url.rstrip("/"):
            raise ProblemError(Slug.FETCH_REFUSED, "a session is of the one index that the operator set")
        cut = None
        if request["cut"] is not None:
            cut = parse_time(request["cut"])
            if cut is None or cut > datetime.now(UTC) + timedelta(days=1):
                raise ProblemError(Slug.INVALID_REQUEST, "cut is no RFC 3339 time, or is to come")
        limits = request.get("limits", {})
        allowed = SessionLimits(min(int(limits.get("bytes", MAX_BYTES)), MAX_BYTES), min(int(limits.get("files", MAX_FILES)), MAX_FILES))
        if not self._slots.acquire(blocking=False):
            raise ProblemError(Slug.UNAVAILABLE, f"{MAX_SESSIONS} sessions are open")
        name = secrets.token_hex(8)
        session = Session(self._mirror, cut, allowed)
        try:
            gateway = Gateway(session, self._folder / f"{name}.sock")
        except OSError:
            self._slots.release()
            raise ProblemError(Slug.UNAVAILABLE, "the session's socket could not be made") from None
        own[name] = _Open(session, gateway)
        return {"session": name, "socket": str(gateway.path)}

    def _end(self, request: dict[str, Any], own: dict[str, _Open]) -> dict[str, object]:
        found = own.pop(str(request["session"]), None)
        if found is None:
            raise ProblemError(Slug.NOT_FOUND, "no such session on this connection")
        self._close(found)
        return found.session.record()

    def _close(self, one: _Open) -> None:
        one.gateway.close()
        self._slots.release()


_OPERATIONS: dict[str, Callable[[Proxy, dict[str, Any], dict[str, _Open]], dict[str, object]]] = {"open": Proxy._open, "close": Proxy._end}  # noqa: SLF001


def make(settings: Settings) -> Proxy:
    """Make the proxy from the settings. Raises OwnError for a state folder or settings that it must not run with."""
    if not (settings.home / "instance").exists():
        raise OwnError(f"{settings.home}/instance is missing: run `reprove init` first")
    if not settings.index_pypi_url:
        raise OwnError("index_pypi_url is not set: there is nothing to be a proxy of")
    client = EgressClient(settings.fetch_allow)
    store = InputStore(settings.home / "inputs" / "proxy")
    store.clean()
    mirror = Mirror(PypiIndex(settings.index_pypi_url, client), client, store)
    return Proxy(mirror, settings.sockets / "proxy.sock", settings.sockets / "fetch")


def main() -> int:
    """Run until SIGTERM."""
    crashpoints.check_environment()
    try:
        settings = settings_module.load()
        proxy = make(settings)
        proxy.listen()
    except (ReproveError, OSError) as error:
        print(f"workers.inputs.proxy: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 2

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        proxy.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    proxy.wake_on_signals()
    logs.configure("proxy", settings.log_level)
    _log.info("listening")
    proxy.serve()
    signal.set_wakeup_fd(-1)
    _log.info("drained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
