"""Become a process's account and run it: ``python -m service.launch NAME``.

The one place that says what each process of DESIGN section 4 runs, as whom, with which environment. It writes ``run/NAME.pid`` and then
replaces itself, so that the supervisor's signals reach the process and nothing privileged stays behind.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reprove import settings as settings_module
from reprove.core.errors import ReproveError
from reprove.settings import Settings
from service.accounts import RECORDS, account_of, identity_of

PROCESSES = ("redis", "sequencer", "witness", "api", "workerapi", "scheduler", "resolver", "proxy", "attester")
_KEPT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "TERM")
_NOT_KEPT = ("REPROVE_TOKEN", "REPROVE_URL", "REPROVE_TRUST")


def process_names(settings: Settings) -> tuple[str, ...]:
    """Every process of this instance, in the order of starting."""
    return (*PROCESSES, *(f"worker-{number + 1}" for number in range(settings.workers)))


def command_of(process: str, settings: Settings) -> list[str]:
    """The argument list that a process name stands for."""
    python = [sys.executable, "-m"]
    gunicorn = [*python, "gunicorn", "--config", "python:service.{}.gunicorn_conf", "service.{}.app:create_app()"]
    if process in ("api", "workerapi"):
        return [part.format(process) for part in gunicorn]
    if process.startswith("worker-"):
        return [*python, "workers.main", "rebuild"]
    return {
        "redis": ["redis-server", str(settings.home / "run" / "redis.conf")],
        "sequencer": [*python, "service.log.main"],
        "witness": [*python, "service.log.witness"],
        "scheduler": [*python, "service.scheduling.main"],
        "resolver": [*python, "workers.main", "resolve"],
        "proxy": [*python, "workers.inputs.proxy"],
        "attester": [*python, "service.attester.main"],
    }[process]


def environment_of(process: str, settings: Settings) -> dict[str, str]:
    """A cleared environment: what a process needs and the operator's ``REPROVE_`` settings, no secret of anybody's."""
    environment = {name: value for name, value in os.environ.items() if name in _KEPT or (name.startswith("REPROVE_") and name not in _NOT_KEPT)}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(settings.home / "run"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "REPROVE_HOME": str(settings.home),
    }
    if process.startswith("worker-"):
        environment["REPROVE_WORKER_NAME"] = process
    failing = environment.pop("REPROVE_FAIL_AT", None)
    only = environment.pop("REPROVE_FAIL_IN", process)
    if failing and only == process:
        environment["REPROVE_FAIL_AT"] = failing
    return environment


def main(arguments: list[str]) -> int:
    """Run ``NAME``; returns only on failure."""
    if len(arguments) != 1:
        print("usage: python -m service.launch NAME", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 2
    process = arguments[0]
    try:
        settings = settings_module.load()
        command = command_of(process, settings)
        identity = identity_of(process, separate=settings.separate_users)
    except (ReproveError, KeyError) as error:
        print(f"cannot start {process}: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return 2
    environment = environment_of(process, settings)
    _write_pid(settings.home / "run" / f"{process}.pid")
    os.chdir("/")
    # the records group shares what its members write; what a worker lays out must be readable by the build's user
    os.umask(0o007 if RECORDS in account_of(process).groups else 0o022)
    if identity is not None:
        os.setgroups(list(identity.groups))
        os.setgid(identity.gid)
        os.setuid(identity.uid)
    os.execvpe(command[0], command, environment)  # noqa: S606  # an argument list made above
    return 1


def _write_pid(path: Path) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(f"{os.getpid()}\n")
    temporary.chmod(0o644)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
