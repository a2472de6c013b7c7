"""Packages that tests publish in a simulated index: a build backend of our own, projects that it builds, and hostile variants of both.

The backend is real: it is fetched as a wheel and runs in the build container. ``Project.wheel`` runs the same code here, so that the published
wheel is what an honest maintainer would have made.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim.index import SimIndex

BACKEND = "demobackend"
STAMP = (2024, 1, 2, 3, 4, 4)
MTIME = 1704164644

BACKEND_CODE = """
import base64, hashlib, os, zipfile
from pathlib import Path

STAMP = (2024, 1, 2, 3, 4, 4)

def get_requires_for_build_wheel(config_settings=None):
    return Path("requires.txt").read_text().split() if Path("requires.txt").exists() else []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    hook = Path("hook.py")
    if hook.exists():
        exec(compile(hook.read_text(), "hook.py", "exec"), {"wheel_directory": wheel_directory})
    name, version = Path("NAME").read_text().split()
    info = f"{name}-{version}.dist-info"
    files = {str(p): p.read_bytes() for p in sorted(Path(name).rglob("*")) if p.is_file()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: demobackend 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}")
    rows.append(f"{info}/RECORD,,")
    files[f"{info}/RECORD"] = ("\\n".join(rows) + "\\n").encode()
    target = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, target), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            item = zipfile.ZipInfo(path, STAMP)
            item.external_attr = 0o100644 << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, data)
    return target
"""


def wheel_bytes(
    name: str, version: str, files: Mapping[str, bytes], *, generator: str = "demobackend 1.0", modes: Mapping[str, int] | None = None
) -> bytes:
    """A wheel over ``files`` with a true RECORD, written as the backend writes one."""
    info = f"{name}-{version}.dist-info"
    members = dict(files)
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\nTag: py3-none-any\n".encode()
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}" for path, data in members.items()
    ]
    members[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            item = zipfile.ZipInfo(path, STAMP)
            item.external_attr = (modes or {}).get(path, 0o100644) << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, data)
    return out.getvalue()


def backend_wheel() -> bytes:
    """The backend itself as an installable wheel."""
    return wheel_bytes(BACKEND, "1.0", {f"{BACKEND}.py": BACKEND_CODE.encode()})


@dataclass
class Project:
    """A project with its source files; ``hook`` is code of the package that the backend runs while it builds."""

    name: str = "demo"
    version: str = "1.0"
    files: dict[str, bytes] = field(default_factory=lambda: {"__init__.py": b"VALUE = 41\n", "net.py": b"def get():\n    return 'ok'\n" * 20})
    requires: list[str] = field(default_factory=lambda: [BACKEND])
    hook: str = ""
    needs: list[str] = field(default_factory=list)
    extra: dict[str, bytes] = field(default_factory=dict)

    @property
    def wheel_name(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"

    def source_files(self) -> dict[str, bytes]:
        quoted = ", ".join(f'"{item}"' for item in self.requires)
        files = {
            "pyproject.toml": f'[build-system]\nrequires = [{quoted}]\nbuild-backend = "{BACKEND}"\n'.encode(),
            "NAME": f"{self.name} {self.version}\n".encode(),
            **{f"{self.name}/{path}": data for path, data in self.files.items()},
            **self.extra,
        }
        if self.hook:
            files["hook.py"] = self.hook.encode()
        if self.needs:
            files["requires.txt"] = "\n".join(self.needs).encode()
        return files

    def sdist(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            for path, data in self.source_files().items():
                item = tarfile.TarInfo(f"{self.name}-{self.version}/{path}")
                item.size, item.mtime, item.mode = len(data), MTIME, 0o644
                archive.addfile(item, io.BytesIO(data))
        return out.getvalue()

    def wheel(self) -> bytes:
        """What an honest maintainer published: the backend's own output over these sources, the hook left out."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, data in self.source_files().items():
                if path in ("hook.py", "requires.txt"):
                    continue
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
            with _backend(root) as backend:
                return (root / backend.build_wheel(str(root))).read_bytes()  # type: ignore[attr-defined]

    def publish(self, index: SimIndex, *, wheel: bytes | None = None, sdist: bytes | None = None) -> str:
        """Put the release and the backend into an index; returns the purl."""
        index.add(BACKEND, f"{BACKEND}-1.0-py3-none-any.whl", backend_wheel(), uploaded="2023-01-01T00:00:00Z")
        index.add(self.name, self.wheel_name, wheel if wheel is not None else self.wheel())
        index.add(self.name, f"{self.name}-{self.version}.tar.gz", sdist if sdist is not None else self.sdist())
        return self.purl


@contextmanager
def _backend(folder: Path) -> Iterator[object]:
    file = folder / f"{BACKEND}_under_test.py"
    file.write_text(BACKEND_CODE)
    spec = importlib.util.spec_from_file_location(BACKEND, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = Path.cwd()
    no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    os.chdir(folder)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        os.chdir(before)
        sys.dont_write_bytecode = no_bytecode
