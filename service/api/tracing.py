"""One line in the log for each write and each fault, with the ids of what it was about; every answer names its request."""

from __future__ import annotations

import secrets
import time

import structlog
from flask import Response, g, request

HEADER = "Reprove-Request"
_log = structlog.get_logger()


def begin() -> None:
    """Give the request an id, under which everything that this thread logs meanwhile is found."""
    structlog.contextvars.unbind_contextvars("request", "rebuild", "decision", "principal")
    g.request_id, g.begun = secrets.token_hex(8), time.perf_counter()
    structlog.contextvars.bind_contextvars(request=g.request_id)


def about(**ids: str) -> None:
    """Name what the request is about: ``rebuild``, ``decision``, ``principal``."""
    structlog.contextvars.bind_contextvars(**ids)


def end(response: Response) -> Response:
    """Write the line, at level info for writes, error for faults of ours, debug for reads."""
    begun = g.get("begun")
    if begun is None:
        return response
    response.headers[HEADER] = g.request_id
    status = response.status_code
    write = _log.error if status >= 500 and status != 503 else _log.info if request.method == "POST" or status >= 500 else _log.debug
    write("answered", operation=request.endpoint, method=request.method, status=status, milliseconds=round((time.perf_counter() - begun) * 1000, 1))
    return response
