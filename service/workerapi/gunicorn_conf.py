"""How gunicorn serves the worker api: loopback only, one process of threads, drained within eight seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reprove import logs
from reprove import settings as settings_module
from reprove.crashpoints import check_environment
from service.workerapi.context import THREADS

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

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


def on_starting(server: Arbiter) -> None:  # noqa: ARG001  # gunicorn's hook
    """Refuse a misspelt crash point before anything listens."""
    check_environment()


def post_fork(server: Arbiter, worker: Worker) -> None:  # noqa: ARG001  # gunicorn's hook
    """Log as JSON from the first line on."""
    logs.configure("workerapi", _settings.log_level)
