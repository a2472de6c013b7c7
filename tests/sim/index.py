"""A simulated package index: a real HTTP server on loopback whose state and faults a test changes while it runs.

It speaks PEP 691 and 700. ``tests/sim/test_index_contract.py`` runs it and a real index through the same cases.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
UPLOADED = "2024-01-02T03:04:05.678900Z"


class Fault(StrEnum):
    """How one answer goes wrong."""

    DOWN = "down"  # the connection is closed without an answer
    STATUS = "status"  # an error status, ``value``
    SLOW = "slow"  # nothing for ``value`` seconds, then the answer
    DRIP = "drip"  # a byte every ``value`` seconds
    ENDLESS = "endless"  # no length, no end
    GARBAGE = "garbage"  # 200 with the right media type and no JSON
    HTML = "html"  # 200 with the media type of a browser page
    TRUNCATED = "truncated"  # half of the announced bytes, then closed
    CHANGED = "changed"  # other bytes of the same length
    SHORT = "short"  # half of the bytes, announced as such
    BOMB = "bomb"  # gzip that was not asked for, 64 MiB of zeros
    REDIRECT = "redirect"  # to ``value``


@dataclass
class SimFile:
    """One file of a project; ``None`` members are left out of the page."""

    data: bytes
    uploaded: str | None = UPLOADED
    yanked: bool | str = False
    sha256: str | None = None
    size: int | None = -1
    url: str | None = None

    @property
    def digest(self) -> str:
        return self.sha256 or hashlib.sha256(self.data).hexdigest()


@dataclass
class _Planned:
    prefix: str
    fault: Fault
    value: Any
    times: int


@dataclass
class SimIndex:
    """``with SimIndex() as index``: ``index.url`` is a ``/simple/`` address, ``index.allow`` what egress rules must list."""

    projects: dict[str, dict[str, SimFile]] = field(default_factory=dict)
    api_version: str = "1.1"
    asked: list[str] = field(default_factory=list)
    planned: deque[_Planned] = field(default_factory=deque)
    rewrite: Callable[[dict[str, Any]], None] | None = None
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        index = self

        class Handler(_Handler):
            sim = index

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/simple/"

    @property
    def allow(self) -> tuple[str, ...]:
        return (self.base,)

    def add(self, project: str, name: str, data: bytes, **values: Any) -> SimFile:
        """Publish a file."""
        file = SimFile(data, **values)
        self.projects.setdefault(project, {})[name] = file
        return file

    def release(
        self, project: str, version: str, *, wheel: bytes | None = None, sdist: bytes | None = None, **values: Any
    ) -> tuple[SimFile, SimFile]:
        """Publish a pure wheel and its sdist."""
        stem = f"{project.replace('-', '_')}-{version}"
        made = self.add(project, f"{stem}-py3-none-any.whl", wheel or make_wheel(project, version), **values)
        return made, self.add(project, f"{stem}.tar.gz", sdist or make_sdist(project, version), **values)

    def fail(self, prefix: str, fault: Fault, value: Any = None, *, times: int = 1_000_000) -> None:
        """Make the next ``times`` answers below ``prefix`` (``/simple/x/`` or ``/files/x/``) go wrong."""
        self.planned.append(_Planned(prefix, fault, value, times))

    def heal(self) -> None:
        """Take every planned fault back."""
        self.planned.clear()

    def page(self, project: str) -> bytes | None:
        """The page's bytes, None for an unknown project."""
        files = self.projects.get(project)
        if files is None:
            return None
        document: dict[str, Any] = {
            "meta": {"api-version": self.api_version},
            "name": project,
            "versions": sorted({name.split("-")[1].removesuffix(".tar.gz") for name in files if "-" in name}),
            "files": [self._row(project, name, file) for name, file in files.items()],
        }
        if self.rewrite is not None:
            self.rewrite(document)
        return json.dumps(document).encode()

    def _row(self, project: str, name: str, file: SimFile) -> dict[str, Any]:
        row: dict[str, Any] = {
            "filename": name,
            "url": file.url or f"{self.base}/files/{project}/{name}",
            "hashes": {"sha256": file.digest},
            "requires-python": None,
            "yanked": file.yanked,
        }
        if file.size is not None:
            row["size"] = len(file.data) if file.size < 0 else file.size
        if file.uploaded is not None:
            row["upload-time"] = file.uploaded
        return row

    def take_fault(self, path: str) -> _Planned | None:
        for planned in self.planned:
            if planned.times > 0 and path.startswith(planned.prefix):
                planned.times -= 1
                return planned
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    sim: SimIndex
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self.sim.asked.append(self.path)
        body, kind = self._body()
        planned = self.sim.take_fault(self.path)
        if planned is not None and planned.fault is Fault.SLOW:
            time.sleep(planned.value)
            planned = None
        if planned is None:
            if body is None:
                self._send(404, b"not found", "text/plain")
            else:
                self._send(200, body, kind)
        else:
            self._fail(planned, body or b"", kind)

    def _body(self) -> tuple[bytes | None, str]:
        parts = self.path.strip("/").split("/")
        if len(parts) == 2 and parts[0] == "simple":
            return self.sim.page(parts[1]), MEDIA_TYPE
        if len(parts) == 3 and parts[0] == "files":
            file = self.sim.projects.get(parts[1], {}).get(parts[2])
            return (None if file is None else file.data), "application/octet-stream"
        return None, "text/plain"

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None, *, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body) if length is None else length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, planned: _Planned, body: bytes, kind: str) -> None:
        self.close_connection = True
        if planned.fault is Fault.DOWN:
            return
        simple: dict[Fault, Callable[[], None]] = {
            Fault.STATUS: lambda: self._send(planned.value, b"fault", "text/plain"),
            Fault.GARBAGE: lambda: self._send(200, b"<<<<{{{{ no json", kind),
            Fault.HTML: lambda: self._send(200, b"<!doctype html><title>x</title>", "text/html"),
            Fault.CHANGED: lambda: self._send(200, bytes([body[0] ^ 1]) + body[1:] if body else b"x", kind),
            Fault.SHORT: lambda: self._send(200, body[: len(body) // 2], kind),
            Fault.TRUNCATED: lambda: self._send(200, body[: len(body) // 2], kind, length=len(body)),
            Fault.BOMB: lambda: self._send(200, gzip.compress(bytes(64 * 1024**2), 1), kind, {"Content-Encoding": "gzip"}),
            Fault.REDIRECT: lambda: self._send(302, b"", kind, {"Location": planned.value}),
        }
        if planned.fault in simple:
            simple[planned.fault]()
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        if planned.fault is Fault.DRIP:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(planned.value)
            return
        while True:
            self.wfile.write(b" " * 65536)


def make_wheel(
    project: str, version: str, *, members: Mapping[str, bytes] | None = None, requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> bytes:
    """Make a small valid wheel."""
    stem = f"{project.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n" + "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = dict(members if members is not None else {f"{project.replace('-', '_')}/__init__.py": f"__version__ = {version!r}\n".encode()})
    files[f"{stem}.dist-info/METADATA"] = metadata.encode()
    files[f"{stem}.dist-info/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: sim\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    files[f"{stem}.dist-info/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{stem}.dist-info/RECORD"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 4)), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def make_sdist(project: str, version: str, *, members: Mapping[str, bytes] | None = None) -> bytes:
    """Make a small source archive."""
    stem = f"{project.replace('-', '_')}-{version}"
    files = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(), **(members or {})}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size, info.mtime = len(data), 1_704_164_645
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
