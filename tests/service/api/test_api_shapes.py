"""Every route: documented, and every bad end of it one problem (RFC 9457). The routes are taken from the application, not from a list."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.core.errors import Slug
from service.api.openapi import document
from service.api.operation import OPERATIONS, Operation
from service.records.principals import Role
from tests.service.api.conftest import PURL, Service

NAMES = [declared.name for declared in OPERATIONS]
BY_NAME = {declared.name: declared for declared in OPERATIONS}
UNKNOWN = {"id": "rb-00000000000000000000", "name": f"sha256:{'0' * 64}", "role": "log", "path": "0/000"}


def path_of(declared: Operation, **values: str) -> str:
    return re.sub(r"<(?:path:)?([a-z]+)>", lambda match: values.get(match[1], UNKNOWN[match[1]]), declared.rule)


def check_problem(answer: Any) -> None:
    assert answer.content_type == "application/problem+json", (answer.status, answer.data)
    body = answer.json
    assert body["type"].removeprefix("urn:reprove:problem:") in set(Slug)
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert answer.headers["Cache-Control"] == "no-store"
    jsonschema.validate(body, document()["components"]["schemas"]["Problem"])


def rules(app: Flask) -> set[tuple[str, str]]:
    return {(method, rule.rule) for rule in app.url_map.iter_rules() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}


def test_the_document_has_every_route_of_the_application_and_no_other(service: Service) -> None:
    described = {(method.upper(), re.sub(r"\{([a-z]+)\}", r"<\1>", path)) for path, methods in document()["paths"].items() for method in methods}
    assert described == {(method, re.sub(r"<path:", "<", rule)) for method, rule in rules(service.app)}


def test_the_document_is_served_and_is_openapi_3_1(service: Service) -> None:
    served = service.get("/openapi.json").json
    assert served == json.loads(json.dumps(document()))
    assert served["openapi"] == "3.1.0"
    names = [operation["operationId"] for methods in served["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    for schema in served["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert json.dumps(served).count("#/components/schemas/") == sum(
        json.dumps(served).count(f'"#/components/schemas/{name}"') for name in served["components"]["schemas"]
    )


def test_the_committed_document_is_the_served_one() -> None:
    committed = Path(__file__).parents[3] / "docs" / "openapi.json"
    assert json.loads(committed.read_text()) == json.loads(json.dumps(document())), "run: python -m service.api > docs/openapi.json"


def check_documented(declared: Operation, answer: Any) -> None:
    """What came is what the document says can come: status, media type, shape."""
    path = re.sub(r"<(?:path:)?([a-z]+)>", r"{\1}", declared.rule)
    described = document()["paths"][path][declared.method.lower()]["responses"]
    assert str(answer.status_code) in described, (declared.name, answer.status_code, answer.text)
    content = described[str(answer.status_code)].get("content", {})
    media = answer.content_type.split(";")[0] if answer.content_type else None
    assert not content or media in content, (declared.name, media)
    schema = content.get(media, {}).get("schema") if media else None
    if schema and answer.is_json:
        jsonschema.validate(answer.json, {**schema, "components": document()["components"]} if "$ref" in schema else schema)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_thing_is_answered_as_documented(service: Service, name: str) -> None:
    declared = BY_NAME[name]
    answer = service.call(declared.method, path_of(declared), **({"json": {}} if declared.body else {}))
    check_documented(declared, answer)
    if answer.status_code >= 400:
        check_problem(answer)


def known_answer(service: Service, declared: Operation) -> Any:
    """Ask for something that is there."""
    name = declared.name
    rebuild, entries = service.rebuilt()
    decision = service.post("/v1/decisions", {"policy": "p", "artifacts": [{"sha256": "0" * 64}]}).json["id"] if "decision" in name else ""
    (service.settings.home / "log" / "checkpoint").write_text(service.world.note())
    (service.settings.home / "logs" / f"{rebuild}.log").write_text("building\n")
    attestation = entries[-1].envelope.id
    known = {"get_attestation": {"id": attestation}, "get_decision": {"id": decision}, "get_tile": {"path": "envelopes/000.p/2"}}
    known["get_key"] = {"name": f"{service.world.log_vkey.key.fingerprint}.pem"}
    query = f"?attestation={attestation}" if name == "get_proof" else ""
    bodies = {"post_request": {"purl": PURL}, "post_decision": {"policy": "p", "artifacts": [{"sha256": "0" * 64}]}}
    path = path_of(declared, **({"id": rebuild} | known.get(name, {})))
    if name == "post_cancel":
        path = path_of(declared, id=service.request("pkg:pypi/other@1"))
    return service.call(declared.method, path + query, **({"json": bodies[name]} if declared.body else {}))


@pytest.mark.parametrize("name", NAMES)
def test_a_known_thing_is_answered_as_documented(service: Service, name: str) -> None:
    answer = known_answer(service, BY_NAME[name])
    assert answer.status_code < 400, answer.text
    check_documented(BY_NAME[name], answer)
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["Reprove-Request"])


@pytest.mark.parametrize("name", NAMES)
def test_no_route_holds_two_connections_at_a_time(service: Service, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many threads as connections, a thread that holds one and waits for a second would wait for ever."""
    read, held = service.database.read, []

    @contextlib.contextmanager
    def counted() -> Iterator[Any]:
        assert not held, "a second connection while one is held"
        held.append(1)
        try:
            with read() as conn:
                yield conn
        finally:
            held.pop()

    monkeypatch.setattr(service.database, "read", counted)
    assert known_answer(service, BY_NAME[name]).status_code < 400


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.decisions.PROOF_SECONDS", 0.05)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_is_not_offered_is_answered_405_with_what_is(service: Service, name: str, method: str) -> None:
    declared = BY_NAME[name]
    offered = {one.method for one in OPERATIONS if one.rule == declared.rule}
    if method in offered:
        pytest.skip("offered")
    answer = service.call(method, path_of(declared))
    assert answer.status_code == 405
    check_problem(answer)
    assert offered <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/rebuilds", "/v1/rebuilds/", "/v1//requests", "/v1/attestations/x/y", "/log", "/keys", "/%00", "/v1/artifacts/a%2fb"]
)
def test_nothing_there_is_a_problem(service: Service, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 404
    check_problem(answer)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_query_parameter_is_refused_and_not_ignored(service: Service, name: str) -> None:
    answer = service.call(BY_NAME[name].method, path_of(BY_NAME[name]) + "?surprise=1")
    assert answer.status_code == 400
    check_problem(answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_token_that_is_sent_must_be_good_also_where_none_is_needed(service: Service, name: str) -> None:
    declared = BY_NAME[name]
    answer = service.call(declared.method, path_of(declared), token="rpv_" + "A" * 43)
    if declared.role is None:
        assert answer.status_code != 401
        return
    assert answer.status_code == 401
    check_problem(answer)


@pytest.mark.parametrize("name", [name for name in NAMES if BY_NAME[name].role is Role.READ])
def test_reads_are_closed_by_the_setting(service: Service, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(service.settings, "public_reads", False)
    path = path_of(BY_NAME[name])
    assert service.get(path, token=None).status_code == 401
    assert service.get(path, token="worker").status_code == 403
    assert service.get(path, token="reader").status_code not in (401, 403)


def test_bad_tokens_of_every_kind_are_told_apart_only_where_their_holder_may_know(service: Service) -> None:
    expired = service.token("old", Role.SUBMIT, lifetime=timedelta(milliseconds=1))
    revoked = service.token("gone", Role.SUBMIT)
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE token SET revoked = 1 WHERE principal_id = (SELECT id FROM principal WHERE subject = 'gone')")
    cases = {
        "Basic abc": 401,
        "Bearer": 401,
        "Bearer ": 401,
        "Bearer rpv_short": 401,
        f"Bearer rpv_{'A' * 43}": 401,
        f"Bearer {expired}": 401,
        f"Bearer {revoked}": 401,
        f"Bearer {service.tokens['reader']}": 403,
        f"Bearer {service.tokens['worker']}": 403,
        f"Bearer {service.tokens['ci']}": 202,
    }
    for header, status in cases.items():
        answer = service.post("/v1/requests", {"purl": PURL}, token=None, headers={"Authorization": header})
        assert answer.status_code == status, header
        if status >= 400:
            check_problem(answer)
        if status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


BODIES: list[tuple[str, bytes, int]] = [
    ("empty", b"", 400),
    ("not JSON", b"purl=x", 400),
    ("cut short", b'{"purl": "pkg:pypi/a@1"', 400),
    ("something after it", b'{"purl": "pkg:pypi/a@1"} {}', 400),
    ("not UTF-8", b'{"purl": "\xff"}', 400),
    ("a list", b"[]", 400),
    ("a text", b'"pkg:pypi/a@1"', 400),
    ("null", b"null", 400),
    ("a duplicate key", b'{"purl": "pkg:pypi/a@1", "purl": "pkg:pypi/b@1"}', 400),
    ("NaN", b'{"purl": "pkg:pypi/a@1", "priority": NaN}', 400),
    ("an infinite number", b'{"purl": "pkg:pypi/a@1", "priority": 1e999}', 400),
    ("a huge integer", b'{"purl": "pkg:pypi/a@1", "priority": ' + b"9" * 5000 + b"}", 400),
    ("deep", b"[" * 100_000, 400),
    ("deep and closed", b"[" * 65 + b"]" * 65, 400),
    ("a lone surrogate", b'{"purl": "\\ud800"}', 400),
    ("an unknown member", b'{"purl": "pkg:pypi/a@1", "recipe": {}}', 400),
    ("another type", b'{"purl": 1}', 400),
    ("a number as text", b'{"purl": "pkg:pypi/a@1", "priority": "3"}', 400),
    ("a truth as number", b'{"purl": "pkg:pypi/a@1", "force": 1}', 400),
    ("too large", b'{"purl": "' + b"a" * 1024**2 + b'"}', 413),
]


@pytest.mark.parametrize(("data", "status"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
@pytest.mark.parametrize("path", [declared.rule for declared in OPERATIONS if declared.body])
def test_a_bad_body_is_refused_and_nothing_is_stored(service: Service, path: str, data: bytes, status: int) -> None:
    answer = service.post(path, data=data, content_type="application/json")
    assert answer.status_code == status, answer.text
    check_problem(answer)
    with service.database.read() as conn:
        assert conn.exec_driver_sql("SELECT (SELECT count(*) FROM request) + (SELECT count(*) FROM decision)").scalar() == 0


def test_a_body_that_is_not_declared_as_json_is_answered_415(service: Service) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/problem+json"):
        answer = service.post("/v1/requests", data=b'{"purl": "pkg:pypi/a@1"}', content_type=content_type)
        assert answer.status_code == 415
        check_problem(answer)


def test_a_body_that_lies_about_its_size_is_cut_there(service: Service) -> None:
    answer = service.call("POST", "/v1/requests", data=b"x", headers={"Content-Length": str(10**12), "Content-Type": "application/json"})
    assert answer.status_code in (400, 413)
    check_problem(answer)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["purl", "priority", "visibility", "max_age", "force", "policy", "artifacts", "release", "waivers", "sha256"])


@given(body=st.dictionaries(MEMBERS, JSON_VALUES, max_size=5), path=st.sampled_from(["/v1/requests", "/v1/decisions"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_body_makes_a_fault(service: Service, body: dict[str, Any], path: str) -> None:
    answer = service.post(path, body)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        check_problem(answer)


@given(query=st.dictionaries(st.sampled_from([query.name for declared in OPERATIONS for query in declared.query]), st.text(max_size=30), max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_makes_a_fault(service: Service, query: dict[str, str]) -> None:
    for path in ("/v1/attestations", "/log/proof", "/v1/rebuilds/rb-00000000000000000000"):
        answer = service.get(path, query_string=query)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            check_problem(answer)


def test_a_fault_inside_says_nothing_of_the_inside(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail /root/x")

    monkeypatch.setattr("service.api.requests.requests.accept", fail)
    answer = service.post("/v1/requests", {"purl": PURL})
    assert answer.status_code == 500
    check_problem(answer)
    assert "secret" not in answer.text


def test_no_answer_can_be_taken_for_a_page(service: Service) -> None:
    for path in ("/healthz", "/nope", "/metrics", "/trust.json"):
        headers = service.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_metrics_count_in_sql_what_there_is_now(service: Service) -> None:
    service.request()
    service.rebuilt()
    text = service.get("/metrics").text
    assert 'reprove_rebuilds{state="queued"} 1.0' in text
    assert 'reprove_rebuilds{state="done"} 1.0' in text
    assert "reprove_log_complete_to 2.0" in text
    assert 'reprove_http_answers_total{operation="post_request",status="202"} 2.0' in text
