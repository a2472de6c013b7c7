"""How gunicorn serves the worker api: loopback only, one process of threads, drained within eight seconds."""

from __future__ import annotations

from reprove import logs
from reprove import settings as settings_module
from reprove.core.errors import ReproveError
from reprove.crashpoints import check_environment
from service.access.enrolled import EnrolledFile
from service.records.database import open_database
from service.workerapi.context import THREADS

_settings = settings_module.load()

bind = [f"127.0.0.1:{_settings.worker_api_port}"]
worker_class = "gthread"
workers = 1
threads = THREADS
worker_connections = 1000
keepalive = 75
timeout = 60
graceful_timeout = 8
preload_app = False
forwarded_allow_ips = ""
worker_tmp_dir = "/dev/shm"  # noqa: S108  # gunicorn's own heartbeat file, which must not wait for a disk
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def on_starting(server: object) -> None:  # noqa: ARG001  # gunicorn's hook, which has no published types
    """Refuse a misspelt crash point and a state folder that is not ours, in one line, before anything listens or forks."""
    check_environment()
    try:
        open_database(_settings).close()
        EnrolledFile(_settings.home).current()
    except ReproveError as error:
        raise SystemExit(f"workerapi: {error}") from None


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001  # gunicorn's hook, which has no published types
    """Log as JSON from the first line on."""
    logs.configure("workerapi", _settings.log_level)
