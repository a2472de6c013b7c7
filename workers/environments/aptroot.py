"""A private apt: its own lists, cache and empty status, the machine's own archive addresses with the suite's name put in.

apt checks the archive's signature (Signed-By a Debian keyring) and every digest below it; the egress rules exempt it for that reason.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from workers.environments.values import EnvironmentFaultError

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
APT_SECONDS = 600
_SUFFIXES = ("", "-updates", "-security")


def clean_environment() -> dict[str, str]:
    """The environment of every tool run here: nothing of the operator's shell may reach a layer, or choose another index."""
    kept = {key: value for key, value in os.environ.items() if key.lower() in ("http_proxy", "https_proxy", "no_proxy")}
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}
    return {**kept, **fixed, "DEBIAN_FRONTEND": "noninteractive"}


def source_lines(suite: str) -> list[str]:
    """The ``deb`` lines of a suite: where this machine's apt takes its own release from, with the suite's name in place of its own.

    Raises EnvironmentFaultError where apt is missing or has no source of a Debian release.
    """
    own = _own_codename()
    keyring = next((path for path in KEYRINGS if Path(path).exists()), None)
    if keyring is None:
        raise EnvironmentFaultError("no Debian archive keyring on this machine: install debian-archive-keyring")
    rows: dict[tuple[str, str], None] = {}
    for line in _run(["apt-get", "indextargets", "--no-release-info", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"]).splitlines():
        words = line.split()
        if len(words) != 4 or words[0] != "Packages" or words[3] != "main":
            continue
        for suffix in _SUFFIXES:
            if words[2] == own + suffix:
                rows.setdefault((words[1], suite + suffix))
    if not any(release == suite for _, release in rows):
        raise EnvironmentFaultError(f"apt on this machine has no source for {own} main, so there is no archive address to take {suite} from")
    return [f"deb [signed-by={keyring}] {uri} {release} main" for uri, release in rows]


class AptRoot:
    """One private apt below ``folder``, for one suite and architecture."""

    def __init__(self, folder: Path, suite: str, arch: str) -> None:
        self.folder = folder
        self.lists = folder / "lists"
        self.archives = folder / "cache" / "archives"
        for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "etc/sources.list").write_text("".join(f"{line}\n" for line in source_lines(suite)))
        options = {
            "Dir::State": folder,
            "Dir::State::lists": self.lists,
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": folder / "etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": folder / "etc/preferences.d",
            "Dir::Etc::trusted": "/dev/null",
            "Dir::Etc::trustedparts": "/dev/null",
            "APT::Architecture": arch,
            "APT::Architectures": arch,
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Retries": "3",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            "Acquire::AllowInsecureRepositories": "false",
            # an index that has run out says nothing about today, but an old stable release's never gets a new date
            "Acquire::Check-Valid-Until": "false",
        }
        self._options = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]

    def get(self, *words: str) -> str:
        """Run apt-get and give its output; raises EnvironmentFaultError with its last error line."""
        return _run(["apt-get", "-q", *self._options, *words])

    def stream(self, *words: str) -> Iterator[str]:
        """Run apt-get and yield its output line by line."""
        yield from run_lines(["apt-get", "-q", *self._options, *words], seconds=APT_SECONDS)


def run_lines(command: list[str], *, seconds: float, umask: int = 0o022) -> Iterator[str]:
    """Run a tool in the clean environment and yield what it says on both outputs; raises EnvironmentFaultError when it fails or takes too long."""
    last: list[str] = []
    try:
        process = subprocess.Popen(
            # in our process group, so that whoever ends us ends the tool as well; mmdebstrap tidies up on SIGTERM
            ["timeout", "--foreground", "--kill-after=30", f"{seconds:g}", *command],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=umask,
        )
    except FileNotFoundError as error:
        raise EnvironmentFaultError(f"{error.filename} is not installed") from error
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = [*last[-40:], line.strip()]
                yield line
        except BaseException:
            process.terminate()
            raise
    if process.returncode == 124:
        raise EnvironmentFaultError(f"{command[0]} took longer than {seconds:g} s")
    if process.returncode != 0:
        # the first complaint among the last lines is the cause, what follows is how the tool gave up
        said = next((line for line in last if line.startswith(("E:", "error", "dpkg: error"))), last[-1] if last else "it said nothing")
        raise EnvironmentFaultError(f"{command[0]} failed ({process.returncode}): {said[:300]}")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=APT_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise EnvironmentFaultError(f"{error.filename} is not installed: environments are made on Debian") from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFaultError(f"{command[0]} took longer than {APT_SECONDS} s") from error
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise EnvironmentFaultError(f"{command[0]} failed: {(errors or ['it said nothing'])[0][:300]}")
    return done.stdout


def _own_codename() -> str:
    try:
        match = re.search(r"^VERSION_CODENAME=\"?([a-z]+)\"?$", Path("/etc/os-release").read_text(), re.MULTILINE)
    except OSError:
        match = None
    if match is None:
        raise EnvironmentFaultError("this machine's /etc/os-release names no release: environments are made on Debian")
    return match[1]
