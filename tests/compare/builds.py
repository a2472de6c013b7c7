"""Small real builds: one project, packed as wheel, sdist, npm package or deb by the tools that do so, with every choice of a build open."""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import io
import os
import random
import subprocess
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WHEEL, SDIST, NPM, DEB, JAR = "wheel", "sdist", "npm", "deb", "jar"
NAMES = {WHEEL: "demo-1.0-py3-none-any.whl", SDIST: "demo-1.0.tar.gz", NPM: "demo-1.0.tgz", DEB: "demo_1.0_amd64.deb", JAR: "demo-1.0.jar"}
INFO = "demo-1.0.dist-info"
_WORDS = "alpha beta gamma delta omega parse render cache queue worker token header stream buffer index route model view field value"


@dataclass
class Spec:
    """One build: what it packs and how. Paths are the project's own; modes are the source's, before the umask; times are seconds, UTC."""

    form: str
    files: dict[str, bytes]
    info: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    time: int = 1_700_000_000
    times: dict[str, int] = field(default_factory=dict)
    zone: int = 0
    umask: int = 0o022
    owner: tuple[int, int, str, str] = (0, 0, "root", "root")
    order: list[str] | None = None
    record_order: list[int] | None = None
    level: int = 6
    method: int = zipfile.ZIP_DEFLATED
    system: int = 3
    version: int = 20
    folders: bool = False
    stamps: bool = False
    """Whether zip members carry Info-ZIP's time field, 0x5455."""
    comment: bytes = b""
    dialect: int = tarfile.USTAR_FORMAT
    gzip_time: int = 0
    gzip_name: str = ""
    gzip_os: int = 255
    xz: tuple[str, ...] = ()
    """Options of xz: then a tar is packed by xz instead of gzip."""
    control: dict[str, bytes] = field(default_factory=dict)
    members: list[tuple[str, bytes]] = field(default_factory=list)
    """More members of a wheel or jar that RECORD does not list."""

    def twin(self) -> Spec:
        return copy.deepcopy(self)

    def build(self) -> bytes:
        match self.form:
            case "wheel" | "jar":
                return _zip(self)
            case "deb":
                return _deb(self)
            case _:
                return _tar(self)


def name_of(spec: Spec) -> str:
    name = NAMES[spec.form]
    return name.removesuffix(".gz") + ".xz" if spec.xz else name


def project(rng: random.Random, form: str) -> Spec:
    """A project of a few modules with random names and code."""
    suffix = {NPM: "js", JAR: "class"}.get(form, "py")
    names = rng.sample(_WORDS.split(), rng.randint(4, 8))
    files = {f"demo/{name}.{suffix}": _module(rng, suffix) for name in names}
    if suffix == "py":
        files["demo/__init__.py"] = b'"""A demo."""\n\n__version__ = "1.0"\n'
    spec = Spec(form, files, time=rng.randrange(1_500_000_000, 1_780_000_000, 2))
    if form == WHEEL:
        spec.info = {
            "METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: a demo\nLicense: MIT\nRequires-Dist: idna >=3\n\n# demo\n",
            "WHEEL": b"Wheel-Version: 1.0\nGenerator: bdist_wheel (0.40.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n",
            "entry_points.txt": b"[console_scripts]\ndemo = demo.main:run\n",
            "top_level.txt": b"demo\n",
            "LICENSE": b"MIT License\n\nCopyright (c) 2020 the authors\n" * 3,
        }
    elif form == SDIST:
        files["PKG-INFO"] = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nLicense: MIT\n\n# demo\n"
        files["setup.py"] = b"from setuptools import setup\n\nsetup()\n"
        files["demo.egg-info/SOURCES.txt"] = "".join(f"{path}\n" for path in sorted(files)).encode()
    elif form == NPM:
        files["package.json"] = (
            b'{\n  "name": "demo",\n  "version": "1.0.0",\n  "main": "demo/index.js",\n  "scripts": {\n    "test": "node t.js"\n  }\n}\n'
        )
        files["demo/index.js"] = b'"use strict";\nexports.run = () => 1;\n'
        spec.time = 499162500
    elif form == JAR:
        manifest = "Manifest-Version: 1.0\r\nCreated-By: 17.0.1 (Debian)\r\nBuilt-By: alice\r\nBuild-Jdk: 17.0.1\r\nMain-Class: demo.Main\r\n\r\n"
        spec.info = {"MANIFEST.MF": manifest.encode()}
    files["demo/run.sh"] = b"#!/bin/sh\nset -e\nexec python3 -m demo\n"
    spec.modes["demo/run.sh"] = 0o777
    return spec


def _module(rng: random.Random, suffix: str) -> bytes:
    if suffix == "class":
        return b"\xca\xfe\xba\xbe\0\0\0\x3d" + rng.randbytes(rng.randint(200, 900))
    lines = ['"""Part of a demo."""', "", "import os", ""] if suffix == "py" else ['"use strict";', ""]
    for _ in range(rng.randint(5, 40)):
        one, two = rng.sample(_WORDS.split(), 2)
        if suffix == "py":
            lines += [f"def {one}_{two}({two}):", f"    return {two} * {rng.randint(2, 999)} + {rng.randint(2, 999)}", ""]
        else:
            lines += [f"exports.{one}_{two} = ({two}) => {two} * {rng.randint(2, 999)};"]
    return ("\n".join(lines) + "\n").encode()


def _mode(spec: Spec, path: str) -> int:
    return spec.modes.get(path, 0o666) & ~spec.umask


def _listed(spec: Spec, files: dict[str, bytes]) -> list[str]:
    place = {path: number for number, path in enumerate(spec.order or ())}
    return sorted(files, key=lambda path: place.get(path, -1)) if place else list(files)


def record_row(path: str, data: bytes) -> str:
    return f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"


def _zip(spec: Spec) -> bytes:
    folder = INFO if spec.form == WHEEL else "META-INF"
    info = {f"{folder}/{name}": data for name, data in spec.info.items()}
    files = dict(spec.files) | info if spec.form == WHEEL else info | spec.files
    if spec.form == WHEEL:
        rows = [record_row(path, data) for path, data in files.items()]
        rows = rows if spec.record_order is None else [rows[at] for at in spec.record_order if at < len(rows)]
        files[f"{INFO}/RECORD"] = ("\n".join([*rows, f"{INFO}/RECORD,,"]) + "\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = spec.comment
        for path in [*(_folders(files) if spec.folders else ()), *_listed(spec, files)]:
            archive.writestr(_entry(spec, path), files.get(path, b""), compresslevel=spec.level)
        for path, data in spec.members:
            archive.writestr(_entry(spec, path), data, compresslevel=spec.level)
    return out.getvalue()


def _folders(files: dict[str, bytes]) -> list[str]:
    return sorted({path.rpartition("/")[0] + "/" for path in files if "/" in path})


def _entry(spec: Spec, path: str) -> zipfile.ZipInfo:
    moment = spec.times.get(path, spec.time)
    made = zipfile.ZipInfo(path, time.gmtime(moment + spec.zone)[:6])
    made.create_system, made.create_version = spec.system, spec.version
    mode = 0o40000 | 0o777 & ~spec.umask if path.endswith("/") else 0o100000 | _mode(spec, path)
    made.external_attr = mode << 16 | (0x10 if path.endswith("/") else 0)
    made.compress_type = zipfile.ZIP_STORED if path.endswith("/") else spec.method
    if spec.stamps:
        made.extra = b"UT\x05\0\1" + moment.to_bytes(4, "little")
    return made


def _tar(spec: Spec) -> bytes:
    top = "package" if spec.form == NPM else "demo-1.0"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=spec.dialect) as archive:
        for path in [*(_folders(spec.files) if spec.folders else ()), *_listed(spec, spec.files)]:
            item = tarfile.TarInfo(f"{top}/{path}".rstrip("/"))
            item.mtime = spec.times.get(path, spec.time)
            item.uid, item.gid, item.uname, item.gname = spec.owner
            if path.endswith("/"):
                item.type, item.mode = tarfile.DIRTYPE, 0o777 & ~spec.umask
                archive.addfile(item)
                continue
            item.mode, item.size = _mode(spec, path), len(spec.files[path])
            archive.addfile(item, io.BytesIO(spec.files[path]))
    if spec.xz:
        return subprocess.run(["xz", "-c", *spec.xz], input=out.getvalue(), check=True, capture_output=True).stdout
    return gzipped(out.getvalue(), spec)


def gzipped(data: bytes, spec: Spec) -> bytes:
    """A gzip stream with a header of any build's."""
    machine = zlib.compressobj(spec.level, zlib.DEFLATED, -15)
    body = machine.compress(data) + machine.flush()
    name = spec.gzip_name.encode()
    effort = {9: 2, 1: 4}.get(spec.level, 0)
    head = b"\x1f\x8b\x08" + bytes([8 if name else 0]) + spec.gzip_time.to_bytes(4, "little") + bytes([effort, spec.gzip_os])
    return head + (name + b"\0" if name else b"") + body + zlib.crc32(data).to_bytes(4, "little") + (len(data) % 2**32).to_bytes(4, "little")


def man_page(text: bytes, moment: int, level: int = 9) -> bytes:
    """A manual page as gzip packs it."""
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=level, fileobj=out, mtime=moment) as packer:
        packer.write(text)
    return out.getvalue()


def _deb(spec: Spec) -> bytes:
    """By dpkg-deb, from a tree with these modes and times. ``spec.owner`` other than root needs root."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for path, data in spec.files.items():
            file = tree / "usr/share/demo" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        own = ["--root-owner-group"] if spec.owner[:2] == (0, 0) else []
        for each in () if own else (tree / "usr", *(tree / "usr").rglob("*")):
            os.chown(each, spec.owner[0], spec.owner[1])  # before chmod: it takes set-id bits away
        for each in tree.rglob("*"):
            each.chmod(0o777 & ~spec.umask if each.is_dir() else _mode(spec, str(each.relative_to(tree / "usr/share/demo"))))
        _control(spec, tree)
        for each in _deepest_first(tree):
            os.utime(each, (spec.time, spec.time), follow_symlinks=False)
        command = ["dpkg-deb", *own, "-Zgzip", f"-z{spec.level}", "-b", str(tree), str(Path(folder) / "out.deb")]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(spec.time)}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return (Path(folder) / "out.deb").read_bytes()


def _control(spec: Spec, tree: Path) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    control.chmod(0o755)
    rows = [f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  usr/share/demo/{path}\n" for path, data in sorted(spec.files.items())]
    texts = {"control": b"Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@example.org>\nInstalled-Size: 12\nDescription: a demo\n"}
    for name, data in (texts | {"md5sums": "".join(rows).encode()} | spec.control).items():
        (control / name).write_bytes(data)
        (control / name).chmod(0o755 if name in ("postinst", "prerm") else 0o644)


def _deepest_first(tree: Path) -> Iterator[Path]:
    yield from sorted((tree, *tree.rglob("*")), key=lambda path: -len(path.parts))
