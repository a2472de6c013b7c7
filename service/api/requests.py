"""``POST /v1/requests``: take a wish; 202 only once it is durable (DESIGN section 5.1). Redis is not needed for it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from flask import Response, request
from pydantic import Field

from reprove.core.errors import ProblemError, Slug
from reprove.core.purls import parse_purl
from service.api import rates, tracing
from service.api.operation import Answer, Body, Call, json_response, operation
from service.records import requests, times
from service.records.principals import Role

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KEY = re.compile(r"[!-~]{1,200}\Z")


class RequestBody(Body):
    """A wish for one published artifact. Own artifacts, callbacks and private visibility are refused until their rooms exist."""

    purl: str = Field(description="Package URL with a version; without file_name its only *-none-any.whl is meant.", max_length=1024)
    priority: int = Field(0, ge=0, le=9, description="Higher is earlier.")
    visibility: Literal["public"] = Field("public", description="Who may read the outcome.")
    max_age: str | int = Field("30d", description="Oldest shared outcome to join: seconds, or text such as 30d.", union_mode="left_to_right")
    force: bool = Field(False, description="Make a new rebuild although one could be joined.")


@operation(
    "POST",
    "/v1/requests",
    role=Role.SUBMIT,
    body=RequestBody,
    headers={"Idempotency-Key": "1 to 200 visible ASCII characters: the same key and body give the same answer again."},
    answers={
        202: Answer(
            "The request is durable; follow Location.",
            schema={
                "type": "object",
                "required": ["id", "rebuild", "created", "links"],
                "properties": {
                    "id": {"type": "string"},
                    "rebuild": {"type": "string"},
                    "created": {"type": "boolean", "description": "False: it joined a rebuild, or repeats an earlier answer."},
                    "links": {"type": "object"},
                },
            },
            headers={"Location": "The rebuild.", "RateLimit": "What is left of this minute's writes.", "RateLimit-Policy": "The limit."},
        )
    },
    problems=(Slug.INVALID_PURL, Slug.IDEMPOTENCY_CONFLICT, Slug.RATE_LIMITED, Slug.STORAGE_FULL),
)
def post_request(call: Call) -> Response:
    """Ask for a rebuild of a published artifact."""
    body: RequestBody = call.body
    purl = checked_purl(body.purl)
    now = times.now()
    rates.note(call.api, call.caller, now)
    call.api.refuse_when_full()
    accepted = requests.accept(
        call.api.database,
        call.caller,
        {"purl": purl},
        body=body.model_dump(mode="json", exclude_unset=True),
        key=idempotency_key(),
        priority=body.priority,
        visibility=body.visibility,
        max_age=_age(body.max_age),
        force=body.force,
        now=now,
        arch=call.api.settings.arch,
        per_minute=call.api.settings.requests_per_minute,
    )
    tracing.about(rebuild=accepted.rebuild_id)
    location = f"/v1/rebuilds/{accepted.rebuild_id}"
    answer = {"id": accepted.request_id, "rebuild": accepted.rebuild_id, "created": accepted.created, "links": {"rebuild": location}}
    return json_response(answer, 202, {"Location": location})


def checked_purl(text: str) -> str:
    """The canonical purl of something that this instance can be asked to rebuild. Raises ``invalid-purl`` at ``/purl``."""
    try:
        purl = parse_purl(text)
    except ProblemError as error:
        raise ProblemError(error.problem.slug, error.problem.detail, pointer="/purl") from None
    if purl.type != "pypi":
        raise ProblemError(Slug.INVALID_PURL, f"pkg:{purl.type} is not rebuilt here; pkg:pypi is", pointer="/purl")
    if purl.version is None:
        raise ProblemError(Slug.INVALID_PURL, f"a version is missing, as in pkg:pypi/{purl.name}@1.0", pointer="/purl")
    if purl.repository_url is not None:
        raise ProblemError(Slug.INVALID_PURL, "this instance reads its own index only: leave repository_url out", pointer="/purl")
    return str(purl)


def idempotency_key() -> str | None:
    """The call's ``Idempotency-Key``. Raises ``invalid-request`` for one that is not 1 to 200 visible ASCII characters."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.match(key):
        raise ProblemError(Slug.INVALID_REQUEST, "Idempotency-Key has 1 to 200 visible ASCII characters")
    return key


def _age(value: str | int) -> timedelta:
    if isinstance(value, int) and 0 <= value <= 10 * 365 * 86400:
        return timedelta(seconds=value)
    match = _DURATION.match(value) if isinstance(value, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match else -1
    if not 0 <= seconds <= 10 * 365 * 86400:
        raise ProblemError(Slug.INVALID_REQUEST, "max_age is seconds, or a number with s, m, h or d, of at most 3650d", pointer="/max_age")
    return timedelta(seconds=seconds)
