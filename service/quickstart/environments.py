"""Making environments through the worker's own command: the first in the foreground with its progress bar, the others in the background.

The service never imports the workers (DESIGN section 3), so this speaks to ``reprove env`` as an operator does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.quickstart.screen import Screen

FIRST = "bookworm-python"
"""What inference and comparison run in; most builds as well."""


def make(settings: Settings, name: str, screen: Screen) -> None:
    """Make one environment, or find it made; raises OwnError with the command's last words."""
    with screen.step("environment") as step:
        process = subprocess.Popen(
            _command("make", name, "--json"), env=_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert process.stdout is not None
        words = []
        for line in process.stderr:
            words.append(line.strip())
            fraction, _, text = line.strip().partition(" ")
            if fraction.replace(".", "", 1).isdigit():
                step.update(float(fraction), f"{name}: {text}")
        answer = process.stdout.read()
        if process.wait() != 0:
            raise OwnError(f"environment {name} could not be made: {' '.join(words[-3:])}")
        made = json.loads(answer)
        step.note = f"{name}  {made['packages']} packages → {made['lock'][:12]}…"


def make_in_background(settings: Settings) -> None:
    """Make every environment under deploy/environments that is missing, in one background process whose pid stands in run/."""
    pid_file = _pid_file(settings)
    if _alive(pid_file, settings):
        return
    with (settings.home / "run" / "environments.log").open("ab") as log:
        process = subprocess.Popen(
            _command("make", "--all"), env=_environment(settings), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    pid_file.write_text(f"{process.pid}\n")


def stop_background(settings: Settings) -> None:
    """End the background making, if it runs: what it finished stays."""
    pid_file = _pid_file(settings)
    if _alive(pid_file, settings):
        os.killpg(int(pid_file.read_text()), signal.SIGTERM)
    pid_file.unlink(missing_ok=True)


def _pid_file(settings: Settings) -> Path:
    return settings.home / "run" / "environments.making"


def _alive(pid_file: Path, settings: Settings) -> bool:
    try:
        pid = int(pid_file.read_text())
        return f"REPROVE_HOME={settings.home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "reprove.cli.main", "env", *words]


def _environment(settings: Settings) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("REPROVE_") or key == "REPROVE_DEPLOY_DIR"}
    return {**kept, "REPROVE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
