"""Bad input to a running service: a clear problem or one line, the right outcome in the log, nothing lost and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.launch import process_names
from tests.end_to_end.test_faults import assert_clean, logged_digests
from tests.instance import REPOSITORY, Instance, make_instance, temporary_home
from tests.sim.index import Fault, SimIndex, make_sdist, make_wheel
from tests.sim.packages import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPARISON = "urn:reprove:predicate:comparison:v0.1"


def decide(instance: Instance, **artifact: str) -> dict[str, Any]:
    answer = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [artifact]})
    assert answer.status == 201, answer.body
    return answer.json  # type: ignore[no-any-return]


# What an index has, and what becomes of it: (name, what is published, how it ends, what the answer says)


def _unknown_package(_index: SimIndex) -> str:
    return "pkg:pypi/nobodyhasthis@1.0"


def _unknown_version(index: SimIndex) -> str:
    Project("oldonly").publish(index)
    return "pkg:pypi/oldonly@9.9"


def _unknown_file(index: SimIndex) -> str:
    Project("otherfile").publish(index)
    return "pkg:pypi/otherfile@1.0?file_name=otherfile-1.0-py2-none-any.whl"


def _several_files(index: SimIndex) -> str:
    for tag in ("cp311-cp311-linux_x86_64", "cp312-cp312-linux_x86_64"):
        index.add("several", f"several-1.0-{tag}.whl", make_wheel("several", "1.0", tag=tag))
    return "pkg:pypi/several@1.0"


def _no_sdist(index: SimIndex) -> str:
    index.add("sourceless", "sourceless-1.0-py3-none-any.whl", make_wheel("sourceless", "1.0"))
    return "pkg:pypi/sourceless@1.0"


def _native_tag(index: SimIndex) -> str:
    name = "native-1.0-cp311-cp311-linux_x86_64.whl"
    index.add("native", name, make_wheel("native", "1.0", tag="cp311-cp311-linux_x86_64"))
    index.add("native", "native-1.0.tar.gz", make_sdist("native", "1.0"))
    return f"pkg:pypi/native@1.0?file_name={name}"


def _no_upload_times(index: SimIndex) -> str:
    purl = Project("timeless").publish(index)
    for file in index.projects["timeless"].values():
        file.uploaded = None
    return purl


def _wrong_digest(index: SimIndex) -> str:
    purl = Project("wrongdigest").publish(index)
    index.fail("/files/wrongdigest/", Fault.CHANGED, times=99)
    return purl


def _truncated(index: SimIndex) -> str:
    purl = Project("cutshort").publish(index)
    index.fail("/files/cutshort/", Fault.TRUNCATED, times=99)
    return purl


def _gone(index: SimIndex) -> str:
    purl = Project("gone").publish(index)
    index.fail("/files/gone/", Fault.STATUS, 404, times=99)
    return purl


def _garbage(index: SimIndex) -> str:
    purl = Project("garbage").publish(index)
    index.fail("/simple/garbage/", Fault.GARBAGE, times=99)
    return purl


def _html(index: SimIndex) -> str:
    purl = Project("webpage").publish(index)
    index.fail("/simple/webpage/", Fault.HTML, times=99)
    return purl


def _down(index: SimIndex) -> str:
    purl = Project("downed").publish(index)
    index.fail("/simple/downed/", Fault.DOWN, times=99)
    return purl


def _slow(index: SimIndex) -> str:
    purl = Project("slowly").publish(index)
    index.fail("/simple/slowly/", Fault.SLOW, 3, times=1)
    return purl


def _passing(index: SimIndex) -> str:
    purl = Project("passing").publish(index)
    index.fail("/simple/passing/", Fault.DOWN, times=4)
    return purl


def _yanked(index: SimIndex) -> str:
    purl = Project("yankedone").publish(index)
    for file in index.projects["yankedone"].values():
        file.yanked = "broken"
    return purl


def _unsafe_source(index: SimIndex) -> str:
    project = Project("leaving")
    return project.publish(index, sdist=make_sdist("leaving", "1.0", members={"../../etc/cron.d/x": b"x"}))


def _broken_source(index: SimIndex) -> str:
    return Project("notatar").publish(index, sdist=b"this is no archive")


CASES: dict[str, tuple[Callable[[SimIndex], str], str, str, str]] = {
    "an unknown package": (_unknown_package, "rejected", "unknown-package", "has no project"),
    "an unknown version": (_unknown_version, "rejected", "unknown-package", "Newest: 1.0"),
    "an unknown file": (_unknown_file, "rejected", "unknown-package", "otherfile-1.0-py3-none-any.whl"),
    "several files and none is pure": (_several_files, "rejected", "invalid-purl", "file_name="),
    "an index that is down": (_down, "rejected", "unavailable", "index"),
    "an index that answers garbage": (_garbage, "rejected", "unavailable", "index"),
    "an index that answers a web page": (_html, "rejected", "unavailable", "index"),
    "an index that is slow": (_slow, "reproduced", "", ""),
    "an index that is down for a moment": (_passing, "reproduced", "", ""),
    "no sdist": (_no_sdist, "not-attemptable", "no-sdist", "no source archive"),
    "a native tag": (_native_tag, "not-attemptable", "native-tag", "compiled"),
    "no upload times": (_no_upload_times, "input-unavailable", "no-upload-times", "PEP 700"),
    "other bytes than announced": (_wrong_digest, "input-unavailable", "digest-mismatch", ""),
    "a truncated file": (_truncated, "input-unavailable", "truncated", ""),
    "a file that is gone": (_gone, "input-unavailable", "gone", ""),
    "a yanked release": (_yanked, "reproduced", "", ""),
    "a source with a member that leaves it": (_unsafe_source, "build-failed", "unsafe-source", "dot-dot"),
    "a source that is no archive": (_broken_source, "build-failed", "source-layout", ""),
}


@pytest.fixture(scope="module")
def posted(instance: Instance, index: SimIndex) -> dict[str, str]:
    return {name: instance.post(case[0](index)) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_it_should_and_every_outcome_is_in_the_log(instance: Instance, posted: dict[str, str], name: str) -> None:
    _, ending, cause, says = CASES[name]
    result = instance.follow(posted[name])
    if ending == "rejected":
        assert (result["state"], result.get("outcome")) == ("rejected", None), result
        assert result["attestations"] == []
    else:
        assert (result["state"], result["outcome"]) == ("done", ending), result
        logged = logged_digests(instance)
        ids = [row["id"] for row in result["attestations"]]
        assert ids
        assert [logged.count(one) for one in ids] == [1] * len(ids)
    if cause:
        assert result["cause"]["class"] == cause, result["cause"]
    if says:
        assert says in result["cause"]["detail"], result["cause"]


def test_a_yanked_file_is_rebuilt_and_denied_for_it(instance: Instance, posted: dict[str, str]) -> None:
    result = instance.follow(posted["a yanked release"])
    assert {row["code"] for row in result["findings"]} == {"yanked"}
    decision = decide(instance, sha256=result["original"]["sha256"])
    assert decision["verdict"] == "deny"
    assert "yanked" in json.dumps(decision["artifacts"])


def test_a_wheel_that_is_no_archive_is_never_equal(instance: Instance, index: SimIndex, posted: dict[str, str]) -> None:
    """Its build system is still the source's; what comes out cannot be compared with it."""
    result = instance.follow(instance.post(Project("notazip").publish(index, wheel=b"PK\x03\x04 this is no archive")))
    assert (result["state"], result["outcome"]) == ("done", "ambiguous-archive"), (result["outcome"], result.get("cause"))
    assert decide(instance, sha256=result["original"]["sha256"])["verdict"] == "deny"


def test_what_never_had_an_outcome_is_denied_by_its_name(instance: Instance, posted: dict[str, str]) -> None:
    instance.follow(posted["an unknown package"])
    decision = decide(instance, purl="pkg:pypi/nobodyhasthis@1.0")
    assert decision["verdict"] == "deny"
    assert "no-attestation" in json.dumps(decision["artifacts"])


def test_what_cannot_be_attempted_is_said_and_denied(instance: Instance, posted: dict[str, str]) -> None:
    for name in ("no sdist", "a native tag", "other bytes than announced"):
        result = instance.follow(posted[name])
        items = instance.call("GET", f"/v1/attestations?digest=sha256:{result['original']['sha256']}").json["items"]
        assert [(row["predicateType"], row["outcome"]) for row in items] == [(COMPARISON, result["outcome"])]
        assert decide(instance, sha256=result["original"]["sha256"])["verdict"] == "deny"


def test_a_malformed_policy_says_where_and_answers_nothing(instance: Instance) -> None:
    folder = instance.home / "policies"
    (folder / "broken.yaml").write_text("reprove-policy: 1\nname: broken\nrules:\n  - match: 'pkg:pypi/'\n    levle: bitwise\n")
    try:
        answer = instance.call("POST", "/v1/decisions", {"policy": "broken", "artifacts": [{"sha256": "0" * 64}]})
    finally:
        (folder / "broken.yaml").unlink()
    assert (answer.status, answer.json["type"]) == (400, "urn:reprove:problem:invalid-policy"), answer.body
    assert (answer.json["line"], answer.json["column"]) == (5, 5)
    assert "level" in answer.json["detail"]


def test_malformed_bindings_say_where_and_answer_nothing(instance: Instance) -> None:
    path = instance.home / "policies" / "bindings.yaml"
    bound = path.read_text()
    path.write_text('"pkg:pypi/": default\n"pkg:pypi/": lenient\n')
    try:
        answer = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [{"sha256": "0" * 64}]})
    finally:
        path.write_text(bound)
    assert (answer.status, answer.json["line"], answer.json["column"]) == (400, 2, 1), answer.body


# The engine and the disk


def worker_with_engine(instance: Instance, socket: Path) -> None:
    """Start worker-1 with another engine socket; the launcher would clear that variable."""
    environment = {
        "PATH": os.environ["PATH"],
        "REPROVE_HOME": str(instance.home),
        "REPROVE_WORKER_NAME": "worker-1",
        "DOCKER_HOST": f"unix://{socket}",
    }
    log = (instance.home / "run" / "worker-1.log").open("ab")
    command = [sys.executable, "-m", "workers.main", "rebuild"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True)
    instance.processes["worker-1"] = process
    log.close()


def test_without_an_engine_a_request_waits_says_why_and_ends_when_it_is_back(
    instance: Instance, index: SimIndex, posted: dict[str, str], tmp_path: Path
) -> None:
    for rebuild in posted.values():
        instance.follow(rebuild)
    instance.terminate("worker-1")
    engine = tmp_path / "engine.sock"
    worker_with_engine(instance, engine)
    try:
        identifier = instance.post(Project("engineless").publish(index))
        deadline = time.monotonic() + 30
        while (shown := instance.call("GET", f"/v1/rebuilds/{identifier}").json).get("waiting", {}).get("reason") != "engine":
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        time.sleep(instance.settings.lease_seconds + 1)
        assert instance.call("GET", f"/v1/rebuilds/{identifier}").json["state"] == "running", "waiting costs no attempt"
        engine.symlink_to("/var/run/docker.sock")
        result = instance.follow(identifier)
        assert (result["outcome"], [row["state"] for row in result["attempts"]]) == ("reproduced", ["reported", "reported"])
    finally:
        instance.terminate("worker-1")
        instance.start("worker-1")


def test_a_nearly_full_disk_is_507_before_anything_is_written(instance: Instance, index: SimIndex) -> None:
    purl = Project("nospace").publish(index)
    instance.terminate("api")
    instance.start("api", env={"REPROVE_MIN_FREE": "1000000GiB"})
    wait_for_answer(instance)
    before = counts(instance)
    try:
        asked = instance.call("POST", "/v1/requests", {"purl": purl}, headers={"Idempotency-Key": "full"})
        decided = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [{"sha256": "0" * 64}]})
        assert [(one.status, one.json["type"]) for one in (asked, decided)] == [(507, "urn:reprove:problem:storage-full")] * 2
        assert counts(instance) == before
        assert instance.call("GET", "/v1/attestations").status == 200, "what is there is still shown"
        assert instance.call("GET", "/readyz", token=None).status in (503, 507)
    finally:
        instance.terminate("api")
        instance.start("api")
        instance.ready()
    again = instance.call("POST", "/v1/requests", {"purl": purl}, headers={"Idempotency-Key": "full"})
    assert again.status == 202
    assert instance.follow(again.headers["Location"].rsplit("/", 1)[1])["outcome"] == "reproduced"


def test_a_disk_that_fills_under_a_rebuild_is_never_its_verdict(instance: Instance, index: SimIndex) -> None:
    instance.terminate("workerapi")
    instance.start("workerapi", env={"REPROVE_MIN_FREE": "1000000GiB"})
    identifier = instance.post(Project("fillsup").publish(index))
    time.sleep(4)
    shown = instance.call("GET", f"/v1/rebuilds/{identifier}").json
    assert "outcome" not in shown
    for blob in (instance.home / "blobs").rglob("*"):
        assert blob.is_dir() or hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, "nothing half-written"
    instance.terminate("workerapi")
    instance.start("workerapi")
    result = instance.follow(identifier)
    assert result.get("outcome") == "reproduced" or result["cause"]["class"] in ("unavailable", "infrastructure"), result
    assert result.get("outcome") in ("reproduced", "inconclusive", None)
    assert_clean(instance)


def wait_for_answer(instance: Instance) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert instance.call("GET", "/healthz", token=None).status == 200
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def counts(instance: Instance) -> dict[str, int]:
    with sqlite3.connect(instance.home / "records" / "records.db") as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("request", "rebuild", "outbox", "decision", "idempotency")
        }


# A state folder that is another's, or newer

DATABASES = {
    "records/records.db": ("api", "workerapi", "scheduler", "attester"),
    "sequencer/log.db": ("sequencer",),
    "witness/witness.db": ("witness",),
}
READERS = [(name, path) for path, names in DATABASES.items() for name in names]


@pytest.fixture(scope="module")
def two_homes(index: SimIndex) -> Any:
    with temporary_home() as first, temporary_home() as second:
        yield tuple(make_instance(home, index_url=index.url, fetch_allow=index.allow) for home in (first, second))


def refusal(instance: Instance, name: str) -> str:
    """Start a process that must not run; what it said."""
    (instance.home / "run" / f"{name}.log").unlink(missing_ok=True)
    instance.start(name)
    assert instance.wait_dead(name, 30) != 0, instance.log(name)
    said = instance.log(name)
    assert "Traceback" not in said, said
    return said


@pytest.mark.parametrize(("name", "path"), READERS, ids=[name for name, _ in READERS])
def test_a_database_of_another_instance_is_refused(two_homes: tuple[Instance, Instance], name: str, path: str) -> None:
    mine, theirs = two_homes
    kept = (mine.home / path).read_bytes()
    (mine.home / path).write_bytes((theirs.home / path).read_bytes())
    try:
        assert Path(path).name in refusal(mine, name)
    finally:
        (mine.home / path).write_bytes(kept)


@pytest.mark.parametrize(("name", "path"), READERS, ids=[name for name, _ in READERS])
def test_a_database_of_a_newer_program_is_refused(two_homes: tuple[Instance, Instance], name: str, path: str) -> None:
    home = two_homes[0].home
    kept = (home / path).read_bytes()
    with sqlite3.connect(home / path) as database:
        changed = database.execute("UPDATE meta SET value='999' WHERE key='schema'").rowcount
        assert changed == 1
    database.close()
    try:
        said = refusal(two_homes[0], name)
        assert "999" in said or "another version of this program" in said
    finally:
        (home / path).write_bytes(kept)


@pytest.mark.parametrize("name", ["api", "workerapi", "scheduler", "resolver", "proxy", "worker-1", "attester", "sequencer", "witness", "redis"])
def test_a_folder_that_is_no_instance_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    environment = {"PATH": os.environ["PATH"], "REPROVE_HOME": str(tmp_path), "REPROVE_SEPARATE_USERS": "false"}
    command = [sys.executable, "-m", "service.launch", name]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr, done.stderr


def test_the_list_of_processes_is_whole(two_homes: tuple[Instance, Instance]) -> None:
    covered = {name for name, _ in READERS} | {"resolver", "proxy", "worker-1", "redis"}
    assert covered == set(process_names(two_homes[0].settings))
