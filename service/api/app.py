"""The public service as a Flask application: ``gunicorn 'service.api.app:create_app()'``."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from reprove import settings as settings_module
from reprove.settings import Settings
from service.api import artifacts, attestations, context, decisions, health, keys, log, metrics, openapi, problem, rates, rebuilds, requests, tracing
from service.api.operation import OPERATIONS, UnsupportedMediaError, unsupported_media, view_of
from service.records.database import Database, open_database

RESOURCES = (requests, rebuilds, attestations, artifacts, decisions, log, keys, openapi, health, metrics)
"""Importing a resource declares its operations."""


def create_app(settings: Settings | None = None, database: Database | None = None) -> Flask:
    """Make the application. Raises OwnError with one line when the state folder is missing, foreign or newer than this program."""
    chosen = settings or settings_module.load()
    app = Flask("reprove", static_folder=None)
    # one byte more than is accepted: werkzeug cuts a chunked body silently at its limit, and a cut body must not pass for a whole one
    app.config["MAX_CONTENT_LENGTH"] = chosen.max_body + 1
    app.url_map.redirect_defaults = False
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    api = context.make(chosen, database or open_database(chosen))
    app.extensions[context.key()] = api
    measured = metrics.Metrics(api)
    app.extensions[metrics.KEY] = measured
    for declared in OPERATIONS:
        app.add_url_rule(declared.rule, declared.name, view_of(declared), methods=[declared.method], provide_automatic_options=False)
    problem.install(app)
    app.register_error_handler(UnsupportedMediaError, unsupported_media)
    app.before_request(tracing.begin)
    app.before_request(_refuse_large)
    app.after_request(_harden)
    app.after_request(rates.tell)
    app.after_request(tracing.end)
    measured.install(app)
    return app


def _refuse_large() -> None:
    """Refuse a body by its declared length before a byte of it is read, also on routes that read none."""
    if request.content_length is not None and request.content_length > context.current().settings.max_body:
        raise RequestEntityTooLarge


def _harden(response: Response) -> Response:
    """Answers carry text of packages and builds: no browser may take it for anything but data."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers.setdefault("Cache-Control", "no-cache")
    return response
