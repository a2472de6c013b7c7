"""Small real projects on disk, and the tools that pack them: tar, gzip, zip, dpkg-deb, npm, jar, gcc."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

EPOCH = 1_650_000_000
_WORDS = ["alpha", "buffer", "cursor", "digest", "encode", "filter", "gather", "header", "index", "journal", "kernel", "lookup", "merge", "number"]


def run(*command: str, cwd: Path, **env: str) -> bytes:
    """Run a tool in a fixed environment; what it prints."""
    fixed = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": str(EPOCH)} | env
    done = subprocess.run(command, cwd=cwd, env={key: value for key, value in fixed.items() if value}, umask=0o022, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout


def module(rng: random.Random) -> str:
    """A module that computes something."""
    names = rng.sample(_WORDS, 5)
    body = "".join(f"\n\ndef {name}(value, limit={rng.randrange(9, 99)}):\n    return [value + i for i in range(limit)]\n" for name in names)
    return f'"""Works on {names[0]}."""\n\nimport os\n\nVERSION = "1.0"\nHERE = os.path.dirname(__file__)\n{body}'


def sources(rng: random.Random, root: Path) -> Path:
    """A folder ``demo-1.0`` with a package in it; the same for the same state of ``rng``."""
    top = root / "demo-1.0"
    for number in range(rng.randint(3, 9)):
        write(top / "demo" / f"{rng.choice(_WORDS)}{number}.py", module(rng))
    write(top / "demo" / "__init__.py", module(rng))
    write(top / "demo" / "data" / "table.csv", "".join(f"{rng.randrange(999)},{rng.randrange(999)}\n" for _ in range(300)))
    write(top / "README.md", "# demo\n\nA demo.\n")
    write(top / "run.sh", "#!/bin/sh\nexec python3 -m demo\n").chmod(0o755)
    write(top / "pyproject.toml", '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "demo"\nversion = "1.0"\n')
    return top


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def dated(top: Path, moment: int = EPOCH, rng: random.Random | None = None) -> None:
    """Give every file one time, or different ones from a year before it."""
    for path in sorted(top.rglob("*")):
        at = moment - (rng.randrange(0, 30_000_000, 2) if rng else 0)
        os.utime(path, (at, at), follow_symlinks=False)


def sdist(top: Path, *options: str, gzip: tuple[str, ...] = ("-n",), plain: bool = True) -> bytes:
    """The project as a source archive of GNU tar and gzip."""
    fixed = ("--sort=name", f"--mtime=@{EPOCH}", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar") if plain else ()
    out = top.parent / "demo-1.0.tar"
    run("tar", *fixed, *options, "-cf", out.name, *([] if "-T" in options else [top.name]), cwd=top.parent)
    run("gzip", *gzip, "-f", out.name, cwd=top.parent)
    return (top.parent / "demo-1.0.tar.gz").read_bytes()


def wheel(top: Path, *options: str, order: list[str] | None = None, generator: str = "demo 1", **env: str) -> bytes:
    """The package as a wheel packed by Info-ZIP, with a RECORD that is true."""
    info = top / "demo-1.0.dist-info"
    write(info / "WHEEL", f"Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    if not (info / "METADATA").exists():
        write(info / "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: idna\n\nA demo.\n")
    (info / "RECORD").unlink(missing_ok=True)
    packed = [path for folder in ("demo", info.name) for path in sorted((top / folder).rglob("*")) if path.is_file()]
    packed += sorted(top.glob("*.pth"))
    names = [str(path.relative_to(top)) for path in packed]
    rows = [f"{name},sha256={_digest((top / name).read_bytes())},{(top / name).stat().st_size}\n" for name in names]
    write(info / "RECORD", "".join(rows) + f"{info.name}/RECORD,,\n")
    for made in (info / "WHEEL", info / "RECORD", info / "METADATA"):
        os.utime(made, (EPOCH, EPOCH))
    out = top.parent / "demo-1.0-py3-none-any.whl"
    out.unlink(missing_ok=True)
    listed = order or [*names, f"{info.name}/RECORD"]
    run(
        "zip",
        "-q",
        *(options or ("-X", "-D")),
        *(["-r", "."] if "-r" in options else []),
        str(out),
        *([] if "-r" in options else listed),
        cwd=top,
        **env,
    )
    return out.read_bytes()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def deb(top: Path, *options: str, rooted: bool = True, **env: str) -> bytes:
    """The project as a Debian package, with true md5sums."""
    root = top.parent / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(top / "demo", root / "usr/lib/demo", symlinks=True)
    for extra in ("usr", "etc"):
        if (top / extra).is_dir():
            shutil.copytree(top / extra, root / extra, symlinks=True, dirs_exist_ok=True)
    packed = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in packed)
    size = sum((path.stat().st_size + 1023) // 1024 for path in packed)
    control = f"Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@example.org>\nInstalled-Size: {size}\nDescription: a demo\n"
    write(root / "DEBIAN/control", control)
    write(root / "DEBIAN/md5sums", sums)
    if (top / "postinst").exists():
        shutil.copy(top / "postinst", root / "DEBIAN/postinst")
        (root / "DEBIAN/postinst").chmod(0o755)
    dated(root, EPOCH + 10)
    for made in ("DEBIAN/control", "DEBIAN/md5sums"):
        (root / made).chmod(0o644)
    (root / "DEBIAN").chmod(0o755)
    run("dpkg-deb", *(["--root-owner-group"] if rooted else []), *options, "--build", "root", "demo_1.0_amd64.deb", cwd=top.parent, **env)
    return (top.parent / "demo_1.0_amd64.deb").read_bytes()


def npm(top: Path, **env: str) -> bytes:
    """The folder ``demo`` as npm packs it."""
    run(
        "npm",
        "pack",
        "--offline",
        "--ignore-scripts",
        "--silent",
        "--pack-destination",
        str(top.parent),
        cwd=top / "demo",
        HOME=str(top.parent),
        **env,
    )
    return (top.parent / "demo-1.0.0.tgz").read_bytes()
