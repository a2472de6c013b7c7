"""How gunicorn serves the public API: one process of ``api_threads`` threads, drained within ten seconds.

One process, because the long-poll limits (half of the threads, four per principal) are counted in it; threads wait on SQLite and its fsync
outside the interpreter lock, so a second process would add little on the two cores that one machine gives us.
"""

from __future__ import annotations

from pathlib import Path

from reprove import logs
from reprove import settings as settings_module
from reprove.core.errors import ReproveError
from reprove.crashpoints import check_environment
from service.records.database import open_database

_settings = settings_module.load()

bind = [f"{_settings.host}:{_settings.port}"]
worker_class = "gthread"
workers = 1
threads = _settings.api_threads
worker_connections = 1000
keepalive = 15
timeout = 60
graceful_timeout = 8
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
preload_app = False
forwarded_allow_ips = ""
# gunicorn's own heartbeat file must not wait for a disk
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a file that gunicorn makes and unlinks itself
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def on_starting(server: object) -> None:  # noqa: ARG001  # gunicorn's hook, which has no published types
    """Refuse a misspelt crash point and a state folder that is not ours, in one line, before anything listens or forks."""
    check_environment()
    try:
        open_database(_settings).close()
    except ReproveError as error:
        raise SystemExit(f"api: {error}") from None


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001  # gunicorn's hook, which has no published types
    """Log as JSON from the first line on."""
    logs.configure("api", _settings.log_level)
