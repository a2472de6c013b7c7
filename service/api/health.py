"""``/healthz`` and ``/readyz``: is the process alive, can it do its work."""

from __future__ import annotations

from flask import Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from reprove.core.errors import Problem, ReproveError, Slug
from service.api import problem
from service.api.operation import Answer, Call, json_response, operation

_OK = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}


@operation("GET", "/healthz", answers={200: Answer("The process answers.", schema=_OK)})
def healthz(call: Call) -> Response:  # noqa: ARG001  # nothing is asked of the service
    """Say that the process answers; touches nothing."""
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


@operation("GET", "/readyz", answers={200: Answer("Every part answers.", schema=_OK)}, problems=(Slug.UNAVAILABLE, Slug.STORAGE_FULL))
def readyz(call: Call) -> Response:
    """Say whether the service can do its work: records readable, room on the disk, a checkpoint published. Redis is not needed to accept."""
    try:
        with call.api.database.read() as conn:
            conn.execute(text("SELECT 1"))
    except (ReproveError, SQLAlchemyError):
        return problem.response(Problem(Slug.UNAVAILABLE, "the records cannot be read"))
    call.api.refuse_when_full()
    call.api.files.checkpoint()
    return json_response({"status": "ok", "parts": ["records", "disk", "log"]}, headers={"Cache-Control": "no-store"})
