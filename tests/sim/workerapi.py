"""A simulated worker api for tests of workers: the calls of the contract over real HTTP on loopback, the state in plain dictionaries."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from reprove.core import dsse
from reprove.core.canonical import canonical
from reprove.core.digests import sha256

TOKEN = "rpv_test_token"


@dataclass
class SimWorkerApi:
    """One attempt at a time. ``fail`` may answer any call instead: (method, path) in, (status, problem slug) or None out."""

    kind: str = "resolve"
    purl: str = "pkg:pypi/demo@1.0"
    n: int = 1
    claimable: bool = True
    lost: bool = False
    cancel: bool = False
    lease_seconds: float = 15
    blobs: dict[str, bytes] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    log: bytearray = field(default_factory=bytearray)
    ended: list[tuple[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    resolution: dict[str, Any] | None = None
    fail: Callable[[str, str], tuple[int, str] | None] = lambda _method, _path: None
    beats: int = 0
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        api = self

        class Handler(_Handler):
            sim = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        planned = self.fail(method, path)
        if planned is not None:
            return planned[0], _problem(*planned)
        parts = path.partition("?")[0].strip("/").split("/")[2:]
        if parts == ["claims"]:
            return self._claim(json.loads(body))
        if parts == ["blobs", "missing"]:
            return 200, {"missing": [one for one in json.loads(body)["sha256"] if one not in self.blobs]}
        if parts[0] == "blobs":
            return self._blob(method, parts[1].removeprefix("sha256:"), body)
        if self.lost or parts[1] != "lease-1":
            return 409, _problem(409, "lease-lost")
        return self._lease(parts[2], path, body)

    def _claim(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not self.claimable:
            return 409, _problem(409, "lease-lost")
        self.claimable = False
        request = {"purl": self.purl}
        claim = {
            "lease": "lease-1",
            "lease_seconds": self.lease_seconds,
            "attempt": {"id": body["attempt"], "n": self.n, "kind": self.kind},
            "rebuild": {"id": "rb-" + "0" * 20, "request": request, "request_sha256": sha256(canonical(request))},
            "limits": {"time": 60, "memory": 2**30, "disk": 2**30, "pids": 100, "log": 2**20},
        }
        if self.resolution is not None:
            claim["resolution"] = self.resolution
        return 200, claim

    def _blob(self, method: str, digest: str, body: bytes) -> tuple[int, Any]:
        if method == "GET":
            return (200, self.blobs[digest]) if digest in self.blobs else (404, _problem(404, "not-found"))
        if hashlib.sha256(body).hexdigest() != digest:
            return 422, _problem(422, "digest-mismatch")
        self.blobs[digest] = body
        return 201, {}

    def _lease(self, what: str, path: str, body: bytes) -> tuple[int, Any]:
        if what == "heartbeat":
            document = json.loads(body)
            self.beats += 1
            self.events += document["events"]
            self.waiting.append(document["waiting"])
            return 200, {"lease_seconds": self.lease_seconds, "cancel": self.cancel}
        if what == "log":
            offset = int(path.partition("offset=")[2])
            self.log[offset : offset + len(body)] = body
            return 200, {}
        if what in ("resolution", "report"):
            envelope = dsse.decode(body)
            self.ended.append((what, envelope))
            return 200, {"id": envelope.id}
        self.ended.append((what, json.loads(body)))
        return 200, {}


class _Handler(BaseHTTPRequestHandler):
    sim: SimWorkerApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.sim.calls.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, answer = 401, _problem(401, "unauthenticated")
        else:
            status, answer = self.sim.answer(self.command, self.path, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _do  # noqa: N815


def _problem(status: int, slug: str) -> dict[str, Any]:
    return {"type": f"urn:reprove:problem:{slug}", "title": slug, "status": status, "detail": f"sim says {slug}"}
