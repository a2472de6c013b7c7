"""How the stock verifiers are called: offline, each with the arguments that it needs, an answer of yes or no and what it printed.

A tool that is not installed skips its tests, and fails them where ``expected.toml`` must be met (REPROVE_INTEROP=required or CI).
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors" / "stock-verified"
EXPECTED = tomllib.loads((HERE / "expected.toml").read_text())
TOOLS = Path(os.environ.get("REPROVE_TOOLS") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reprove-tools")
REQUIRED = os.environ.get("REPROVE_INTEROP") == "required" or bool(os.environ.get("CI"))
TIMEOUT_SECONDS = 120
BUNDLE_TOOLS = ("cosign", "sigstore-js")


@dataclass(frozen=True)
class Answer:
    """What a tool said."""

    accepted: bool
    said: str


def missing(name: str) -> str | None:
    """Why a tool cannot be run as pinned, or None."""
    row = EXPECTED[name]
    path = TOOLS / row["file"]
    if not path.exists():
        return f"{name} {row['version']} is not installed: deploy/interop-install"
    return None if row["marks"].encode() in path.read_bytes() else f"{path} is not {name} {row['version']} as pinned: deploy/interop-install"


def demand(name: str) -> None:
    """Skip the test when the tool is not there; fail it where it has to be."""
    why = missing(name)
    if why is not None:
        pytest.fail(why) if REQUIRED else pytest.skip(why)


def offline(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """Run with no network at all: a new network namespace has not even loopback up."""
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    return subprocess.run([*unshare, *command], cwd=home, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


def verify_bundle(tool: str, home: Path, *, bundle: Path, root: Path, key: Path, file: Path, kind: str) -> Answer:
    """Ask ``tool`` whether ``bundle`` is a statement of type ``kind`` about ``file`` by ``key``, logged in a log of ``root``."""
    if tool == "cosign":
        # Without --type it expects its own; --insecure-ignore-tlog would accept a bundle without entry and is never used.
        command = [str(TOOLS / "bin" / "cosign"), "verify-blob-attestation", "--key", str(key), "--bundle", str(bundle), "--trusted-root", str(root)]
        done = offline([*command, "--type", kind, str(file)], home)
    else:
        script = HERE / "tools" / "sigstore-js" / "verify.mjs"
        done = offline(["node", str(script), str(TOOLS / "sigstore-js"), str(bundle), str(root), str(key), str(file)], home)
    return Answer(done.returncode == 0, done.stdout + done.stderr)


def fsck(home: Path, folder: Path, vkey: str) -> Answer:
    """Ask tessera's fsck about a log's folder. It exits 0 on failure and hangs with one worker on some damage: hence --N and the line."""
    key = home / "log.vkey"
    key.write_text(vkey + "\n")
    command = [str(TOOLS / "bin" / "fsck"), f"--storage_url=file://{folder}/", f"--public_key={key}", "--ui=false", "--N=4"]
    try:
        done = offline(["timeout", "30", *command], home)
    except subprocess.TimeoutExpired:
        return Answer(accepted=False, said="it hung")
    return Answer(done.returncode == 0 and "Successfully fsck'd log" in done.stderr, done.stdout + done.stderr)
