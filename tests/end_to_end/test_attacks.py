"""Attacks on a running service from outside of a build: echo builds, Redis, the database, the index, policies, long polls."""

from __future__ import annotations

import contextlib
import json
import pickle
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.end_to_end.test_faults import assert_clean
from tests.instance import Answer, Instance
from tests.sim.index import SimIndex, make_wheel
from tests.sim.packages import BACKEND, Project, wheel_bytes

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ECHO_BACKEND = b"""
import pathlib, shutil
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    found = sorted(p for p in pathlib.Path('.').rglob('*.bin'))[0]
    target = found.read_bytes()
    name = pathlib.Path('NAME').read_text().strip()
    (pathlib.Path(wheel_directory) / name).write_bytes(target)
    return name
"""
IN_TREE = b'[build-system]\nrequires = []\nbuild-backend = "echo"\nbackend-path = ["."]\n'
LENIENT = """\
reprove-policy: 1
name: lenient
rules:
  - match: "pkg:pypi/"
    level: times-stamped
    origins: [inferred]
    indexes: [pypi]
    operators: 1
    max_age: 365d
    dissent: ignore
    deployment: any
    passes: []
    allow_findings: [original-among-inputs, unsourced-members, purl-conflict, yanked]
"""
COMPARISON = "urn:reprove:predicate:comparison:v0.1"


def decide(instance: Instance, sha256: str, policy: str = "default") -> dict[str, Any]:
    answer = instance.call("POST", "/v1/decisions", {"policy": policy, "artifacts": [{"sha256": sha256}]})
    assert answer.status == 201, answer.body
    return answer.json  # type: ignore[no-any-return]


def reasons(decision: dict[str, Any]) -> str:
    return json.dumps(decision["artifacts"][0].get("reasons", []))


def rebuilt(instance: Instance, purl: str) -> dict[str, Any]:
    return instance.follow(instance.post(purl, force=True))


def tampered(project: Project) -> bytes:
    """A wheel that no honest build of these sources gives."""
    files = {f"{project.name}/{path}": data for path, data in sorted(project.files.items())}
    return wheel_bytes(project.name, project.version, {**files, f"{project.name}/zz_backdoor.py": b"import os\n"})


@contextlib.contextmanager
def records(instance: Instance) -> Iterator[sqlite3.Connection]:
    """The records database, as an account of the records group could open it."""
    connection = sqlite3.connect(instance.home / "records" / "records.db", timeout=10, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def copy_row(database: sqlite3.Connection, table: str, where: tuple[str, str], changes: dict[str, object]) -> None:
    """Insert a copy of one row with some columns changed."""
    row = database.execute(f"SELECT * FROM {table} WHERE {where[0]}=?", (where[1],))  # names of this file
    columns = [column[0] for column in row.description]
    values = dict(zip(columns, row.fetchone(), strict=True)) | changes
    marks = ", ".join("?" for _ in columns)
    database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(values.values()))  # names of this file


# Echo builds


def echo(name: str) -> tuple[Project, bytes]:
    """A project whose own backend copies a tampered wheel out of the source, and that wheel."""
    project = Project(name)
    wheel = tampered(project)
    project.extra = {"pyproject.toml": IN_TREE, "echo.py": ECHO_BACKEND, "NAME": project.wheel_name.encode(), "vendor/data.bin": wheel}
    return project, wheel


def test_the_original_inside_the_source_is_found_and_denied(instance: Instance, index: SimIndex) -> None:
    project, wheel = echo("echosource")
    result = rebuilt(instance, project.publish(index, wheel=wheel))
    assert (result["outcome"], result["level"]) == ("reproduced", "bitwise"), "the echo works: the bytes are equal"
    assert {row["code"] for row in result["findings"]} >= {"original-among-inputs"}
    decision = decide(instance, result["original"]["sha256"])
    assert decision["verdict"] == "deny"
    assert "original-among-inputs" in reasons(decision)


def test_a_build_requirement_that_is_the_artifact_itself_is_found_and_denied(instance: Instance, index: SimIndex) -> None:
    project = Project("echoself", requires=[BACKEND, "echoself==1.0"])
    result = rebuilt(instance, project.publish(index))
    found = {row["code"] for row in result["findings"]}
    assert (result["outcome"], found) == ("reproduced", {"original-among-inputs"}), result
    assert decide(instance, result["original"]["sha256"])["verdict"] == "deny"


def test_the_original_under_another_name_among_the_inputs_is_found_and_denied(instance: Instance, index: SimIndex) -> None:
    project = Project("echohidden", requires=[BACKEND, "carrier"])
    members = {"carrier/data.bin": project.wheel()}
    index.add("carrier", "carrier-1.0-py3-none-any.whl", make_wheel("carrier", "1.0", members=members), uploaded="2023-05-01T00:00:00Z")
    result = rebuilt(instance, project.publish(index))
    assert {row["code"] for row in result["findings"]} == {"original-among-inputs"}, result
    decision = decide(instance, result["original"]["sha256"])
    assert decision["verdict"] == "deny"
    assert "carrier" in reasons(decision)


# Policies


def test_a_lenient_policy_does_not_help_where_the_prefix_is_bound(instance: Instance, index: SimIndex) -> None:
    project, wheel = echo("echolenient")
    digest = rebuilt(instance, project.publish(index, wheel=wheel))["original"]["sha256"]
    (instance.home / "policies" / "lenient.yaml").write_text(LENIENT)
    bindings = instance.home / "policies" / "bindings.yaml"
    bound = bindings.read_text()
    assert decide(instance, digest, "lenient")["verdict"] == "deny"
    try:
        # without the defence the attack works: nothing binds the prefix
        bindings.write_text("{}\n")
        assert decide(instance, digest, "lenient")["verdict"] == "allow"
        # a name that only begins alike is not bound
        bindings.write_text('"pkg:pypi/echolenien": default\n'.replace("echolenien", "echolenien@"))
        assert decide(instance, digest, "lenient")["verdict"] == "allow"
        bindings.write_text('"pkg:pypi/echolenient@": default\n')
        assert decide(instance, digest, "lenient")["verdict"] == "deny"
    finally:
        bindings.write_text(bound)
        (instance.home / "policies" / "lenient.yaml").unlink()


# The index


def test_a_name_that_the_index_answers_with_other_bytes_is_a_conflict_and_denied(instance: Instance, index: SimIndex) -> None:
    project = Project("twofaced")
    first = rebuilt(instance, project.publish(index))
    assert decide(instance, first["original"]["sha256"])["verdict"] == "allow"
    second_face = Project("twofaced", files={**project.files, "more.py": b"x = 1\n"})
    second = rebuilt(instance, second_face.publish(index))
    assert (first["outcome"], second["outcome"]) == ("reproduced", "reproduced")
    assert '"event": "purl_conflict"' in instance.log("workerapi", 400), "the operator is told"
    digests = {first["original"]["sha256"], second["original"]["sha256"]}
    assert len(digests) == 2
    shown = {row["subject"]["sha256"] for row in instance.call("GET", f"/v1/attestations?purl={project.purl}").json["items"]}
    assert shown >= digests
    for digest in digests:
        decision = decide(instance, digest)
        assert decision["verdict"] == "deny"
        assert "purl-conflict" in reasons(decision)


def test_what_a_backend_asks_for_can_name_no_place_to_fetch_it_from(instance: Instance, index: SimIndex) -> None:
    """The second candidate fetches what package code asked for: addresses, paths and options among it reach nobody."""
    with SimIndex() as foreign:
        foreign.add("evil", "evil-1.0-py3-none-any.whl", make_wheel("evil", "1.0"), uploaded="2023-01-01T00:00:00Z")
        place = f"{foreign.base}/files/evil/evil-1.0-py3-none-any.whl"
        asked = [f"evil@{place}", f"--index-url={foreign.url}", "evil@file:///etc/passwd", f"--find-links={foreign.base}", "../evil", "-r/etc/passwd"]
        for number, need in enumerate(asked):
            project = Project(f"asker{number}", needs=[need])
            result = rebuilt(instance, project.publish(index))
            assert result["outcome"] in ("build-failed", "input-unavailable"), (need, result)
            assert all(place not in row["uri"] for row in result.get("inputs", []))
        assert foreign.asked == []


# Redis


def write_job(client: Redis, queue: str, attempt: str, data: bytes, **fields: str) -> None:
    """Ring a bell by hand, as whoever has the scheduler's password could."""
    row: dict[Any, Any] = {
        "data": data,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "origin": queue,
        "status": "queued",
        "description": "x",
        **fields,
    }
    client.hset(f"rq:job:{attempt}", mapping=row)
    client.sadd("rq:queues", f"rq:queue:{queue}")
    client.lpush(f"rq:queue:{queue}", attempt)


class Pickled:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return (os.system, (self.command,))


def test_jobs_written_into_redis_by_hand_run_nothing(instance: Instance, index: SimIndex, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = f"touch {marker}"
    queues = ("resolve", f"rebuild-{instance.settings.arch}")
    password = (instance.home / "secrets" / "redis-scheduler.password").read_text()
    with Redis(unix_socket_path=str(instance.settings.sockets / "redis.sock"), username="scheduler", password=password) as client:
        for number, queue in enumerate(queues):
            letter = "xy"[number]
            write_job(client, queue, "at-" + letter * 20, json.dumps(["os.system", None, [command], {}]).encode())
            write_job(client, queue, "at-" + letter * 19 + "1", zlib.compress(pickle.dumps(("os.system", None, (command,), {}))))
            write_job(client, queue, "at-" + letter * 19 + "2", pickle.dumps(Pickled(command)))
            write_job(client, queue, f"../{letter}", json.dumps(["os.system", None, [command], {}]).encode())
            good = json.dumps([f"workers.jobs.{queue.partition('-')[0]}", None, ["at-" + letter * 19 + "3"], {}]).encode()
            callback = {"success_callback_name": "os.system", "failure_callback_name": "os.system", "stopped_callback_name": "os.system"}
            write_job(client, queue, "at-" + letter * 19 + "3", good, **callback)
    result = rebuilt(instance, Project("rung").publish(index))
    assert result["outcome"] == "reproduced"
    time.sleep(0.5)
    assert not marker.exists()
    for name in ("resolver", "worker-1"):
        assert instance.processes[name].poll() is None
        assert "refused a job" in instance.log(name, 400)


def test_a_role_of_redis_reaches_no_other_keys_and_no_commands_of_the_host(instance: Instance) -> None:
    password = (instance.home / "secrets" / "redis-worker.password").read_text()
    with Redis(unix_socket_path=str(instance.settings.sockets / "redis.sock"), username="worker", password=password) as client:
        for arguments in (
            ("CONFIG", "SET", "dir", "/"),
            ("FLUSHALL",),
            ("ACL", "LIST"),
            ("SET", "mine", "1"),
            ("DEBUG", "SLEEP", "9"),
            ("MODULE", "LIST"),
        ):
            with pytest.raises(Exception, match=r"(?i)permission|not allowed"):
                client.execute_command(*arguments)
    with Redis(unix_socket_path=str(instance.settings.sockets / "redis.sock")) as stranger, pytest.raises(Exception, match=r"(?i)auth"):
        stranger.ping()


# The database


def test_an_outcome_that_only_a_row_claims_is_never_shown_and_never_allows(instance: Instance, index: SimIndex) -> None:
    project = Project("rowclaim")
    honest = rebuilt(instance, Project("rowdonor").publish(index))
    bad = rebuilt(instance, project.publish(index, wheel=tampered(project)))
    digest, comparison = bad["original"]["sha256"], bad["attestations"][-1]["id"]
    assert (honest["outcome"], bad["outcome"]) == ("reproduced", "differs")
    with records(instance) as database:
        database.execute("UPDATE rebuild SET outcome='reproduced', level='bitwise', cause_class=NULL, findings='[]' WHERE id=?", (bad["id"],))
        database.execute("UPDATE statement SET outcome='reproduced', level='bitwise' WHERE id=?", (comparison,))
    assert instance.call("GET", f"/v1/rebuilds/{bad['id']}").json["outcome"] == "differs"
    page = instance.call("GET", f"/v1/attestations?digest=sha256:{digest}").json["items"]
    assert {row["outcome"] for row in page if row["predicateType"] == COMPARISON} == {"differs"}
    assert [row["outcome"] for row in instance.call("GET", f"/v1/artifacts/sha256:{digest}").json["outcomes"]] == ["differs"]
    assert decide(instance, digest)["verdict"] == "deny"

    # somebody else's genuine proof under a forged statement, and a genuine statement moved to another subject
    donor = honest["attestations"][-1]["id"]
    with records(instance) as database:
        envelope = json.loads(database.execute("SELECT envelope FROM statement WHERE id=?", (donor,)).fetchone()[0])
        database.execute("UPDATE statement SET subject_sha256=?, rebuild_id=NULL WHERE id=?", (digest, donor))
        envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
        forged = json.dumps(envelope).encode()
        copy_row(database, "statement", ("id", donor), {"id": "f" * 64, "envelope": forged})
        copy_row(database, "entry", ("statement_id", donor), {"statement_id": "f" * 64, "log_index": 10**6})
    try:
        assert instance.call("GET", f"/v1/attestations/{'f' * 64}").status == 404
        page = instance.call("GET", f"/v1/attestations?digest=sha256:{digest}").json["items"]
        assert "f" * 64 not in {row["id"] for row in page}
        assert not [row for row in page if row["subject"]["sha256"] == digest and row.get("outcome") == "reproduced"]
        answer = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [{"sha256": digest}]})
        assert answer.json.get("verdict") != "allow", answer.body
    finally:
        with records(instance) as database:
            database.execute("DELETE FROM entry WHERE statement_id=?", ("f" * 64,))
            database.execute("DELETE FROM statement WHERE id=?", ("f" * 64,))
            subject = honest["original"]["sha256"]
            database.execute("UPDATE statement SET subject_sha256=?, rebuild_id=? WHERE id=?", (subject, honest["id"], donor))
    assert decide(instance, subject)["verdict"] == "allow"


def test_a_verdict_that_only_a_row_claims_is_never_shown(instance: Instance, index: SimIndex) -> None:
    project = Project("rowverdict")
    digest = rebuilt(instance, project.publish(index, wheel=tampered(project)))["original"]["sha256"]
    denied = decide(instance, digest)
    assert denied["verdict"] == "deny"
    with records(instance) as database:
        result = json.dumps({"verdict": "allow", "artifacts": [{"sha256": digest, "verdict": "allow", "reasons": []}]})
        database.execute("UPDATE decision SET verdict='allow', result=? WHERE id=?", (result, denied["id"]))
        invented = "dec-" + "0" * 20
        copy_row(database, "decision", ("id", denied["id"]), {"id": invented})
        database.execute("INSERT INTO decision_artifact (decision_id, sha256) VALUES (?, ?)", (invented, digest))
    assert instance.call("GET", f"/v1/decisions/{denied['id']}").json["verdict"] == "deny"
    claimed = instance.call("GET", f"/v1/decisions/{invented}")
    assert (claimed.status, claimed.json.get("verdict")) == (202, None)
    assert [row["verdict"] for row in instance.call("GET", f"/v1/artifacts/sha256:{digest}").json["decisions"]] == ["deny"]
    assert decide(instance, digest)["verdict"] == "deny"


# Many who wait


def test_fifty_open_long_polls_cost_no_lease_and_no_rebuild(instance: Instance, index: SimIndex) -> None:
    identifier = instance.post(Project("awaited", hook="import time; time.sleep(6)").publish(index), force=True)
    answers: list[Answer] = []
    stop = threading.Event()

    def poll() -> None:
        seen = 0
        while not stop.is_set():
            answer = instance.call("GET", f"/v1/rebuilds/{identifier}?wait=25&after={seen}")
            answers.append(answer)
            seen = answer.json["seq"]
            if answer.json["state"] == "done":
                return
            stop.wait(float(answer.headers.get("Retry-After", 0)) + 0.5)

    threads = [threading.Thread(target=poll, daemon=True) for _ in range(50)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    other = instance.call("GET", "/readyz", token=None)
    assert other.status == 200
    assert time.monotonic() - began < 5
    result = instance.follow(identifier, timeout=60)
    stop.set()
    for thread in threads:
        thread.join(40)
    assert (result["outcome"], [row["state"] for row in result["attempts"]]) == ("reproduced", ["reported", "reported"])
    assert {answer.status for answer in answers} == {200}
    assert any("Retry-After" in answer.headers for answer in answers)


def test_after_all_of_it_an_honest_wheel_is_allowed_and_nothing_is_left(instance: Instance, index: SimIndex) -> None:
    result = rebuilt(instance, Project("honestly").publish(index))
    assert (result["outcome"], result["level"]) == ("reproduced", "bitwise")
    assert decide(instance, result["original"]["sha256"])["verdict"] == "allow"
    assert_clean(instance)
