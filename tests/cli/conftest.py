"""A service of cardboard: scripted answers over real HTTP, and the command line run against it in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reprove.cli.main import exit_code_of

REBUILD = "rb-00000000000000000001"
DIGEST = "9c1e" * 16
PROBLEM = "application/problem+json"


@dataclass
class Reply:
    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/json"

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Script = Callable[[Seen], Reply] | Reply | list[Reply]


def problem(slug: str, detail: str, status: int, **more: Any) -> Reply:
    body = {"type": f"urn:reprove:problem:{slug}", "title": slug, "status": status, "detail": detail, **more}
    return Reply(body, status, {"Retry-After": "1"} if status in (429, 503) else {}, PROBLEM)


class Fake:
    """Answers by ``METHOD /path``; a list is played in order, its last answer stays."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.seen: list[Seen] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _handle(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                seen = Seen(self.command, parts.path, query, {key.lower(): value for key, value in self.headers.items()}, body)
                reply = fake.answer(seen)
                self.send_response(reply.status)
                for name, value in {"Content-Type": reply.media, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.data)))
                self.end_headers()
                self.wfile.write(reply.data)

            do_GET = do_POST = _handle  # noqa: N815  # the standard library's names

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that goes away is part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        script = self.scripts.get(f"{seen.method} {seen.path}")
        if script is None:
            return problem("not-found", "nothing is here", 404)
        if callable(script):
            return script(seen)
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script

    def rebuilds(self, *states: dict[str, Any], events: list[dict[str, Any]] | None = None) -> None:
        """A request is accepted and its rebuild goes through ``states``."""
        self.scripts["POST /v1/requests"] = Reply({"id": "rq-1", "rebuild": REBUILD}, 202)
        bodies = [{"kind": "rebuild", "id": REBUILD, "seq": at, "attempts": [], "attestations": [], **state} for at, state in enumerate(states)]
        self.scripts[f"GET /v1/rebuilds/{REBUILD}"] = [Reply(body) for body in bodies]
        rows = [{"n": at + 1, "at": "2026-11-24T12:00:00Z", **event} for at, event in enumerate(events or [])]
        self.scripts[f"GET /v1/rebuilds/{REBUILD}/events"] = lambda seen: Reply(
            {"items": [row for row in rows if row["n"] > int(seen.query.get("after", 0))], "next": None}
        )

    def posted(self, path: str) -> list[Any]:
        return [seen.body for seen in self.seen if seen.method == "POST" and seen.path == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()
    monkeypatch.setenv("REPROVE_URL", made.url)
    monkeypatch.setenv("REPROVE_TOKEN", "rpv_" + "t" * 43)
    yield made
    made.close()


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = exit_code_of(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ran(code, captured.out, captured.err)

    return call


def done(outcome: str = "reproduced", **more: Any) -> dict[str, Any]:
    """A finished rebuild."""
    body: dict[str, Any] = {
        "state": "done",
        "outcome": outcome,
        "original": {"sha256": DIGEST, "purl": "pkg:pypi/demo@1.0?file_name=demo.whl", "file": "demo.whl"},
    }
    if outcome == "reproduced":
        body |= {"level": "bitwise", "rebuilt": {"sha256": DIGEST}}
    else:
        body["cause"] = {"class": "payload", "detail": "demo/x.py differs"}
    body["attestations"] = [{"id": "a" * 64, "predicateType": "urn:reprove:predicate:comparison:v0.1", "logIndex": 7}]
    return body | more
