"""What the service logs of itself: each write with the ids of what it was about, no secret."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.testing import capture_logs

from tests.service.api.conftest import PURL, Service


def lines(service: Service, call: Any) -> list[dict[str, Any]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        call()
    return [line for line in captured if line["event"] == "answered"]


def test_a_write_is_logged_with_its_ids_and_without_its_token(service: Service) -> None:
    answers: list[Any] = []
    (line,) = lines(service, lambda: answers.append(service.post("/v1/requests", {"purl": PURL})))
    assert (line["operation"], line["status"], line["log_level"]) == ("post_request", 202, "info")
    assert line["rebuild"] == answers[0].json["rebuild"]
    assert line["request"] == answers[0].headers["Reprove-Request"]
    assert line["principal"].startswith("pr-")
    assert service.tokens["ci"] not in str(line)


def test_ids_of_one_request_are_not_said_of_the_next(service: Service) -> None:
    service.request()
    (line,) = lines(service, lambda: service.post("/v1/requests", {"purl": "nonsense"}))
    assert line["status"] == 400
    assert "rebuild" not in line


def test_a_read_is_not_worth_a_line_above_debug(service: Service) -> None:
    (line,) = lines(service, lambda: service.get("/healthz"))
    assert line["log_level"] == "debug"


def test_a_statement_that_does_not_hold_is_an_incident(service: Service) -> None:
    _, entries = service.rebuilt()
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE entry SET log_index = 7 WHERE log_index = 1")
    with capture_logs() as captured:
        service.get("/v1/attestations")
    (line,) = [line for line in captured if line["event"] == "statement_not_proven"]
    assert (line["log_level"], line["attestation"]) == ("error", entries[1].envelope.id)
