"""What the shell half of the quickstart makes of its state folder before Python sees it. Nothing is installed or started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.instance import REPOSITORY


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    python = folder / "state" / "app" / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PWD $*"\n')
    python.chmod(0o755)
    command = [str(REPOSITORY / "deploy" / "quickstart"), *arguments]
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("arguments", [("--home", "state"), ("--home=state",)])
def test_a_relative_folder_is_meant_from_where_the_user_stands(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = _run(tmp_path, *arguments, "--status")
    assert done.stdout.startswith("/ -m service.quickstart")
    assert done.stdout.endswith(f"--status --home {tmp_path}/state\n")


@pytest.mark.parametrize("arguments", [("--home=",), ("--home", "")])
def test_an_empty_folder_is_refused_before_anything_is_removed_below_the_root(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = _run(tmp_path, *arguments, "--status")
    assert (done.returncode, done.stdout) == (2, "")
