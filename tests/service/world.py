"""A small world for tests of records, worker api and scheduler: a state folder with keys and tokens, without processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from reprove import settings as settings_module
from reprove import signers
from reprove.core.digests import Sha256, sha256
from reprove.core.dsse import Envelope
from reprove.core.outcomes import Outcome
from reprove.core.statements import parts, report, resolution
from reprove.core.statements.report import Report
from reprove.core.statements.resolution import ListedFile, Resolution, ResolvedOriginal, ResolvedSource
from reprove.settings import Settings
from reprove.signers import FileSigner, sign_statement
from service.access import enrolled, tokens
from service.access.enrolled import Enrolled, EnrolledKey
from service.records import rebuilds, requests, times
from service.records.blobstore import BlobStore, open_store
from service.records.database import Database, open_database
from service.records.ids import PrincipalId
from service.records.prepare import prepare_database
from service.records.principals import Principal, Role
from service.records.rebuilds import RebuildRow
from service.records.requests import Accepted
from service.workerapi.app import create_app

INSTANCE = "0123456789abcdef"
START = times.parse_rfc3339("2026-01-01T00:00:00Z")
PURL = "pkg:pypi/demo@1.0"
WHEEL = "demo-1.0-py3-none-any.whl"


@dataclass
class World:
    home: Path
    settings: Settings
    db: Database
    store: BlobStore
    worker: FileSigner
    resolver: FileSigner
    tokens: dict[str, str] = field(default_factory=dict)
    principals: dict[str, Principal] = field(default_factory=dict)

    @classmethod
    def make(cls, home: Path, **overrides: Any) -> World:
        (home / "instance").write_text(f"{INSTANCE}\n")
        for name in ("logs", "run", "secrets"):
            (home / name).mkdir(exist_ok=True)
        settings = settings_module.load({}, home=home, separate_users=False, **{"min_free": 0, **overrides})
        prepare_database(settings)
        world = cls(
            home,
            settings,
            open_database(settings),
            open_store(home),
            signers.generate(home / "secrets" / "worker-1.key"),
            signers.generate(home / "secrets" / "resolver.key"),
        )
        world.enroll()
        for name, roles in {
            "client": ("submit", "read", "decide"),
            "other": ("submit", "read"),
            "worker": ("work",),
            "resolver": ("resolve",),
        }.items():
            world.add_token(name, *roles)
        return world

    def enroll(self, **until: datetime) -> None:
        keys = [
            EnrolledKey("worker-1", Role.WORK, self.worker.public_key, START, until.get("worker")),
            EnrolledKey("resolver", Role.RESOLVE, self.resolver.public_key, START, until.get("resolver")),
        ]
        enrolled.store(self.home, Enrolled(tuple(keys)))

    def add_token(self, name: str, *roles: str, days: float = 30, now: datetime | None = None) -> str:
        with self.db.write() as conn:
            made = tokens.issue(conn, subject=name, roles=[Role(role) for role in roles], lifetime=timedelta(days=days), now=now or times.now())
            found = conn.exec_driver_sql("SELECT id, principal_id FROM token WHERE id = ?", (made.id,)).one()
        self.tokens[name] = made.secret
        self.principals[name] = Principal(
            PrincipalId(found.principal_id), tokens.ISSUER, name, "token", frozenset(Role(role) for role in roles), (), made.id
        )
        return made.secret

    def accept(self, purl: str = PURL, *, who: str = "client", now: datetime | None = None, **options: Any) -> Accepted:
        body = options.pop("body", {"purl": purl})
        return requests.accept(self.db, self.principals[who], {"purl": purl}, body=body, now=now or times.now(), **options)

    def rebuild(self, rebuild_id: str) -> RebuildRow:
        with self.db.read() as conn:
            row = rebuilds.get(conn, rebuild_id)
        assert row is not None
        return row

    def json(self, rebuild_id: str) -> dict[str, Any]:
        with self.db.read() as conn:
            row = rebuilds.get(conn, rebuild_id)
            assert row is not None
            return rebuilds.as_json(conn, row)

    def sql(self, text: str, *values: object) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.exec_driver_sql(text, values))

    def execute(self, text: str, *values: object) -> None:
        with self.db.write() as conn:
            conn.exec_driver_sql(text, values)

    def open_attempt(self, rebuild: str) -> str:
        rows = self.sql("SELECT id FROM attempt WHERE rebuild_id = ? AND state IN ('waiting', 'dispatched', 'running')", rebuild)
        assert len(rows) == 1, rows
        return str(rows[0].id)

    def api(self) -> WorkerCalls:
        return WorkerCalls(self, create_app(self.settings, self.db).test_client())


@dataclass
class Lease:
    token: str
    body: dict[str, Any]
    kind: str

    @property
    def rebuild(self) -> str:
        return str(self.body["rebuild"]["id"])

    @property
    def sha256(self) -> Sha256:
        return sha256(self.token.encode())


@dataclass
class WorkerCalls:
    """The worker api as a worker calls it; every answer is checked unless ``expect`` says otherwise."""

    world: World
    client: FlaskClient

    def call(self, method: str, path: str, body: Any = None, *, who: str, expect: int = 200, slug: str | None = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            sent["Authorization"] = f"Bearer {self.world.tokens.get(who, who)}"
        answer: TestResponse = self.client.open(path, method=method, data=data, headers=sent, buffered=True)
        assert answer.status_code == expect, (answer.status_code, answer.data)
        if slug is not None:
            assert answer.json is not None
            assert answer.json["type"] == f"urn:reprove:problem:{slug}", answer.json
        return answer.json if answer.is_json or slug else answer.data

    def claim(self, attempt: str, kind: str, *, expect: int = 200, slug: str | None = None, who: str | None = None, key: str | None = None) -> Lease:
        signer = self.world.resolver if kind == "resolve" else self.world.worker
        body = self.call(
            "POST",
            "/w/v1/claims",
            {"attempt": attempt, "worker": key or signer.public_key.fingerprint},
            who=who or ("resolver" if kind == "resolve" else "worker"),
            expect=expect,
            slug=slug,
        )
        return Lease(body.get("lease", ""), body, kind)

    def on(self, lease: Lease, what: str, body: Any = None, *, who: str | None = None, **options: Any) -> Any:
        return self.call(
            "POST", f"/w/v1/leases/{lease.token}/{what}", body, who=who or ("resolver" if lease.kind == "resolve" else "worker"), **options
        )

    def put(self, lease: Lease, data: bytes, *, digest: str | None = None, expect: int = 201, slug: str | None = None) -> str:
        name = digest or sha256(data)
        who = "resolver" if lease.kind == "resolve" else "worker"
        self.call("PUT", f"/w/v1/blobs/sha256:{name}", data, who=who, expect=expect, slug=slug, Reprove_Lease=lease.token)
        return name

    def resolved(self, rebuild: str, **changes: Any) -> Lease:
        """Claim the resolve attempt, put its blobs and post a good resolution."""
        lease = self.claim(self.world.open_attempt(rebuild), "resolve")
        for data in (b"original", b"source", b"page"):
            self.call(
                "PUT",
                f"/w/v1/blobs/sha256:{sha256(data)}",
                data,
                who="resolver",
                expect=201 if not self.world.store.has(sha256(data)) else 200,
                Reprove_Lease=lease.token,
            )
        self.on(lease, "resolution", self.resolution(lease, **changes).encode())
        return lease

    def resolution(self, lease: Lease, /, *, signer: FileSigner | None = None, **changes: Any) -> Envelope:
        key = signer or self.world.resolver
        value = Resolution(
            rebuild=lease.rebuild,
            lease=lease.sha256,
            request=parts.Blob(lease.body["rebuild"]["request_sha256"]),
            purl=f"{lease.body['rebuild']['request']['purl']}?file_name={WHEEL}",
            original=ResolvedOriginal(name=WHEEL, sha256=sha256(b"original"), size=8),
            source=ResolvedSource(
                kind="sdist", name="demo-1.0.tar.gz", uri="https://files.invalid/demo-1.0.tar.gz", sha256=sha256(b"source"), size=6
            ),
            index=parts.IndexRef("pypi", True, "https://index.invalid/simple/demo/", parts.Blob(sha256(b"page")), times.rfc3339(START)),
            listing=(ListedFile(WHEEL, sha256(b"original")), ListedFile("demo-1.0.tar.gz", sha256(b"source"))),
            resolver=parts.Blob(key.public_key.fingerprint),
        )
        return sign_statement(key, resolution.build(replace(value, **changes)).encode())

    def report(self, lease: Lease, /, *, signer: FileSigner | None = None, **changes: Any) -> Envelope:
        key = signer or self.world.worker
        found = self.world.rebuild(lease.rebuild)
        assert found.resolution_id is not None
        value = Report(
            rebuild=lease.rebuild,
            attempt=lease.body["attempt"]["id"],
            lease=lease.sha256,
            request=parts.Blob(lease.body["rebuild"]["request_sha256"]),
            resolution=found.resolution_id,  # type: ignore[arg-type]
            outcome=Outcome.BUILD_FAILED,
            cause=parts.Cause("backend-failed", "it said no"),
            original=parts.Sized(sha256(b"original"), 8),
            arch="amd64",
            sandbox={"network": "none"},
            timings={"build": 12},
            started=times.rfc3339(START),
            finished=times.rfc3339(START + timedelta(seconds=1)),
            worker=parts.Blob(key.public_key.fingerprint),
            deployment=parts.Deployment.SINGLE_HOST,
        )
        return sign_statement(key, report.build(WHEEL, replace(value, **changes)).encode())


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread or process does."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
