"""From a lock and the kept packages to one layer, bit for bit the same on every host. These are layer rules version 1.

mmdebstrap copies the host's hostname and resolver files, mode included, into what it makes: the hook removes them, with every cache, log and
list. The engine gives a container its own of these. Documentation is left out, but for the licences.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from reprove.core.digests import Sha256
from workers.environments.aptroot import clean_environment, run_lines
from workers.environments.packages import PackageStore
from workers.environments.values import RULES, EnvironmentFaultError, Lock, Progress, quiet

MAKE_SECONDS = 900
_EXCLUDED = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"),
    *("/usr/share/lintian/*", "/usr/share/linda/*", "/usr/share/groff/*", "/usr/share/bug/*"),
)
_CLEAN = (
    *("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "etc/apt/sources.list", "etc/apt/sources.list.d", "etc/.pwd.lock"),
    *("etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/apt/apt.conf.d/99mmdebstrap", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"),
    *("var/lib/apt", "var/cache/apt", "var/cache/ldconfig", "var/lib/dpkg/status-old", "var/lib/dpkg/diversions-old"),
    *(
        "var/lib/dpkg/statoverride-old",
        "var/lib/dpkg/lock",
        "var/lib/dpkg/lock-frontend",
        "var/lib/dpkg/triggers/Lock",
        "var/cache/debconf/config.dat-old",
    ),
    *("var/cache/debconf/templates.dat-old", "var/log", "run", "build", "out", "in"),
)
_USER = 1000
_HOOK = f"""set -eu
cd "$1"
rm -rf {" ".join(_CLEAN)}
mkdir -m 0755 run build out in etc/apt/sources.list.d
mkdir -m 0755 -p var/log
echo 'build:x:{_USER}:{_USER}::/build:/bin/sh' >> etc/passwd
echo 'build:x:{_USER}:' >> etc/group
"""


def build_layer(lock: Lock, store: PackageStore, target: Path, *, progress: Progress = quiet) -> Sha256:
    """Write the uncompressed layer of ``lock`` to ``target`` and return its digest (the diff id). Reads the lock and the kept packages only.

    Takes about 12 s. As root in mode ``root``, else in mode ``unshare`` (needs subordinate ids): the same bytes. Raises EnvironmentFaultError.
    """
    if lock.rules != RULES:
        raise EnvironmentFaultError(f"the lock has layer rules {lock.rules}, this release knows {RULES}")
    with tempfile.TemporaryDirectory(prefix="reprove-layer-") as folder:
        Path(folder).chmod(0o755)  # mode unshare reads it as another user
        repository = Path(folder) / "repository"
        progress(0.0, "checking the kept packages")
        _make_repository(lock, store, repository)
        hook = Path(folder) / "clean"
        hook.write_text(_HOOK)
        _run_mmdebstrap(lock, repository, hook, target, progress)
    with target.open("rb") as file:
        return Sha256(hashlib.file_digest(file, "sha256").hexdigest())


def _make_repository(lock: Lock, store: PackageStore, folder: Path) -> None:
    """Lay out a flat archive of exactly the lock's packages, each re-hashed; apt then has nothing to choose between."""
    folder.mkdir(mode=0o755)
    stanzas = []
    for row in lock.packages:
        name = f"{row.name}_{row.version.replace(':', '%3a')}_{row.arch}.deb"
        source = store.check(row)
        try:
            os.link(source, folder / name)
        except OSError:  # another file system
            shutil.copyfile(source, folder / name)
        control = _control(folder / name)
        stanzas.append(f"{control.rstrip()}\nFilename: ./{name}\nSize: {row.size}\nSHA256: {row.sha256}\n")
    packages = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(packages)
    release = f"Origin: reprove\nSuite: {lock.suite}\nCodename: {lock.suite}\nArchitectures: {lock.arch}\nDate: Thu, 01 Jan 1970 00:00:00 UTC\n"
    (folder / "Release").write_text(f"{release}SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n")


def _control(path: Path) -> str:
    done = subprocess.run(["dpkg-deb", "--field", path], env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise EnvironmentFaultError(f"{path.name} is not a Debian package: {done.stderr.strip()[:200]}")
    return done.stdout


def _run_mmdebstrap(lock: Lock, repository: Path, hook: Path, target: Path, progress: Progress) -> None:
    command = [
        *("env", f"SOURCE_DATE_EPOCH={lock.epoch}", "mmdebstrap", "--verbose", "--variant=essential", "--format=tar"),
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        f"--architectures={lock.arch}",
        f"--include={','.join(lock.include)}",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Check-Valid-Until false",
        # the hook does this. mmdebstrap's own way runs apt once more, after the hook, by a configuration file that lies in the new tree's /tmp:
        # were that gone, apt would clean the host's lists instead (it did, once). So the hook leaves /tmp alone, and no apt runs after it.
        "--skip=cleanup/apt",
        # half the time at the same digest: a crash throws the half-made tree away, so nothing in it needs to be durable
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f'--customize-hook=sh {hook} "$1"',
        lock.suite,
        str(target),
        f"deb [trusted=yes] copy://{repository} ./",
    ]
    steps = 2 * len(lock.packages)
    seen = 0
    progress(0.05, "unpacking packages")
    for line in run_lines(command, seconds=MAKE_SECONDS):
        if line.startswith(("Unpacking ", "Setting up ")):
            seen += 1
            progress(0.05 + 0.8 * min(seen / steps, 1.0), line.split("(")[0].strip().removesuffix("...").strip().lower())
        elif "creating tarball" in line:
            progress(0.88, "writing the layer")
