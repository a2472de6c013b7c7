"""An in-process public API over a temporary state folder, with tokens, and verbs that put rows where other processes would."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from reprove.settings import Settings, load
from service.access import tokens
from service.api.app import create_app
from service.records import times
from service.records.database import Database, open_database
from service.records.prepare import prepare_database
from service.records.principals import Role

PURL = "pkg:pypi/idna@3.10"


def make_home(home: Path, **overrides: Any) -> Settings:
    """What `reprove init` makes, as far as the API looks at it."""
    for name in ("run", "logs", "blobs/sha256", "log/tile", "policies", "secrets"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "instance").write_text(secrets.token_hex(8))
    settings = load({}, home=home, separate_users=False, min_free=0, **overrides)
    prepare_database(settings)
    return settings


@dataclass
class Service:
    """The application, its database, and a token of each kind."""

    app: Flask
    settings: Settings
    database: Database
    tokens: dict[str, str]

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
        return self.client.open(path, method=method, headers=sent, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.call("POST", path, json=json, **options)

    def request(self, purl: str = PURL, *, token: str = "ci", **members: Any) -> str:
        """Post a request and give its rebuild's id."""
        answer = self.post("/v1/requests", {"purl": purl, **members}, token=token)
        assert answer.status_code == 202, answer.text
        return str(answer.json["rebuild"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = make_home(tmp_path / "home")
    database = open_database(settings)
    app = create_app(settings, database)
    made = Service(app, settings, database, {})
    made.tokens["ci"] = made.token("ci", Role.SUBMIT, Role.READ, Role.DECIDE)
    made.tokens["other"] = made.token("other", Role.SUBMIT, Role.READ, Role.DECIDE)
    made.tokens["reader"] = made.token("reader", Role.READ)
    made.tokens["worker"] = made.token("worker", Role.WORK)
    yield made
    database.close()
