"""``/openapi.json``: the OpenAPI 3.1 document, made of the same declarations that route and check (:mod:`service.api.operation`).

No generator library: the document has several media types per answer, ``application/problem+json`` everywhere and no 422 of somebody else's
shape, which the ones we tried cannot say (docs/adr).
"""

from __future__ import annotations

import re
from typing import Any

from flask import Response

from reprove.core.errors import Slug
from service.api import shapes
from service.api.operation import JSON, OPERATIONS, Answer, Call, Operation, json_response, operation
from service.api.problem import MEDIA_TYPE
from service.records.principals import Role

_PARAMETER = re.compile(r"<(?:path:)?([a-z]+)>")


@operation("GET", "/openapi.json", answers={200: Answer("This document.", schema=shapes.ANY_OBJECT)})
def get_openapi(call: Call) -> Response:  # noqa: ARG001  # the document is the code's, not the instance's
    """Describe every route of this service."""
    return json_response(document(), headers={"Cache-Control": "no-cache"})


def document() -> dict[str, Any]:
    """The document of every declared operation."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Problem": dict(shapes.PROBLEM)}
    for declared in OPERATIONS:
        path = _PARAMETER.sub(r"{\1}", declared.rule)
        paths.setdefault(path, {})[declared.method.lower()] = _operation(declared, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reprove",
            "version": "0.1.0",
            "description": "Rebuilds published artifacts and serves signed, logged proof of every outcome. More members may be added to any answer.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def problem_slugs(declared: Operation) -> frozenset[Slug]:
    """Every problem that an operation can answer: its own, and those of the checks before it."""
    common = {Slug.INVALID_REQUEST, Slug.TOO_LARGE, Slug.UNAVAILABLE, Slug.UNAUTHENTICATED}
    if declared.role is not None:
        common.add(Slug.FORBIDDEN)
    if "<" in declared.rule or declared.name == "get_proof":
        common.add(Slug.NOT_FOUND)
    return frozenset(common | set(declared.problems))


def _operation(declared: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(answer) for status, answer in declared.answers.items()}
    for slug in sorted(problem_slugs(declared)):
        answers.setdefault(str(slug.status), _problem([])).setdefault("x-problems", []).append(f"urn:reprove:problem:{slug}")
    if declared.body is not None:
        answers["415"] = _problem(["urn:reprove:problem:invalid-request"])
    described: dict[str, Any] = {"operationId": declared.name, "summary": declared.summary, "parameters": _parameters(declared), "responses": answers}
    if declared.role is not None:
        # reads are public unless the operator's setting public_reads closes them
        described["security"] = [{"token": []}] + ([{}] if declared.role is Role.READ else [])
        described["x-role"] = declared.role.value
    if declared.body is not None:
        model = declared.body
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}
    return described


def _parameters(declared: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _PARAMETER.findall(declared.rule)
    ]
    for query in declared.query:
        pattern = query.pattern.replace(r"[\s\S]", ".")
        found.append({"name": query.name, "in": "query", "description": query.about, "schema": {"type": "string", "pattern": f"^(?:{pattern})$"}})
    found.extend({"name": name, "in": "header", "description": about, "schema": {"type": "string"}} for name, about in declared.headers.items())
    return found


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.about}
    if answer.media:
        described["content"] = {media: ({"schema": dict(answer.schema)} if answer.schema and "json" in media else {}) for media in answer.media}
    if answer.headers:
        described["headers"] = {name: {"description": about, "schema": {"type": "string"}} for name, about in answer.headers.items()}
    return described


def _problem(slugs: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": "A problem (RFC 9457).",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    return described | ({"x-problems": slugs} if slugs else {})
