"""The processes of one instance under supervisord: started once, restarted when they die, stopped by ``--stop``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.launch import process_names

_START_SECONDS = 60
_STOP_SECONDS = 30

_CONFIGURATION = """\
[unix_http_server]
file={run}/supervisor.sock
chmod=0700
[supervisord]
nodaemon=false
logfile={run}/supervisord.log
logfile_maxbytes=5MB
pidfile={run}/supervisord.pid
childlogdir={run}
directory=/
umask=022
user=root
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{run}/supervisor.sock
"""

_PROGRAM = """\
[program:{name}]
command={python} -m service.launch {name}
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs=15
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={run}/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One row of ``--status``: supervisord's word for the state, and the pid while it runs."""

    name: str
    state: str
    pid: int | None


def running(settings: Settings) -> bool:
    """Say whether this instance's supervisord lives (its pid file may be stale: the command line decides)."""
    return supervisor_pid(settings) is not None


def supervisor_pid(settings: Settings) -> int | None:
    """The pid of this instance's supervisord."""
    try:
        pid = int((settings.home / "run" / "supervisord.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(_configuration_path(settings)).encode() in command else None


def start(settings: Settings) -> None:
    """Start every process; orphans of a supervisord that was killed are ended first, since they hold the ports."""
    run = settings.home / "run"
    _end_orphans(settings)
    text = _CONFIGURATION.format(run=run)
    for name in process_names(settings):
        text += _PROGRAM.format(name=name, python=sys.executable, run=run)
    _configuration_path(settings).write_text(text)
    environment = {key: value for key, value in os.environ.items() if key not in ("REPROVE_TOKEN", "REPROVE_URL", "REPROVE_TRUST")}
    environment |= {"REPROVE_HOME": str(settings.home)}
    binary = Path(sys.executable).parent / "supervisord"
    result = subprocess.run(
        [str(binary), "-c", str(_configuration_path(settings))], env=environment, capture_output=True, text=True, timeout=_START_SECONDS, check=False
    )
    if result.returncode != 0:
        raise OwnError(f"supervisord did not start: {(result.stderr or result.stdout).strip()[-400:]}")


def status(settings: Settings) -> list[ProcessStatus]:
    """Every process with its state; empty when nothing runs."""
    if not running(settings):
        return []
    binary = Path(sys.executable).parent / "supervisorctl"
    result = subprocess.run(
        [str(binary), "-c", str(_configuration_path(settings)), "status"], capture_output=True, text=True, timeout=_START_SECONDS, check=False
    )
    rows = []
    for line in result.stdout.splitlines():
        words = line.split()
        if len(words) >= 2:
            pid = int(words[3].rstrip(",")) if len(words) > 3 and words[2] == "pid" else None
            rows.append(ProcessStatus(words[0], words[1].lower(), pid))
    return rows


def stop(settings: Settings) -> int:
    """End supervisord and with it every process; returns how many were running."""
    pid = supervisor_pid(settings)
    count = sum(row.pid is not None for row in status(settings))
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while running(settings) and time.monotonic() < deadline:
            time.sleep(0.1)
        if running(settings):
            raise OwnError(f"supervisord (pid {pid}) did not stop within {_STOP_SECONDS} s")
    return count + _end_orphans(settings)


def tail(settings: Settings, process: str, lines: int = 5) -> str:
    """The last lines of a process's log, for the message that says why it does not run."""
    try:
        return "\n".join((settings.home / "run" / f"{process}.log").read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _configuration_path(settings: Settings) -> Path:
    return settings.home / "run" / "supervisord.conf"


def _end_orphans(settings: Settings) -> int:
    """End what run/*.pid names, if it is really ours: same home in its environment. Nothing else is ever signalled."""
    mark = f"REPROVE_HOME={settings.home}".encode()
    found = []
    for file in (settings.home / "run").glob("*.pid"):
        try:
            pid = int(file.read_text())
            ours = mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            ours = False
        if ours and pid != os.getpid():
            os.kill(pid, signal.SIGTERM)
            found.append(pid)
        else:
            file.unlink(missing_ok=True)
    deadline = time.monotonic() + 12
    while found and time.monotonic() < deadline:
        found_alive = [pid for pid in found if Path(f"/proc/{pid}").exists()]
        if not found_alive:
            return len(found)
        time.sleep(0.1)
    for pid in found:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
    return len(found)
