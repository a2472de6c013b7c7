"""An in-process public API over a temporary state folder, with tokens, and verbs that put rows where other processes would."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection
from werkzeug.test import TestResponse

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.evidence import LoggedEnvelope
from reprove.core.states import RebuildState
from reprove.settings import Settings, load
from service.access import tokens
from service.api.app import create_app
from service.records import decisions, rebuilds, statements, times
from service.records.database import Database, open_database
from service.records.prepare import prepare_database
from service.records.principals import Role
from service.records.schema import report
from tests.core import world

PURL = "pkg:pypi/idna@3.10"


def make_home(home: Path, **overrides: Any) -> Settings:
    """What `reprove init` makes, as far as the API looks at it."""
    for name in ("run", "logs", "blobs/sha256", "log/tile", "policies", "secrets"):
        (home / name).mkdir(parents=True, exist_ok=True)
    if not (home / "instance").exists():
        (home / "instance").write_text(secrets.token_hex(8))
    settings = load({}, home=home, separate_users=False, min_free=0, **overrides)
    prepare_database(settings)
    (home / "log" / "checkpoint").write_text(world.World().note(0))
    return settings


def publish_keys(home: Path, made: world.World) -> None:
    (home / "trust.json").write_bytes(made.trust().encode())
    worker, resolver = (made.key(role).public_key.base64 for role in ("worker", "resolver"))
    keys = [{"name": "worker-1", "role": "work", "spki": worker}, {"name": "resolver", "role": "resolve", "spki": resolver}]
    (home / "enrolled.json").write_bytes(canonical({"kind": "enrolled", "version": 1, "keys": keys}))


@dataclass
class Service:
    """The application, its database, and a token of each kind."""

    app: Flask
    settings: Settings
    database: Database
    tokens: dict[str, str]
    world: world.World

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def token(self, subject: str, *roles: Role, lifetime: timedelta = timedelta(days=1)) -> str:
        with self.database.write() as conn:
            return tokens.issue(conn, subject=subject, roles=roles, lifetime=lifetime, now=times.now()).secret

    def call(self, method: str, path: str, *, token: str | None = "ci", headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        return self.client.open(path, method=method, headers=sent, buffered=True, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.call("POST", path, json=json, **options)

    def request(self, purl: str = PURL, *, token: str = "ci", **members: Any) -> str:
        """Post a request and give its rebuild's id."""
        answer = self.post("/v1/requests", {"purl": purl, **members}, token=token)
        assert answer.status_code == 202, answer.text
        return str(answer.json["rebuild"])

    def rebuilt(self, purl: str = world.PURL, **options: Any) -> tuple[str, list[LoggedEnvelope]]:
        """Post a request and do what resolver, worker, attester and sequencer would: the rebuild is done and its statements are in the log."""
        identifier = self.request(purl, force=True)
        options.setdefault("recipe", b"recipe %d" % len(self.world.leaves))
        entries, reported, resolved = self.world.rebuild(**options)
        compared = json.loads(entries[-1].envelope.payload)["predicate"]
        with self.database.write() as conn:
            conn.exec_driver_sql("UPDATE attempt SET state = 'reported' WHERE rebuild_id = ?", (identifier,))
            attempt = conn.exec_driver_sql("SELECT id FROM attempt WHERE rebuild_id = ?", (identifier,)).scalar()
            for kind, envelope, holder in (("report", reported, f"{attempt}"), ("resolution", resolved, f"at-{secrets.token_hex(10)}")):
                if holder != attempt:
                    columns = "id, rebuild_id, kind, n, state, bytes_written, created"
                    conn.exec_driver_sql(f"INSERT INTO attempt ({columns}) VALUES (?, ?, 'rebuild', 9, 'reported', 0, 0)", (holder, identifier))
                there = conn.exec_driver_sql("SELECT id FROM report WHERE id = ?", (envelope.id,)).scalar()
                row = {"id": envelope.id, "kind": kind, "rebuild_id": identifier, "attempt_id": holder, "envelope": envelope.encode()}
                if there is None:
                    conn.execute(report.insert().values(**row, worker_sha256="0" * 64, lease_sha256="0" * 64, created=times.now()))
            rebuilds.move(conn, identifier, RebuildState.RUNNING, report_id=reported.id)
            rebuilds.move(conn, identifier, RebuildState.ATTESTING)
            for entry in entries:
                self.record(conn, entry, rebuild_id=identifier)
            columns = {"outcome": compared["outcome"], "level": compared.get("level"), "original_sha256": compared["original"]["sha256"]}
            rebuilds.move(conn, identifier, RebuildState.DONE, **columns)
        return identifier, entries

    def record(self, conn: Connection, entry: LoggedEnvelope, *, visibility: str = "public", **owner: Any) -> None:
        """Insert a statement and its entry as the attester does."""
        body = json.loads(entry.envelope.payload)
        predicate, subject = body["predicate"], body["subject"][0]
        columns = {
            "subject_name": subject["name"],
            "subject_sha256": subject["digest"]["sha256"],
            "rebuilt_sha256": predicate.get("rebuilt", {}).get("sha256"),
            "purl": predicate.get("original", {}).get("purl"),
            "outcome": predicate.get("outcome"),
            "level": predicate.get("level"),
            "operator": predicate.get("operator"),
        }
        now = times.now()
        identifier = entry.envelope.id
        statements.insert(conn, identifier, entry.envelope.encode(), body["predicateType"], visibility=visibility, created=now, **owner, **columns)
        proof = [base64.b64encode(one).decode() for one in entry.proof]
        moments = {"not_before": None, "not_after": now, "now": now}
        statements.record_entry(
            conn, identifier, log_index=entry.index, leaf=entry.leaf, proof=proof, checkpoint=entry.checkpoint, before=entry.before, **moments
        )

    def decided(self, identifier: str, digest: str | None = None, verdict: str = "allow", attestations: tuple[str, ...] = ()) -> LoggedEnvelope:
        """Answer a question as the attester would."""
        statement = self.world.decision(digest or sha256(world.FILE), verdict)  # type: ignore[arg-type]
        if attestations:
            statement.predicate["artifacts"][0]["attestations"] = list(attestations)
        (entry,) = self.world.add(statement)
        with self.database.write() as conn:
            decisions.begin_signing(conn, identifier, verdict, {}, [digest or sha256(world.FILE)])
            self.record(conn, entry, decision_id=identifier)
            decisions.finish(conn, identifier, times.now())
        return entry


ROLES = {
    "ci": (Role.SUBMIT, Role.READ, Role.DECIDE),
    "other": (Role.SUBMIT, Role.READ, Role.DECIDE),
    "reader": (Role.READ,),
    "worker": (Role.WORK,),
}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A state folder and its tokens, made once: migrations cost more than most tests."""
    home = tmp_path_factory.mktemp("api") / "home"
    database = open_database(make_home(home))
    with database.write() as conn:
        now, life = times.now(), timedelta(days=1)
        made = {name: tokens.issue(conn, subject=name, roles=roles, lifetime=life, now=now).secret for name, roles in ROLES.items()}
    database.close()
    publish_keys(home, world.World())
    return home, made


@pytest.fixture
def service(tmp_path: Path, prepared: tuple[Path, dict[str, str]]) -> Iterator[Service]:
    home, made = prepared
    shutil.copytree(home, tmp_path / "home")
    settings = load({}, home=tmp_path / "home", separate_users=False, min_free=0)
    database = open_database(settings)
    yield Service(create_app(settings, database), settings, database, dict(made), world.World())
    database.close()
