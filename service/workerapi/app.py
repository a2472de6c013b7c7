"""The worker api as a Flask application: ``gunicorn 'service.workerapi.app:create_app()'``."""

from __future__ import annotations

import socket

from flask import Flask, request

from reprove import settings as settings_module
from reprove.settings import Settings
from service.access.enrolled import EnrolledFile
from service.api import problem
from service.records.blobstore import open_store
from service.records.database import Database, open_database
from service.workerapi import blobs, claims, leases
from service.workerapi.context import KEY, WorkerApi

SILENCE_SECONDS = 30


def create_app(settings: Settings | None = None, database: Database | None = None) -> Flask:
    """Make the application. Raises OwnError with one line when the state folder is missing, foreign or newer than this program."""
    chosen = settings or settings_module.load()
    app = Flask("reprove.workerapi", static_folder=None)
    app.url_map.merge_slashes = False
    records = database or open_database(chosen)
    enrolled = EnrolledFile(chosen.home)
    enrolled.current()
    app.extensions[KEY] = WorkerApi(chosen, records, open_store(chosen.home, min_free=chosen.min_free), enrolled)
    for part in (claims, leases, blobs):
        app.register_blueprint(part.blueprint)
    app.add_url_rule("/healthz", "healthz", lambda: {"status": "ok"})
    problem.install(app)
    app.before_request(_bound_silence)
    return app


def _bound_silence() -> None:
    """A worker that stalls in the middle of a body, or reads no answer, gives its thread back after a while."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        connection.settimeout(SILENCE_SECONDS)
