"""Posting, joining, following, cancelling: as a pipeline uses it."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from reprove.core.states import RebuildState
from service.api.polling import PER_PRINCIPAL
from service.records import rebuilds, times
from tests.service.api.conftest import PURL, Service


def rows(service: Service, table: str) -> int:
    with service.database.read() as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() or 0)


def test_a_request_is_durable_when_it_is_answered_and_says_where_to_follow_it(service: Service) -> None:
    answer = service.post("/v1/requests", {"purl": "pkg:pypi/IDNA@3.10"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/rebuilds/{answer.json['rebuild']}"
    assert rows(service, "outbox") == 1
    rebuild = service.get(answer.headers["Location"]).json
    assert (rebuild["state"], rebuild["purl"], rebuild["visibility"]) == ("queued", PURL, "public")
    assert "outcome" not in rebuild
    assert rebuild["links"]["log"] == f"/v1/rebuilds/{rebuild['id']}/log"


def test_the_same_key_and_body_are_one_request(service: Service) -> None:
    first, again = (service.post("/v1/requests", {"purl": PURL, "force": True}, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert (first.json["id"], first.json["rebuild"]) == (again.json["id"], again.json["rebuild"])
    assert rows(service, "request") == 1


def test_the_same_key_with_another_body_is_a_conflict(service: Service) -> None:
    service.post("/v1/requests", {"purl": PURL}, headers={"Idempotency-Key": "k1"})
    answer = service.post("/v1/requests", {"purl": "pkg:pypi/other@1"}, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json["type"]) == (422, "urn:reprove:problem:idempotency-conflict")
    assert rows(service, "request") == 1


def test_a_key_belongs_to_its_principal(service: Service) -> None:
    service.post("/v1/requests", {"purl": PURL}, headers={"Idempotency-Key": "k1"})
    answer = service.post("/v1/requests", {"purl": "pkg:pypi/other@1"}, headers={"Idempotency-Key": "k1"}, token="other")
    assert answer.status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a" * 201, "ä", "a\tb"])
def test_a_malformed_key_is_refused(service: Service, key: str) -> None:
    answer = service.post("/v1/requests", {"purl": PURL}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400


def test_spellings_of_one_purl_share_one_rebuild_also_between_principals(service: Service) -> None:
    one = service.request("pkg:pypi/Foo.Bar@1.0")
    assert service.request("pkg:pypi/foo-bar@1.0", token="other") == one
    assert service.request("pkg:pypi/foo_bar@1.0rc0") != one
    assert service.request("pkg:pypi/foo-bar@1.0?file_name=foo_bar-1.0-py3-none-any.whl") != one


def test_a_finished_rebuild_is_shared_while_it_is_young_enough(service: Service) -> None:
    done, _ = service.rebuilt()
    purl = "pkg:pypi/demo@1.0"
    assert service.request(purl) == done
    assert service.request(purl, max_age="1h") == done
    time.sleep(0.01)
    assert service.request(purl, max_age=0) != done


def test_force_makes_a_new_rebuild_which_later_requests_join(service: Service) -> None:
    done, _ = service.rebuilt()
    forced = service.request("pkg:pypi/demo@1.0", force=True)
    assert forced != done
    assert service.request("pkg:pypi/demo@1.0") == forced


PURLS = [
    ("pkg:pypi/idna", "a version is missing"),
    ("pkg:npm/left-pad@1.0.0", "not rebuilt here"),
    ("pkg:pypi/idna@3.10?repository_url=https://index.example/simple", "repository_url"),
    ("idna==3.10", "pkg:"),
    ("pkg:pypi/idna@3.10?file_name=../../etc/passwd", "file_name"),
    ("pkg:pypi/idna@not a version", "PEP 440"),
    ("pkg:pypi/id\u202ena@1", "printable"),
    ("pkg:pypi/%00@1", "pkg:type"),
    ("", "1 to 1024"),
]


@pytest.mark.parametrize(("purl", "said"), PURLS)
def test_a_bad_purl_is_refused_at_its_place(service: Service, purl: str, said: str) -> None:
    answer = service.post("/v1/requests", {"purl": purl})
    assert (answer.status_code, answer.json["type"], answer.json["pointer"]) == (400, "urn:reprove:problem:invalid-purl", "/purl"), answer.text
    assert said in answer.json["detail"]
    assert rows(service, "rebuild") == 0


@pytest.mark.parametrize(
    "member",
    [
        {"max_age": "soon"},
        {"max_age": -1},
        {"max_age": "99999d"},
        {"priority": 10},
        {"visibility": "private"},
        {"callback": "https://x"},
        {"original": {}},
    ],
)
def test_what_is_not_offered_is_refused_and_not_ignored(service: Service, member: dict[str, object]) -> None:
    answer = service.post("/v1/requests", {"purl": PURL, **member})
    assert answer.status_code == 400
    assert answer.json["pointer"] == f"/{next(iter(member))}"
    assert rows(service, "rebuild") == 0


def test_a_nearly_full_disk_is_answered_507_and_nothing_is_stored(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(service.settings, "min_free", shutil.disk_usage(service.settings.home).free + 2**40)
    for path, body in (("/v1/requests", {"purl": PURL}), ("/v1/decisions", {"policy": "p", "artifacts": [{"sha256": "0" * 64}]})):
        answer = service.post(path, body)
        assert (answer.status_code, answer.json["type"]) == (507, "urn:reprove:problem:storage-full")
    assert rows(service, "request") + rows(service, "decision") == 0
    assert service.get("/readyz").status_code == 507
    assert service.get("/healthz").status_code == 200


def test_the_write_limit_is_counted_in_sql_per_principal_and_told_in_headers(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(service.settings, "requests_per_minute", 2)
    fixed = times.parse_rfc3339("2026-11-24T12:00:30Z")
    monkeypatch.setattr(times, "now", lambda: fixed)
    answers = [service.post("/v1/requests", {"purl": f"pkg:pypi/a@{number}"}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"writes";q=2;w=60'
    assert [answer.headers["RateLimit"] for answer in answers] == ['"writes";r=1;t=30', '"writes";r=0;t=30', '"writes";r=0;t=30']
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60
    assert service.post("/v1/requests", {"purl": PURL}, token="other").status_code == 202


def test_cancelling_detaches_and_the_last_one_stops_the_rebuild(service: Service) -> None:
    one = service.request()
    service.request(token="other")
    assert service.post(f"/v1/rebuilds/{one}/cancel").json["state"] == "queued"
    stopped = service.post(f"/v1/rebuilds/{one}/cancel", token="other")
    assert (stopped.status_code, stopped.json["state"]) == (200, "cancelled")
    assert "cancel" not in stopped.json["links"]


def test_nobody_cancels_what_others_asked_for(service: Service) -> None:
    one = service.request()
    assert service.post(f"/v1/rebuilds/{one}/cancel", token="other").status_code == 404
    assert service.get(f"/v1/rebuilds/{one}").json["state"] == "queued"


def test_from_attesting_on_nothing_can_be_cancelled(service: Service) -> None:
    done, _ = service.rebuilt()
    assert service.post(f"/v1/rebuilds/{done}/cancel").status_code == 400


def test_a_private_rebuild_is_seen_by_who_asked_for_it_only(service: Service) -> None:
    one = service.request()
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE rebuild SET visibility = 'private'")
    for path in (f"/v1/rebuilds/{one}", f"/v1/rebuilds/{one}/events", f"/v1/rebuilds/{one}/log"):
        assert service.get(path, token="other").status_code == 404
        assert service.get(path, token=None).json["detail"] == "there is no such rebuild"
    assert service.get(f"/v1/rebuilds/{one}").status_code == 200


def test_a_long_poll_comes_with_the_change_and_not_with_the_time(service: Service) -> None:
    one = service.request()
    seq = service.get(f"/v1/rebuilds/{one}").json["seq"]

    def change() -> None:
        time.sleep(0.3)
        with service.database.write() as conn:
            rebuilds.move(conn, one, RebuildState.RUNNING)

    thread = threading.Thread(target=change)
    thread.start()
    began = time.monotonic()
    answer = service.get(f"/v1/rebuilds/{one}?wait=20&after={seq}")
    thread.join()
    assert answer.json["state"] == "running"
    assert 0.2 < time.monotonic() - began < 5


def test_a_long_poll_ends_with_its_time(service: Service) -> None:
    one = service.request()
    began = time.monotonic()
    answer = service.get(f"/v1/rebuilds/{one}?wait=1&after=1")
    assert answer.json["state"] == "queued"
    assert 0.9 < time.monotonic() - began < 4


def test_what_has_changed_already_or_ended_is_answered_at_once(service: Service) -> None:
    one = service.request()
    done, _ = service.rebuilt()
    began = time.monotonic()
    assert service.get(f"/v1/rebuilds/{one}?wait=25&after=0").status_code == 200
    assert service.get(f"/v1/rebuilds/{done}?wait=25&after=999").status_code == 200
    assert time.monotonic() - began < 2


def test_a_principal_holds_four_long_polls_and_the_fifth_is_answered_at_once(service: Service) -> None:
    one = service.request()
    path = f"/v1/rebuilds/{one}?wait=25&after=1"
    threads = [threading.Thread(target=service.get, args=(path,)) for _ in range(PER_PRINCIPAL)]
    for thread in threads:
        thread.start()
    polls = service.app.extensions["reprove"].polls
    while polls.held < PER_PRINCIPAL:
        time.sleep(0.01)
    began = time.monotonic()
    fifth = service.get(path)
    assert time.monotonic() - began < 2
    assert int(fifth.headers["Retry-After"]) > 0
    assert fifth.json["state"] == "queued"
    with service.database.write() as conn:
        rebuilds.move(conn, one, RebuildState.RUNNING)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert polls.held == 0


@pytest.mark.parametrize("query", ["wait=26", "wait=-1", "wait=1.5", "wait=x", "after=-1", "wait=1&wait=2", "wait="])
def test_a_malformed_wait_is_refused(service: Service, query: str) -> None:
    one = service.request()
    assert service.get(f"/v1/rebuilds/{one}?{query}").status_code == 400


def test_events_are_listed_after_a_number(service: Service) -> None:
    one = service.request()
    bodies = [{"phase": "resolve", "status": status, "detail": "", "seconds": 0.5} for status in ("started", "done")]
    with service.database.write() as conn:
        rebuilds.add_events(conn, one, bodies, attempt_id=None, now=times.now())
    assert [event["status"] for event in service.get(f"/v1/rebuilds/{one}/events").json["items"]] == ["started", "done"]
    assert [event["n"] for event in service.get(f"/v1/rebuilds/{one}/events?after=1").json["items"]] == [2]


def test_the_running_log_is_read_from_an_offset_and_says_when_it_has_ended(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.rebuilds.LOG_PART_BYTES", 6)
    one = service.request()
    assert service.get(f"/v1/rebuilds/{one}/log").json["detail"] == "there is no build log yet"
    (service.settings.home / "logs" / f"{one}.log").write_bytes(b"line 1\nline 2\n")
    first = service.get(f"/v1/rebuilds/{one}/log")
    assert (first.data, first.headers["Reprove-Log-Size"], first.headers["Reprove-Log-Complete"]) == (b"line 1", "14", "false")
    assert first.content_type == "text/plain; charset=utf-8"
    assert service.get(f"/v1/rebuilds/{one}/log?offset=13").data == b"\n"
    beyond = service.get(f"/v1/rebuilds/{one}/log?offset=999")
    assert (beyond.data, beyond.headers["Reprove-Log-Complete"]) == (b"", "false")
    service.post(f"/v1/rebuilds/{one}/cancel")
    assert service.get(f"/v1/rebuilds/{one}/log?offset=13").headers["Reprove-Log-Complete"] == "true"


def test_who_waits_is_told_the_position(service: Service) -> None:
    first, second = service.request("pkg:pypi/a@1"), service.request("pkg:pypi/b@1")
    urgent = service.request("pkg:pypi/c@1", priority=9)
    places = [service.get(f"/v1/rebuilds/{one}").json["waiting"] for one in (first, second, urgent)]
    assert [place["reason"] for place in places] == ["queue"] * 3
    assert [place["detail"].split(" for ")[0] for place in places] == ["position 2", "position 3", "position 1"]
