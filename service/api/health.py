"""``/healthz`` and ``/readyz``: is the process alive, can it do its work."""

from __future__ import annotations

from flask import Response
from sqlalchemy import text

from reprove.core.errors import Problem, ReproveError, Slug
from service.api import problem
from service.api.operation import Answer, Call, json_response, operation

_OK = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}


@operation("GET", "/healthz", answers={200: Answer("The process answers.", schema=_OK)})
def healthz(call: Call) -> Response:  # noqa: ARG001  # nothing is asked of the service
    """Say that the process answers; touches nothing."""
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


@operation("GET", "/readyz", answers={200: Answer("Requests can be accepted.", schema=_OK)}, problems=(Slug.UNAVAILABLE, Slug.STORAGE_FULL))
def readyz(call: Call) -> Response:
    """Say whether requests can be accepted: the records are readable and the disk has room. Redis is not needed for that."""
    try:
        with call.api.database.read() as conn:
            conn.execute(text("SELECT 1"))
        call.api.refuse_when_full()
    except ReproveError as error:
        found = getattr(error, "problem", None) or Problem(Slug.UNAVAILABLE, "the records cannot be read")
        return problem.response(found)
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})
