"""Problems as RFC 9457 bodies: every answer of 400 and above that leaves this service is made here."""

from __future__ import annotations

import time

import structlog
from flask import Flask, Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from reprove.core.canonical import canonical
from reprove.core.errors import OwnError, Problem, ProblemError, ReproveError, Slug, UpstreamError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
_SLUG_OF_STATUS = {
    400: Slug.INVALID_REQUEST,
    401: Slug.UNAUTHENTICATED,
    403: Slug.FORBIDDEN,
    404: Slug.NOT_FOUND,
    413: Slug.TOO_LARGE,
    429: Slug.RATE_LIMITED,
    507: Slug.STORAGE_FULL,
}
_log = structlog.get_logger()


def response(problem: Problem, *, status: int | None = None, retry_after: int | None = None) -> Response:
    """Make the answer for a problem; ``status`` replaces the slug's own where HTTP has a closer one (405, 406, 415).

    ``retry_after`` is in seconds; 429 and 503 carry one even when none is given.
    """
    body = problem.as_json()
    code = status or problem.slug.status
    body["status"] = code
    answer = Response(canonical(body), status=code, content_type=MEDIA_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    if code in (429, 503):
        # write limits are counted per minute of the clock, so that is when a limited caller may come back
        default = 60 - int(time.time()) % 60 if code == 429 else RETRY_AFTER_SECONDS
        answer.headers["Retry-After"] = str(retry_after or default)
    if code == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="reprove"'
    return answer


def install(app: Flask) -> None:
    """Register the handlers that turn every exception into a problem."""
    app.register_error_handler(ProblemError, _problem)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _problem(error: ProblemError) -> Response:
    return response(error.problem)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    slug = _SLUG_OF_STATUS.get(status, Slug.INVALID_REQUEST if status < 500 else Slug.UNAVAILABLE)
    detail = {
        404: "nothing is here; /openapi.json lists what is",
        405: f"{request.method} is not offered here",
        413: "the request is larger than this service reads",
    }.get(status, error.description or error.name)
    answer = response(Problem(slug, detail), status=status)
    if status == 405 and (allowed := getattr(error, "valid_methods", None)):
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


def _unexpected(error: Exception) -> Response:
    """Say nothing of the inside: the traceback goes to the log, the caller gets 503 and may try again."""
    if isinstance(error, (OwnError, UpstreamError, SQLAlchemyError, OSError)):
        _log.error("request_failed", path=request.path, error=str(error), exc_info=not isinstance(error, ReproveError))
        return response(Problem(Slug.UNAVAILABLE, "this service cannot do that now; nothing was changed unless it was answered"))
    _log.error("request_failed_unexpectedly", path=request.path, exc_info=error)
    return response(Problem(Slug.UNAVAILABLE, "an unexpected fault; it is in the service's log"), status=500)
