"""From a spec to a lock: apt chooses versions from the signed index, the packages are fetched and kept."""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

from reprove.core.digests import Sha256, parse_sha256
from workers.environments.aptroot import AptRoot, clean_environment
from workers.environments.packages import PackageStore
from workers.environments.values import EnvironmentFaultError, Lock, Package, Progress, Spec, quiet

_URI = re.compile(r"'([^']+)' (\S+) (\d+) SHA256:([0-9a-f]{64})\Z")
_DATE = re.compile(r"^Date: (.+)$", re.MULTILINE)
_RELEASE = re.compile(r"^Codename: (\S+)$", re.MULTILINE)
MAX_PACKAGES = 2000
ESSENTIAL = "?and(?essential,?not(?exact-name(apt)))"
"""What every Debian system has. apt counts itself among it; an environment installs nothing, and mmdebstrap leaves apt out as well."""


def native_arch() -> str:
    """Debian's name of this machine's architecture."""
    try:
        done = subprocess.run(["dpkg", "--print-architecture"], env=clean_environment(), capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFaultError("dpkg does not answer: environments are made on Debian") from error
    return done.stdout.strip()


def make_lock(spec: Spec, store: PackageStore, *, progress: Progress = quiet) -> Lock:
    """Resolve ``spec`` for this machine's architecture and keep every package that the lock names.

    Takes 5 to 15 s and 40 MB of download when nothing is kept yet. Raises EnvironmentFaultError.
    """
    arch = native_arch()
    if arch not in spec.architectures:
        raise EnvironmentFaultError(f"environment {spec.name} is for {', '.join(spec.architectures)}; this machine is {arch}")
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reprove-lock-") as folder:
        Path(folder).chmod(0o755)
        progress(0.0, "reading the package index")
        apt = AptRoot(Path(folder) / "apt", spec.suite, arch)
        apt.get("update", "--error-on=any")
        progress(0.3, "choosing packages")
        install = ("-y", "install", ESSENTIAL, *spec.packages)
        wanted = _chosen(apt.get("--print-uris", *install))
        lock = _lock(spec, arch, apt, wanted)
        _fetch(apt, install, wanted, store, progress)
    return lock


def _chosen(text: str) -> dict[str, Package]:
    """Read ``--print-uris``: the file name that apt will use, and the package with its digest from the signed index."""
    chosen: dict[str, Package] = {}
    for line in text.splitlines():
        match = _URI.match(line.strip())
        if match is None:
            continue
        name, version, arch = unquote(match[2]).removesuffix(".deb").split("_")
        chosen[match[2]] = Package(name, version, arch, parse_sha256(match[4]), int(match[3]))
    if not 1 <= len(chosen) <= MAX_PACKAGES:
        raise EnvironmentFaultError(f"apt chose {len(chosen)} packages")
    return chosen


def _lock(spec: Spec, arch: str, apt: AptRoot, wanted: dict[str, Package]) -> Lock:
    indexes: list[tuple[str, Sha256]] = []
    epoch = 0
    for path in sorted(apt.lists.glob("*_InRelease")):
        data = path.read_bytes()
        text = data.decode("utf-8", "replace")
        date, codename = _DATE.search(text), _RELEASE.search(text)
        if date is None or codename is None:
            raise EnvironmentFaultError("a signed index file has no date or code name")
        epoch = max(epoch, int(email.utils.parsedate_to_datetime(date[1]).timestamp()))
        indexes.append((codename[1], Sha256(hashlib.sha256(data).hexdigest())))
    return Lock(
        suite=spec.suite,
        arch=arch,
        rules=spec.rules,
        epoch=epoch,
        include=spec.packages,
        indexes=tuple(sorted(indexes)),
        packages=tuple(sorted(wanted.values())),
    )


def _fetch(apt: AptRoot, install: tuple[str, ...], wanted: dict[str, Package], store: PackageStore, progress: Progress) -> None:
    """Download what is not kept yet. apt finds the kept ones in its cache and checks their digests like those that it fetches."""
    missing = {name: row for name, row in wanted.items() if not store.has(row)}
    for name, row in wanted.items():
        if name not in missing:
            _link(store.path(row.sha256), apt.archives / name)
    total = sum(row.size for row in missing.values()) or 1
    sizes = {row.name: row.size for row in missing.values()}
    done = 0
    for line in apt.stream("--download-only", *install) if missing else ():
        words = line.split()
        if line.startswith("Get:"):
            progress(0.35 + 0.6 * done / total, f"fetching {done // 1_000_000} of {total // 1_000_000} MB")
            done += next((sizes[word] for word in words if word in sizes), 0)
    for name, row in missing.items():
        store.add(apt.archives / name, row)
    progress(1.0, f"{len(wanted)} packages locked")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        target.write_bytes(source.read_bytes())
