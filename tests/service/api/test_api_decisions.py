"""Decisions as a release manager asks for them; the attester is played by the test."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from reprove.core.digests import sha256
from reprove.core.verification import verify_evidence
from service.api import decisions as room
from service.records import decisions, listings, times
from tests.core import world
from tests.service.api.conftest import Service

DIGEST = sha256(world.FILE)
QUESTION = {"policy": "default", "artifacts": [{"sha256": DIGEST}]}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PROOF_SECONDS", 0.2)


def question(service: Service, identifier: str) -> dict[str, Any]:
    with service.database.read() as conn:
        row = decisions.get(conn, identifier)
    assert row is not None
    return row.question


def test_no_proof_in_time_is_signing_and_never_an_allow(service: Service) -> None:
    answer = service.post("/v1/decisions", QUESTION)
    assert (answer.status_code, answer.json["state"]) == (202, "signing")
    assert "verdict" not in answer.json
    later = service.get(answer.headers["Location"])
    assert (later.status_code, later.json["state"]) == (202, "signing")
    service.decided(answer.json["id"])
    done = service.get(answer.headers["Location"])
    assert (done.status_code, done.json["verdict"], done.json["attestation"]["logIndex"]) == (200, "allow", 0)
    again = service.get(answer.headers["Location"], headers={"If-None-Match": done.headers["ETag"]})
    assert again.status_code == 304
    assert "ETag" not in later.headers


def test_a_proof_within_the_time_is_answered_201(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PROOF_SECONDS", 10.0)

    def attester() -> None:
        for _ in range(200):
            with service.database.read() as conn:
                waiting = decisions.asked(conn)
            if waiting:
                service.decided(waiting[0].id, verdict="deny")
                return
            time.sleep(0.02)

    thread = threading.Thread(target=attester)
    thread.start()
    answer = service.post("/v1/decisions", QUESTION)
    thread.join()
    assert (answer.status_code, answer.json["verdict"]) == (201, "deny")
    assert answer.json["artifacts"][0]["sha256"] == DIGEST


def test_a_verdict_that_a_row_claims_and_nobody_signed_is_not_shown(service: Service) -> None:
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    with service.database.write() as conn:
        conn.exec_driver_sql(
            "UPDATE decision SET state = 'done', verdict = 'allow', result = ? WHERE id = ?", (json.dumps({"verdict": "allow"}), identifier)
        )
    answer = service.get(f"/v1/decisions/{identifier}")
    assert (answer.status_code, answer.json["state"]) == (202, "signing")
    assert "verdict" not in answer.json


def test_a_signed_deny_cannot_be_turned_into_an_allow_by_a_row(service: Service) -> None:
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    service.decided(identifier, verdict="deny")
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE decision SET verdict = 'allow', result = '{\"verdict\": \"allow\"}'")
    assert service.get(f"/v1/decisions/{identifier}").json["verdict"] == "deny"


def test_pending_is_answered_by_the_records_and_is_not_signed(service: Service) -> None:
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    with service.database.write() as conn:
        decisions.answer_pending(conn, identifier, {"verdict": "pending", "artifacts": []}, times.now())
    assert service.get(f"/v1/decisions/{identifier}").json["verdict"] == "pending"
    assert service.get(f"/v1/decisions/{identifier}", headers={"Accept": "application/vnd.dsse+json"}).status_code == 404


def test_a_question_that_cannot_be_answered_is_a_problem(service: Service) -> None:
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    with service.database.write() as conn:
        decisions.fail(conn, identifier, {"type": "urn:reprove:problem:invalid-policy", "detail": "no policy default", "line": 3}, times.now())
    answer = service.get(f"/v1/decisions/{identifier}")
    assert (answer.status_code, answer.json["type"], answer.json["line"]) == (400, "urn:reprove:problem:invalid-policy", 3)


def test_the_evidence_of_a_decision_verifies_offline(service: Service) -> None:
    _, entries = service.rebuilt()
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    compared = entries[-1].envelope.id
    service.decided(identifier, attestations=(compared,))
    answer = service.get(f"/v1/decisions/{identifier}", headers={"Accept": "application/vnd.reprove.evidence+json"})
    verified = verify_evidence(answer.data, service.world.trust(), subject_sha256=DIGEST)
    assert verified.decision is not None
    assert verified.decision.verdict == "allow"


def test_a_purl_stands_for_every_file_of_the_last_listing_and_the_expansion_is_kept(service: Service) -> None:
    rebuild = service.request()
    files = [("idna-3.10-py3-none-any.whl", "a" * 64), ("idna-3.10.tar.gz", "b" * 64)]
    with service.database.write() as conn:
        listings.record(conn, rebuild, "pkg:pypi/idna@3.10", files, times.now())
    identifier = service.post("/v1/decisions", {"policy": "default", "artifacts": [{"purl": "pkg:pypi/IDNA@3.10"}, {"sha256": "a" * 64}]}).json["id"]
    asked = question(service, identifier)
    assert {row["sha256"] for row in asked["artifacts"]} == {"a" * 64, "b" * 64}
    assert len(asked["artifacts"]) == 2
    assert asked["expansion"] == [{"purl": "pkg:pypi/idna@3.10", "files": 2}]


def test_a_purl_that_nobody_has_looked_up_is_asked_as_it_is(service: Service) -> None:
    identifier = service.post("/v1/decisions", {"policy": "default", "artifacts": [{"purl": "pkg:pypi/nobody@1"}]}).json["id"]
    assert question(service, identifier)["artifacts"] == [{"purl": "pkg:pypi/nobody@1"}]


BAD = [
    ({"policy": "default"}, "/artifacts"),
    ({"policy": "default", "artifacts": []}, "/artifacts"),
    ({"policy": "../x", "artifacts": [{"sha256": "a" * 64}]}, "/policy"),
    ({"policy": "default", "artifacts": [{"sha256": "A" * 64}]}, "/artifacts/0/sha256"),
    ({"policy": "default", "artifacts": [{"sha256": "a" * 64, "purl": "pkg:pypi/a@1"}]}, "/artifacts/0"),
    ({"policy": "default", "artifacts": [{}]}, "/artifacts/0"),
    ({"policy": "default", "artifacts": [{"sha256": "a" * 64}, {"purl": "pkg:pypi/a"}]}, "/artifacts/1/purl"),
    ({"policy": "default", "artifacts": [{"sha256": "a" * 64}], "verdict": "allow"}, "/verdict"),
    ({"policy": 1, "artifacts": [{"sha256": "a" * 64}]}, "/policy"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD)
def test_a_bad_question_is_refused_where_it_is_bad(service: Service, body: Any, pointer: str) -> None:
    answer = service.post("/v1/decisions", body)
    assert (answer.status_code, answer.json["pointer"]) == (400, pointer), answer.text


def test_an_artifact_lists_the_decisions_about_it(service: Service) -> None:
    identifier = service.post("/v1/decisions", QUESTION).json["id"]
    service.decided(identifier)
    (found,) = service.get(f"/v1/artifacts/sha256:{DIGEST}").json["decisions"]
    assert (found["id"], found["verdict"], found["policy"]["name"]) == (identifier, "allow", "default")


def test_deciding_needs_its_role(service: Service) -> None:
    assert service.post("/v1/decisions", QUESTION, token="reader").status_code == 403
    assert service.post("/v1/decisions", QUESTION, token=None).status_code == 401
