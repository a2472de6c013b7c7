"""What a route is: one declaration that routes, checks, documents and is tested (DESIGN section 7).

``@operation`` puts a :class:`Operation` into :data:`OPERATIONS`. From that one table come the Flask rules, the checks before the handler
(role, query parameters, size and strictness of the body) and the OpenAPI document, so that document and behaviour cannot part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict, ValidationError

from reprove.core.canonical import canonical, parse
from reprove.core.errors import Problem, ProblemError, Slug
from service.api import problem, tracing
from service.api.context import Api, current
from service.records.principals import Principal, Role

JSON = "application/json"


class Body(BaseModel):
    """Base of every request body: strict types, no unknown members, not changed after parsing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter: its meaning and the pattern that its text must match whole."""

    name: str
    about: str
    pattern: str = r"[\s\S]{1,400}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status a route answers: what it means, its media types, and the JSON shape where there is one."""

    about: str
    media: tuple[str, ...] = (JSON,)
    schema: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route and method. ``role`` None means public; ``Role.READ`` means public unless the setting ``public_reads`` is false."""

    method: str
    rule: str
    handler: Callable[..., Response]
    summary: str
    answers: Mapping[int, Answer]
    role: Role | None = None
    body: type[Body] | None = None
    query: tuple[Query, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Slug, ...] = ()

    @property
    def name(self) -> str:
        """The operation id: the handler's name."""
        return self.handler.__name__


@dataclass(frozen=True, slots=True)
class Call:
    """A checked call: who calls, the parsed body, the parsed query."""

    api: Api
    principal: Principal | None
    body: Any
    query: Mapping[str, str]

    @property
    def holder(self) -> str:
        """Who a limited resource is counted for: the principal, else the caller's network address."""
        return self.principal.id if self.principal is not None else f"net:{request.remote_addr}"

    @property
    def caller(self) -> Principal:
        """The principal of a route that needs one."""
        if self.principal is None:
            raise ProblemError(Slug.UNAUTHENTICATED, "this needs an access token")
        return self.principal


OPERATIONS: list[Operation] = []
"""Every route of the public service, in the order of import; filled by ``@operation`` only."""

Handler = Callable[..., Response]


def operation(method: str, rule: str, **declared: Any) -> Callable[[Handler], Handler]:  # noqa: ANN401  # the fields of Operation, checked by it
    """Declare a handler ``(call, **path parameters) -> Response`` as a route; the first docstring line is its summary."""

    def declare(handler: Handler) -> Handler:
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        OPERATIONS.append(Operation(method=method, rule=rule, handler=handler, summary=summary, **declared))
        return handler

    return declare


def view_of(declared: Operation) -> Callable[..., Response]:
    """The Flask view of an operation: every check in the order caller, query, body, then the handler."""

    def view(**path: str) -> Response:
        api = current()
        principal = _authorize(api, declared.role)
        if principal is not None:
            tracing.about(principal=principal.id)
        query = _query(declared)
        body = _body(declared.body, api.settings.max_body) if declared.body is not None else None
        return declared.handler(Call(api, principal, body, query), **path)

    view.__name__ = declared.name
    view.__doc__ = declared.summary
    return view


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in JCS form."""
    return Response(canonical(value), status=status, content_type=JSON, headers=dict(headers or {}))


def immutable(data: bytes, media: str, etag: str) -> Response:
    """An answer that never changes: cacheable for a year, with an entity tag; 304 when the caller has it already."""
    answer = Response(data, content_type=media)
    answer.set_etag(etag)
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    answer.make_conditional(request.environ)
    return answer


def _authorize(api: Api, role: Role | None) -> Principal | None:
    """Find the caller. A bad token is refused also on a public read: a pipeline must learn that its token is not used."""
    if role is None:
        return None
    header = request.headers.get("Authorization")
    public = role is Role.READ and api.settings.public_reads
    if header is None and public:
        return None
    principal = api.authenticate(header)
    if not public:
        api.require(principal, role)
    return principal


def _query(declared: Operation) -> dict[str, str]:
    known = {parameter.name: parameter for parameter in declared.query}
    values: dict[str, str] = {}
    for name, texts in request.args.lists():
        if name not in known:
            accepted = f"; accepted: {', '.join(sorted(known))}" if known else ""
            raise ProblemError(Slug.INVALID_REQUEST, f"unknown query parameter {name[:60]!r}{accepted}")
        if len(texts) != 1:
            raise ProblemError(Slug.INVALID_REQUEST, f"query parameter {name} is given {len(texts)} times")
        if re.fullmatch(known[name].pattern, texts[0]) is None:
            raise ProblemError(Slug.INVALID_REQUEST, f"query parameter {name}: {known[name].about}")
        values[name] = texts[0]
    return values


def _body(model: type[Body], max_body: int) -> Body:
    """Read and check a JSON body: size before parsing, strict JSON, then the model."""
    if request.mimetype != JSON:
        raise UnsupportedMediaError
    if request.content_length is not None and request.content_length > max_body:
        raise ProblemError(Slug.TOO_LARGE, f"the body has {request.content_length} bytes; at most {max_body} are read")
    document = parse(request.get_data(cache=False), max_bytes=max_body, what="the body")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        detail = f"unknown member; accepted: {', '.join(sorted(_members(model)))}" if unknown else first["msg"]
        raise ProblemError(Slug.INVALID_REQUEST, detail, pointer=pointer) from None


def _members(model: type[Body]) -> list[str]:
    return [described.alias or name for name, described in model.model_fields.items()]


class UnsupportedMediaError(Exception):
    """The body is not declared as JSON."""


def unsupported_media(_: UnsupportedMediaError) -> Response:
    """Answer 415."""
    return problem.response(Problem(Slug.INVALID_REQUEST, "the body must be application/json"), status=415)
