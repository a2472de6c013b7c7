"""Causes that packing tools leave in headers: each makes a pair that differs in one thing that a tool was told, or found, otherwise."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.compare.held_out.projects import EPOCH, deb, npm, run, sdist, wheel, write

WHEEL, SDIST, DEB, NPM, JAR = "demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "demo_1.0_amd64.deb", "demo-1.0.0.tgz", "demo.jar"
Made = tuple[str, bytes, bytes]
Scenario = Callable[[random.Random, Path, Path], Made]


def _later(rng: random.Random) -> int:
    return EPOCH + rng.randrange(100_000, 9_000_000, 2)


def _retimed(top: Path, moment: int) -> None:
    for path in sorted(top.rglob("*")):
        os.utime(path, (moment, moment), follow_symlinks=False)


def wheel_times(rng: random.Random, a: Path, b: Path) -> Made:
    wheel(b)  # makes the files of dist-info, so that they are given a time too
    old = wheel(a)
    info = b / "demo-1.0.dist-info"
    moment = _later(rng)
    _retimed(b, moment)
    names = [str(path.relative_to(b)) for path in [*sorted((b / "demo").rglob("*")), *(info / name for name in ("METADATA", "WHEEL", "RECORD"))]]
    out = b.parent / "late.whl"
    run("zip", "-q", "-X", "-D", str(out), *names, cwd=b)
    return WHEEL, old, out.read_bytes()


def sdist_times(rng: random.Random, a: Path, b: Path) -> Made:
    return SDIST, sdist(a), sdist(b, f"--mtime=@{_later(rng)}")


def deb_times(rng: random.Random, a: Path, b: Path) -> Made:
    """No SOURCE_DATE_EPOCH, and the files were made when they were built."""
    options = ("--no-uniform-compression",)
    return DEB, deb(a, *options, SOURCE_DATE_EPOCH=str(EPOCH)), deb(b, *options, SOURCE_DATE_EPOCH=str(EPOCH - rng.randrange(999_999)))


def jar_times(rng: random.Random, a: Path, b: Path) -> Made:
    made = []
    for top, moment in ((a, EPOCH), (b, _later(rng))):
        _retimed(top / "demo", moment)
        date = run("date", "-u", "-d", f"@{moment}", "+%Y-%m-%dT%H:%M:%SZ", cwd=top).decode().strip()
        run("jar", "--create", "--file", "out.jar", f"--date={date}", "-C", "demo", ".", cwd=top)
        made.append((top / "out.jar").read_bytes())
    return JAR, made[0], made[1]


def wheel_zone(rng: random.Random, a: Path, b: Path) -> Made:
    zone = rng.choice(["Asia/Kolkata", "America/New_York", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns"])
    for top in (a, b):
        _retimed(top, EPOCH)
        for number, path in enumerate(sorted((top / "demo").rglob("*"))):
            os.utime(path, (EPOCH - number * 86_400, EPOCH - number * 86_400))
    return WHEEL, wheel(a), wheel(b, TZ=zone)


def sdist_source_times(rng: random.Random, a: Path, b: Path) -> Made:
    for number, path in enumerate(sorted(a.rglob("*"))):
        os.utime(path, (EPOCH - number * 50_000,) * 2)
    kept = ("--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar")
    return SDIST, sdist(a, *kept, plain=False), sdist(b, *kept, f"--mtime=@{_later(rng)}")


def _group_writable(top: Path) -> None:
    for path in sorted(top.rglob("*")):
        path.chmod(path.stat().st_mode | 0o020)


def wheel_umask(_rng: random.Random, a: Path, b: Path) -> Made:
    _group_writable(b / "demo")
    return WHEEL, wheel(a), wheel(b)


def sdist_umask(_rng: random.Random, a: Path, b: Path) -> Made:
    return SDIST, sdist(a), sdist(b, "--mode=go-rwx")


def deb_umask(_rng: random.Random, a: Path, b: Path) -> Made:
    _group_writable(b / "demo")
    return DEB, deb(a), deb(b)


def sdist_owners(rng: random.Random, a: Path, b: Path) -> Made:
    who = (f"--owner=builder:{rng.randrange(1000, 60000)}", "--group=users:100")
    return SDIST, sdist(a), sdist(b, "--sort=name", f"--mtime=@{EPOCH}", "--format=ustar", *who, plain=False)


def deb_owners(rng: random.Random, a: Path, b: Path) -> Made:
    old = deb(a)
    deb(b)
    user = rng.randrange(1000, 60000)
    for path in [b.parent / "root", *(b.parent / "root").rglob("*")]:
        os.chown(path, user, user, follow_symlinks=False)
    run("dpkg-deb", "--build", "root", "owned.deb", cwd=b.parent)
    return DEB, old, (b.parent / "owned.deb").read_bytes()


def sdist_order(rng: random.Random, a: Path, b: Path) -> Made:
    names = [str(path.relative_to(b.parent)) for path in sorted(b.rglob("*")) if path.is_file()]
    made = []
    for top in (a, b):
        write(top.parent / "list", "\n".join(names) + "\n")
        made.append(sdist(top, "-T", "list"))
        rng.shuffle(names)
    return SDIST, made[0], made[1]


def wheel_order(rng: random.Random, a: Path, b: Path) -> Made:
    old = wheel(a)
    wheel(b)
    names = [str(path.relative_to(b)) for folder in ("demo", "demo-1.0.dist-info") for path in sorted((b / folder).rglob("*")) if path.is_file()]
    rng.shuffle(names)
    out = b.parent / "mixed.whl"
    run("zip", "-q", "-X", "-D", str(out), *names, cwd=b)
    return WHEEL, old, out.read_bytes()


def sdist_dialect(rng: random.Random, a: Path, b: Path) -> Made:
    return SDIST, sdist(a), sdist(b, f"--format={rng.choice(['gnu', 'pax'])}")


def sdist_pax_times(_rng: random.Random, a: Path, b: Path) -> Made:
    return SDIST, sdist(a, "--format=pax", "--pax-option=delete=atime,delete=ctime"), sdist(b, "--format=gnu")


def sdist_level(_rng: random.Random, a: Path, b: Path) -> Made:
    return SDIST, sdist(a, gzip=("-n",)), sdist(b, gzip=("-n", "-1"))


def sdist_gzip(_rng: random.Random, a: Path, b: Path) -> Made:
    for top in (a, b):
        _retimed(top, EPOCH)
    return SDIST, sdist(a), sdist(b, gzip=("-N",))


def deb_compressor(rng: random.Random, a: Path, b: Path) -> Made:
    return DEB, deb(a, "-Zxz"), deb(b, *rng.choice([["-Zgzip"], ["-Zzstd"], ["-Zxz", "-z1"], ["-Zgzip", "-z1"]]))


def deb_threads(rng: random.Random, a: Path, b: Path) -> Made:
    data = "".join(f"{rng.randrange(10**9)}\n" for _ in range(350_000))
    made = []
    for top, option in ((a, "--threads=1"), (b, "--block-size=1MiB")):
        write(top / "demo/data/big.txt", data)
        deb(top, "-Znone")
        run("ar", "x", "demo_1.0_amd64.deb", cwd=top.parent)
        run("xz", "-0", option, "data.tar", cwd=top.parent)
        run("ar", "rcSD", "made.deb", "debian-binary", "control.tar", "data.tar.xz", cwd=top.parent)
        made.append((top.parent / "made.deb").read_bytes())
    return DEB, made[0], made[1]


def wheel_level(rng: random.Random, a: Path, b: Path) -> Made:
    return WHEEL, wheel(a), wheel(b, "-X", "-D", rng.choice(["-1", "-9", "-0"]))


def wheel_extra(_rng: random.Random, a: Path, b: Path) -> Made:
    """Info-ZIP told to leave out extra fields on one side only."""
    for top in (a, b):
        _retimed(top, EPOCH)
    return WHEEL, wheel(a), wheel(b, "-D")


def wheel_folders(_rng: random.Random, a: Path, b: Path) -> Made:
    """A packer that writes entries for folders, against one that does not."""
    wheel(a), wheel(b)
    made = []
    for top, option in ((a, "-D"), (b, "-X")):
        _retimed(top, EPOCH)
        run("zip", "-q", "-X", option, "-r", "../out.whl", "demo", "demo-1.0.dist-info", cwd=top)
        made.append((top.parent / "out.whl").read_bytes())
    return WHEEL, made[0], made[1]


def wheel_bsdtar(_rng: random.Random, a: Path, b: Path) -> Made:
    """Packed by bsdtar: other versions, flags, extra fields."""
    wheel(a), wheel(b)
    for top in (a, b):
        _retimed(top, EPOCH)
    names = [str(path.relative_to(b)) for folder in ("demo", "demo-1.0.dist-info") for path in sorted((b / folder).rglob("*")) if path.is_file()]
    run("zip", "-q", "-X", "-D", "../out.whl", *names, cwd=a)
    run("bsdtar", "--format", "zip", "-cf", "../out.whl", *names, cwd=b)
    return WHEEL, (a.parent / "out.whl").read_bytes(), (b.parent / "out.whl").read_bytes()


def npm_executable(_rng: random.Random, a: Path, b: Path) -> Made:
    for top in (a, b):
        shutil.copy(top / "run.sh", top / "demo/run.sh")
        write(top / "demo/package.json", '{"name": "demo", "version": "1.0.0"}\n')
    (a / "demo/run.sh").chmod(0o644)
    return NPM, npm(a), npm(b)


def wheel_executable(_rng: random.Random, a: Path, b: Path) -> Made:
    (b / "demo/__init__.py").chmod(0o755)
    return WHEEL, wheel(a), wheel(b)


SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    ("build-time", wheel_times),
    ("build-time", sdist_times),
    ("build-time", deb_times),
    ("build-time", jar_times),
    ("time-zone", wheel_zone),
    ("source-times", sdist_source_times),
    ("umask", wheel_umask),
    ("umask", sdist_umask),
    ("umask", deb_umask),
    ("owners", sdist_owners),
    ("owners", deb_owners),
    ("file-order", sdist_order),
    ("file-order", wheel_order),
    ("tar-dialect", sdist_dialect),
    ("tar-dialect", sdist_pax_times),
    ("compressor", sdist_level),
    ("gzip-header", sdist_gzip),
    ("compressor", deb_compressor),
    ("threads", deb_threads),
    ("compressor", wheel_level),
    ("packer", wheel_extra),
    ("packer", wheel_folders),
    ("packer", wheel_bsdtar),
    ("executable-bit", npm_executable),
    ("executable-bit", wheel_executable),
)
