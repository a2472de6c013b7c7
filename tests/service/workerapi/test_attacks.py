"""Who may not do what on the worker api. Each of these succeeds when its check is taken out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reprove import signers
from reprove.core.digests import sha256
from reprove.core.dsse import Envelope
from reprove.core.outcomes import Outcome
from reprove.core.statements import parts
from service.records import times
from tests.service.world import Lease, WorkerCalls, World

SECOND = timedelta(seconds=1)


def rebuilding(world: World, api: WorkerCalls, purl: str = "pkg:pypi/demo@1.0") -> Lease:
    rebuild = world.accept(purl).rebuild_id
    api.resolved(rebuild)
    return api.claim(world.open_attempt(rebuild), "rebuild")


@pytest.mark.parametrize(
    ("who", "status", "slug"),
    [
        ("", 401, "unauthenticated"),
        ("rpv_" + "A" * 43, 401, "unauthenticated"),
        ("nonsense", 401, "unauthenticated"),
        ("client", 403, "forbidden"),
        ("worker", 403, "forbidden"),
    ],
)
def test_only_a_token_of_the_right_role_claims(world: World, who: str, status: int, slug: str) -> None:
    attempt = world.open_attempt(world.accept().rebuild_id)
    world.api().claim(attempt, "resolve", who=who or " ", expect=status, slug=slug)
    assert world.sql("SELECT state FROM attempt")[0].state == "waiting"


def test_a_key_that_is_not_enrolled_claims_nothing(world: World) -> None:
    attempt = world.open_attempt(world.accept().rebuild_id)
    world.api().claim(attempt, "resolve", key="ab" * 32, expect=403, slug="forbidden")
    # the worker's key is enrolled, but not as a resolver
    world.api().claim(attempt, "resolve", key=world.worker.public_key.fingerprint, expect=403, slug="forbidden")


def test_a_key_revoked_after_the_claim_reports_nothing(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    world.enroll(worker=times.now() - SECOND)
    api.on(lease, "report", api.report(lease).encode(), expect=403, slug="forbidden")
    assert world.json(lease.rebuild)["state"] == "running"


def test_a_report_signed_by_another_key_is_refused(world: World, tmp_path: Path) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    stranger = signers.generate(tmp_path / "stranger.key")
    api.on(lease, "report", api.report(lease, signer=stranger).encode(), expect=403, slug="forbidden")
    api.on(lease, "report", api.report(lease, signer=world.resolver).encode(), expect=403, slug="forbidden")
    good = api.report(lease)
    forged = Envelope(good.payload, (stranger.sign(good.pae),))
    api.on(lease, "report", forged.encode(), expect=403, slug="forbidden")
    api.on(lease, "report", Envelope(good.payload, (*good.signatures, *forged.signatures)).encode(), expect=400, slug="invalid-request")


def test_a_resolution_signed_by_another_key_is_refused(world: World) -> None:
    api = world.api()
    lease = api.claim(world.open_attempt(world.accept().rebuild_id), "resolve")
    for data in (b"original", b"source", b"page"):
        api.put(lease, data)
    api.on(lease, "resolution", api.resolution(lease, signer=world.worker).encode(), expect=403, slug="forbidden")
    assert world.json(lease.rebuild)["state"] == "queued"


def test_a_report_for_anothers_lease_is_refused(world: World) -> None:
    api = world.api()
    mine, theirs = rebuilding(world, api), rebuilding(world, api, "pkg:pypi/other@2.0")
    api.on(mine, "report", api.report(theirs).encode(), expect=400, slug="invalid-request")
    assert {world.json(each.rebuild)["state"] for each in (mine, theirs)} == {"running"}


def test_a_report_is_not_taken_twice_for_different_attempts(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    envelope = api.report(lease)
    api.on(lease, "release", {"reason": "restart"})
    second = api.claim(world.open_attempt(lease.rebuild), "rebuild")
    api.on(second, "report", envelope.encode(), expect=400, slug="invalid-request")
    api.on(lease, "report", envelope.encode(), expect=409, slug="lease-lost")
    api.on(second, "report", api.report(second).encode())


def test_a_report_after_the_lease_is_refused(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    world.execute("UPDATE attempt SET expires = expires - 60000 WHERE state = 'running'")
    api.on(lease, "report", api.report(lease).encode(), expect=409, slug="lease-lost")
    api.put(lease, b"late", expect=409, slug="lease-lost")
    assert world.sql("SELECT * FROM report WHERE kind = 'report'") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": "ab" * 32},
        {"original": parts.Sized(sha256(b"another"), 8)},
        {"request": parts.Blob(sha256(b"another"))},
        {"attempt": "at-" + "0" * 20},
        {"rebuild": "rb-" + "0" * 20},
        {"worker": parts.Blob(sha256(b"another"))},
    ],
)
def test_a_report_must_agree_with_what_was_claimed(world: World, changes: dict[str, object]) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    api.on(lease, "report", api.report(lease, **changes).encode(), expect=400, slug="invalid-request")
    assert world.json(lease.rebuild)["state"] == "running"


def test_a_report_whose_blobs_are_not_stored_is_refused_and_named(world: World) -> None:
    from reprove.core.statements.report import LogBlob

    api = world.api()
    lease = rebuilding(world, api)
    log = b"the build log"
    envelope = api.report(lease, log=LogBlob(sha256(log), len(log)))
    answer = api.on(lease, "report", envelope.encode(), expect=400, slug="invalid-request")
    assert sha256(log) in answer["detail"]
    api.put(lease, log)
    api.on(lease, "report", envelope.encode())


def test_a_report_whose_environment_packages_are_not_stored_is_refused(world: World) -> None:
    from reprove.core.canonical import canonical

    api = world.api()
    lease = rebuilding(world, api)
    package = b"a package"
    lock = api.put(lease, canonical({"reprove-lock": 1, "packages": [{"name": "python3", "sha256": sha256(package)}]}))
    envelope = api.report(lease, environment=parts.EnvironmentRef(parts.Blob(lock), "bookworm-python"))  # type: ignore[arg-type]
    api.on(lease, "report", envelope.encode(), expect=400, slug="invalid-request")
    api.put(lease, package)
    api.on(lease, "report", envelope.encode())
    holders = {row.holder for row in world.sql("SELECT holder FROM blob_ref WHERE sha256 = ?", sha256(package))}
    assert holders == {f"lock:{lock}"}


def test_a_resolution_for_another_package_is_refused(world: World) -> None:
    api = world.api()
    lease = api.claim(world.open_attempt(world.accept().rebuild_id), "resolve")
    for data in (b"original", b"source", b"page"):
        api.put(lease, data)
    for purl in ("pkg:pypi/evil@1.0?file_name=demo-1.0-py3-none-any.whl", "pkg:pypi/demo@1.1?file_name=demo-1.0-py3-none-any.whl"):
        api.on(lease, "resolution", api.resolution(lease, purl=purl).encode(), expect=400, slug="invalid-request")


def test_a_resolver_cannot_settle_an_outcome_that_is_a_builds(world: World) -> None:
    api = world.api()
    lease = api.claim(world.open_attempt(world.accept().rebuild_id), "resolve")
    good = api.resolution(lease)
    payload = good.payload.replace(b'"original":', b'"outcome":"reproduced","original":', 1)
    forged = signers.sign_statement(world.resolver, payload)
    api.on(lease, "resolution", forged.encode(), expect=400, slug="invalid-request")
    assert Outcome.REPRODUCED.value.encode() in payload


def test_blobs_of_another_job_are_not_reached(world: World) -> None:
    api = world.api()
    theirs = rebuilding(world, api, "pkg:pypi/other@2.0")
    secret = api.put(theirs, b"another job's bytes")
    mine = rebuilding(world, api)
    path = f"/w/v1/blobs/sha256:{secret}"
    api.call("GET", path, who="worker", expect=404, slug="not-found", Reprove_Lease=mine.token)
    # knowing a digest is not having the bytes
    api.put(mine, b"something else", digest=secret, expect=422, slug="digest-mismatch")
    api.call("GET", path, who="worker", expect=404, slug="not-found", Reprove_Lease=mine.token)
    api.call("GET", path, who="worker", expect=409, slug="lease-lost", Reprove_Lease="no-such-lease")
    api.call("GET", path, who="worker", expect=400, slug="invalid-request")


def test_a_blob_is_visible_only_once_its_digest_holds(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    wanted = sha256(b"good")
    api.put(lease, b"evil", digest=wanted, expect=422, slug="digest-mismatch")
    assert api.call("POST", "/w/v1/blobs/missing", {"sha256": [wanted]}, who="worker") == {"missing": [wanted]}
    assert [path.name for path in world.store.root.iterdir()] == ["sha256"]
    api.put(lease, b"good")
    api.put(lease, b"good", expect=200)
    assert api.call("POST", "/w/v1/blobs/missing", {"sha256": [wanted]}, who="worker") == {"missing": []}


@pytest.mark.parametrize("name", ["sha256:zz", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:..%2f..%2fetc", "sha256:" + "a" * 63])
def test_a_blob_has_a_proper_name(world: World, name: str) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    api.call("PUT", f"/w/v1/blobs/{name}", b"x", who="worker", expect=400 if "%2f" not in name else 404, Reprove_Lease=lease.token)


def test_a_lease_has_a_quota(tmp_path: Path) -> None:
    world = World.make(tmp_path, limit_disk=1000, max_blob=1000)
    api = world.api()
    lease = rebuilding(world, api)
    api.put(lease, b"x" * 1001, expect=413, slug="too-large")
    api.put(lease, b"a" * 1000)
    api.put(lease, b"b" * 1000)
    api.put(lease, b"c", expect=413, slug="too-large")
    world.db.close()


def test_an_endless_or_undeclared_body_is_refused(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    api.on(lease, "log?offset=0", b"x" * (256 * 1024 + 1), expect=413, slug="too-large")
    api.on(lease, "heartbeat", b"[" * 100000, expect=400, slug="invalid-request")
    api.on(lease, "heartbeat", b'{"events": [], "events": []}', expect=400, slug="invalid-request")
    api.on(lease, "heartbeat", {"events": [{"phase": "build", "status": "started", "detail": "\x1b[2J" * 1000, "seconds": 1e308}]})


@pytest.mark.parametrize(
    "event",
    [
        {"phase": "done", "status": "started"},
        {"phase": [], "status": "started"},
        {"phase": "build", "status": {}},
        {"phase": "build", "status": "reproduced"},
        {"phase": "build", "status": "done", "outcome": "reproduced"},
        {"phase": "build", "status": "done", "seconds": "many"},
        {"phase": "build", "status": "done", "candidate": True},
        "build",
    ],
)
def test_progress_has_a_closed_form(world: World, event: object) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    api.on(lease, "heartbeat", {"events": [event]}, expect=400, slug="invalid-request")
    assert world.sql("SELECT * FROM event") == []


def test_a_worker_cannot_reject_or_resolve(world: World) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    api.on(lease, "reject", {"cause": {"class": "unknown-package", "detail": "no"}}, expect=400, slug="invalid-request")
    api.on(lease, "resolution", api.report(lease).encode(), expect=403, slug="forbidden")
    assert world.json(lease.rebuild)["state"] == "running"


def test_the_log_of_another_rebuild_is_not_written(world: World) -> None:
    api = world.api()
    mine, theirs = rebuilding(world, api), rebuilding(world, api, "pkg:pypi/other@2.0")
    api.on(theirs, "log?offset=0", b"theirs")
    (world.home / "logs" / f"{mine.rebuild}.log").symlink_to(world.home / "logs" / f"{theirs.rebuild}.log")
    api.on(mine, "log?offset=0", b"mine!!", expect=503, slug="unavailable")
    assert (world.home / "logs" / f"{theirs.rebuild}.log").read_bytes() == b"theirs"


def stranger_report(world: World, api: WorkerCalls, lease: Lease) -> Envelope:
    return api.report(lease, signer=signers.generate(world.home / "stranger.key"), worker=parts.Blob(world.worker.public_key.fingerprint))


def report_for_another_lease(world: World, api: WorkerCalls, lease: Lease) -> Envelope:
    return api.report(lease, lease=sha256(b"another lease"))


def report_without_its_blobs(world: World, api: WorkerCalls, lease: Lease) -> Envelope:
    from reprove.core.statements.report import LogBlob

    return api.report(lease, log=LogBlob(sha256(b"nobody stored this"), 18))


@pytest.mark.parametrize(
    ("attack", "defence", "status", "slug"),
    [
        (stranger_report, "service.workerapi.intake._check_signature", 403, "forbidden"),
        (report_for_another_lease, "service.workerapi.intake._check_fence", 400, "invalid-request"),
        (report_without_its_blobs, "service.records.blobs.missing", 400, "invalid-request"),
    ],
)
def test_each_attack_succeeds_once_its_defence_is_a_no_op(
    world: World, monkeypatch: pytest.MonkeyPatch, attack: Any, defence: str, status: int, slug: str
) -> None:
    api = world.api()
    lease = rebuilding(world, api)
    envelope = attack(world, api, lease).encode()
    api.on(lease, "report", envelope, expect=status, slug=slug)
    assert world.json(lease.rebuild)["state"] == "running"
    monkeypatch.setattr(defence, lambda *_: [])
    api.on(lease, "report", envelope)
    assert world.json(lease.rebuild)["state"] == "attesting"
