"""The RQ worker processes: ``python -m workers.main resolve`` and ``… rebuild`` (contract of DESIGN section 4: one queue each).

Redis may go away at any moment: the process waits and reconnects. SIGTERM drains it within 10 s.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from reprove import crashpoints, logs
from reprove import settings as settings_module
from reprove.core.errors import OwnError, ReproveError
from reprove.settings import Settings
from reprove.signers import open_signer
from workers import jobs, workspace
from workers.inputs.addresses import endpoint_of, parse_allow
from workers.inputs.store import InputStore
from workers.jobs import Runtime
from workers.queue import CheckedWorker, allow

FUNCTIONS: dict[str, Callable[[str], None]] = {"resolve": jobs.resolve, "rebuild": jobs.rebuild}
RECONNECT_SECONDS = 1.0
_log = structlog.get_logger(__name__)


def main(arguments: list[str]) -> int:
    """Run one worker process until SIGTERM; 2 with one line when it must not start."""
    if len(arguments) != 1 or arguments[0] not in FUNCTIONS:
        print("usage: python -m workers.main resolve|rebuild", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 2
    crashpoints.check_environment()
    try:
        runtime = prepare(arguments[0], settings_module.load())
    except (ReproveError, OSError) as error:
        print(f"workers.main {arguments[0]}: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 2
    logs.configure(runtime.name, runtime.settings.log_level)
    return serve(runtime)


def prepare(kind: str, settings: Settings) -> Runtime:
    """Read what the process needs and refuse what would void a guarantee. Raises OwnError with one line that says what to do."""
    name = "resolver" if kind == "resolve" else os.environ.get("REPROVE_WORKER_NAME", "worker-1")
    if not name.replace("-", "").isalnum():
        raise OwnError(f"REPROVE_WORKER_NAME {name!r} is not a plain name")
    instance = _read(settings.home / "instance", "run `reprove init` first")
    role = "resolve" if kind == "resolve" else "work"
    token = _read(settings.home / "secrets" / f"{name}.token", f"make one with `reprove token create --role {role}`")
    uri = settings.worker_key if kind == "rebuild" and settings.worker_key else f"file:{settings.home}/secrets/{name}.key"
    signer = open_signer(uri, public_pem=settings.home / "secrets" / f"{name}.pub")
    if signer.public_key.is_ed25519:
        raise OwnError(f"the key of {name} must be ECDSA P-256: stock verifiers read no other in statements")
    _password(settings, "resolver" if kind == "resolve" else "worker")
    if kind == "resolve":
        _check_index(settings)
    _check_keys(settings, kind)
    return Runtime(settings=settings, name=name, kind=kind, signer=signer, token=token, instance=instance)


def connect(settings: Settings, role: str) -> Redis:
    """Connect to this instance's Redis as ``role``."""
    return Redis(unix_socket_path=str(settings.sockets / "redis.sock"), username=role, password=_password(settings, role), socket_connect_timeout=5)


def _password(settings: Settings, role: str) -> str:
    return _read(settings.home / "secrets" / f"redis-{role}.password", "run `reprove init` first")


def serve(runtime: Runtime) -> int:
    """Take attempts until told to stop."""
    jobs.configure(runtime)
    # before the first fork: each attempt starts at once, and code that does not import stops the process instead of every attempt
    importlib.import_module(f"workers.{runtime.kind}")
    settings = runtime.settings
    allow({f"workers.jobs.{runtime.kind}": FUNCTIONS[runtime.kind]}, seconds=settings.candidates * settings.limit_time + 7200)
    queue, role = ("resolve", "resolver") if runtime.kind == "resolve" else (f"rebuild-{settings.arch}", "worker")
    _quiet_rq()
    stop = _Stop()
    InputStore(runtime.store).clean()
    _sweep(runtime)
    while not stop.requested:
        stop.install()
        worker: CheckedWorker | None = None
        try:
            worker = CheckedWorker(queue, connect(settings, role), name=_unique(runtime), on_dead_horse=lambda: _sweep(runtime))
            worker.work(logging_level="WARNING")
        except (AuthenticationError, NoPermissionError, ResponseError) as error:
            _log.error("redis refuses this worker; waiting", reason=str(error)[:200])
        except (RedisError, OSError) as error:
            _log.warning("redis is not there; waiting", reason=type(error).__name__)
        # asked of the worker also after a fault: when all processes are stopped at once, Redis goes first and RQ's farewell to it fails
        stop.requested |= worker is not None and worker.stopping
        if not stop.requested:
            time.sleep(RECONNECT_SECONDS)
    _log.info("drained")
    return 0


def _quiet_rq() -> None:
    """Let RQ's loggers speak through ours: with a handler of their own they would write coloured text between the JSON lines."""
    for name in ("rq.worker", "rq.job", "rq.queue"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = True
        logger.setLevel(logging.WARNING)


class _Stop:
    """SIGTERM and SIGINT outside of RQ's own loop."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        raise SystemExit(0)


def _unique(runtime: Runtime) -> str:
    """RQ refuses a name that an earlier process left registered; it is gone from Redis after a minute."""
    return f"{runtime.name}.{os.getpid()}.{time.monotonic_ns()}"


def _sweep(runtime: Runtime) -> None:
    """Remove what an attempt that died without a word left on the engine: this process runs one attempt at a time, and none now."""
    if runtime.kind != "rebuild":
        return
    workspace.sweep(runtime.settings.home / "work" / runtime.name)
    try:
        reaped = jobs.open_engine(runtime).reap((), grace_s=0)
        if reaped:
            _log.warning("removed what a dead attempt left", containers=reaped.containers, volumes=reaped.volumes, mounts=reaped.mounts)
    except ReproveError as error:
        _log.warning("could not look for what dead attempts left", reason=str(error)[:200])


def _read(path: Path, otherwise: str) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise OwnError(f"{path} is missing: {otherwise}") from None
    except PermissionError:
        raise OwnError(f"{path} cannot be read by this user") from None


def _check_index(settings: Settings) -> None:
    found = endpoint_of(settings.index_pypi_url)
    if found is None:
        raise OwnError("index_pypi_url is not set to an https address: nothing can be resolved")
    if not found[0].tls and found[0] not in parse_allow(settings.fetch_allow):
        raise OwnError("index_pypi_url is http and not listed in fetch_allow: anybody on the way could name other bytes as the original")


def _check_keys(settings: Settings, kind: str) -> None:
    """DESIGN section 4: a host that runs builds in a split deployment holds no signing key."""
    if settings.deployment != "split":
        return
    for name in ("attester.key", "log.key"):
        if os.access(settings.home / "secrets" / name, os.R_OK):
            raise OwnError(f"deployment is split, but this {kind} process can read secrets/{name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
