"""Resolving against a simulated index: each bad input of the index ends as it must, and nothing but a checked file is signed for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reprove.core.outcomes import Finding, Outcome
from reprove.core.statements import common, resolution
from reprove.signers import FileSigner
from tests.sim.index import Fault, SimIndex, make_wheel
from tests.sim.workerapi import SimWorkerApi
from workers import resolve
from workers.context import WorkerContext
from workers.resolve import Outside

WHEEL, SDIST = "demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"


def run(context: WorkerContext, outside: Outside, *, purl: str = "pkg:pypi/demo@1.0", n: Any = 1) -> None:
    claim = replace(context.claim, request={"purl": purl}, n=n)
    resolve.run(replace(context, claim=claim), outside, pauses=(0.01, 0.01))


def signed(api: SimWorkerApi) -> Any:
    ((what, envelope),) = api.ended
    assert what == "resolution"
    return resolution.read(common.decode(envelope.payload))


def ended(api: SimWorkerApi) -> Any:
    ((what, body),) = api.ended
    return what, body


def test_a_wheel_and_its_sdist_are_fetched_checked_stored_and_signed(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, signer: FileSigner
) -> None:
    run(context, outside)
    found = signed(api)
    wheel, sdist = sim.projects["demo"][WHEEL], sim.projects["demo"][SDIST]
    assert (found.original.name, found.original.sha256, found.original.size, found.original.verified) == (WHEEL, wheel.digest, len(wheel.data), True)
    assert found.source is not None
    assert (found.source.kind, found.source.sha256) == ("sdist", sdist.digest)
    assert found.purl == f"pkg:pypi/demo@1.0?file_name={WHEEL}"
    assert [(row.name, row.sha256) for row in found.listing] == [(WHEEL, wheel.digest), (SDIST, sdist.digest)]
    assert api.blobs[wheel.digest] == wheel.data
    assert api.blobs[sdist.digest] == sdist.data
    assert api.blobs[found.index.page.sha256] == sim.page("demo")
    assert api.ended[0][1].signed_by([signer.public_key])
    assert found.outcome is None
    assert found.findings == ()


@pytest.mark.parametrize(
    ("purl", "slug", "says"),
    [
        ("pkg:pypi/nothing@1", "unknown-package", "no project nothing"),
        ("pkg:pypi/demo@99", "unknown-package", 'index "pypi" has no version 99 of demo. Newest: 1.2, 1.1, 1.0'),
        ("pkg:pypi/demo@1.0?file_name=demo-1.0-py2-none-any.whl", "unknown-package", f"It has: {WHEEL}, {SDIST}"),
        ("pkg:pypi/demo", "invalid-purl", "name a version"),
        ("pkg:npm/demo@1", "invalid-purl", "only pkg:pypi/"),
        ("pkg:pypi/demo@1.0?repository_url=https://other.example/simple/", "invalid-purl", "canonical index only"),
        ("pkg:pypi/many@1", "invalid-purl", "3 files, none of them none-any.whl. Name one: pkg:pypi/many@1?file_name=…"),
        ("pkg:pypi/two@1", "invalid-purl", "2 of them none-any.whl"),
    ],
)
def test_what_cannot_be_determined_is_rejected_and_says_what_there_is(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, purl: str, slug: Any, says: str
) -> None:
    for version in ("1.1", "1.2", "1.3rc1"):
        sim.release("demo", version)
    for tag in ("cp311-cp311-linux_x86_64", "cp312-cp312-linux_x86_64"):
        sim.add("many", f"many-1-{tag}.whl", b"x")
    sim.add("many", "many-1.tar.gz", b"x")
    sim.add("two", "two-1-py2-none-any.whl", b"x")
    sim.add("two", "two-1-py3-none-any.whl", b"x")
    run(context, outside, purl=purl)
    what, body = ended(api)
    assert what == "reject"
    assert body["cause"]["class"] == slug
    assert says in body["cause"]["detail"]


def test_a_native_wheel_or_a_missing_sdist_is_not_attemptable_and_fetches_nothing(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex
) -> None:
    name = "nat-1-cp311-cp311-manylinux_2_17_x86_64.whl"
    sim.add("nat", name, b"x")
    sim.add("nat", "nat-1.tar.gz", b"y")
    run(context, outside, purl=f"pkg:pypi/nat@1?file_name={name}")
    found = signed(api)
    assert (found.outcome, found.cause.class_, found.original.verified) == (Outcome.NOT_ATTEMPTABLE, "native-tag", False)
    assert not [path for path in sim.asked if path.startswith("/files/")]


@pytest.mark.parametrize(
    ("purl", "says"), [("pkg:pypi/wo@1", "no source archive"), ("pkg:pypi/demo@1.0?file_name=demo-1.0.tar.gz", "source archive itself")]
)
def test_without_something_to_build_from_it_is_not_attemptable(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, purl: str, says: str
) -> None:
    sim.add("wo", "wo-1-py3-none-any.whl", make_wheel("wo", "1"))
    run(context, outside, purl=purl)
    found = signed(api)
    assert (found.outcome, found.cause.class_) == (Outcome.NOT_ATTEMPTABLE, "no-sdist")
    assert says in found.cause.detail


@pytest.mark.parametrize("other", ["1.0.1", "1.0.post1", "1.0rc1", "11.0"])
def test_a_version_that_only_begins_alike_gives_no_source(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, other: str
) -> None:
    """rsa 4.9 and 4.9.1: names are parsed, never matched by how they begin."""
    mine = sim.projects["demo"]
    sim.projects["demo"] = {f"demo-{other}.tar.gz": sim.release("others", other)[1], **mine}
    run(context, outside)
    found = signed(api)
    assert found.source is not None
    assert found.source.name == SDIST
    assert {row.name for row in found.listing} == {WHEEL, SDIST}


def test_yanked_files_are_resolved_with_a_finding(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex) -> None:
    sim.projects["demo"][WHEEL].yanked = ""
    sim.projects["demo"][SDIST].yanked = "broken"
    run(context, outside)
    found = signed(api)
    assert [(row.code, row.path) for row in found.findings] == [(Finding.YANKED, WHEEL), (Finding.YANKED, SDIST)]
    assert found.original.yanked
    assert found.outcome is None


@pytest.mark.parametrize(("uploaded", "later"), [("2024-01-02T04:04:05Z", False), ("2024-01-02T04:04:06.678901Z", True)])
def test_a_sdist_that_came_more_than_an_hour_later_is_a_finding(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, uploaded: str, later: bool
) -> None:
    sim.projects["demo"][SDIST].uploaded = uploaded
    run(context, outside)
    assert [row.code for row in signed(api).findings] == ([Finding.SDIST_LATER] if later else [])


@pytest.mark.parametrize("missing", [WHEEL, SDIST])
def test_missing_upload_times_end_input_unavailable(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, missing: str) -> None:
    sim.projects["demo"][missing].uploaded = None
    run(context, outside)
    found = signed(api)
    assert (found.outcome, found.cause.class_) == (Outcome.INPUT_UNAVAILABLE, "no-upload-times")


def test_an_index_that_says_neither_times_nor_sizes_still_gives_the_size_of_the_original(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex
) -> None:
    sim.api_version = "1.0"
    for file in sim.projects["demo"].values():
        file.uploaded = file.size = None
    run(context, outside)
    found = signed(api)
    assert (found.cause.class_, found.original.size) == ("no-upload-times", len(sim.projects["demo"][WHEEL].data))


@pytest.mark.parametrize("name", [WHEEL, SDIST])
@pytest.mark.parametrize(
    ("planned", "cause"),
    [
        ((Fault.CHANGED, None), "digest-mismatch"),
        ((Fault.TRUNCATED, None), "truncated"),
        ((Fault.SHORT, None), "truncated"),
        ((Fault.STATUS, 404), "gone"),
        ((Fault.STATUS, 403), "gone"),
    ],
)
def test_bytes_of_a_known_digest_that_cannot_be_had_end_input_unavailable(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, name: str, planned: tuple[Fault, Any], cause: str
) -> None:
    sim.fail(f"/files/demo/{name}", *planned)
    run(context, outside)
    found = signed(api)
    assert (found.outcome, found.cause.class_) == (Outcome.INPUT_UNAVAILABLE, cause)
    assert name in found.cause.detail
    assert found.original.verified == (name == SDIST)
    assert found.source is None
    bad = sim.projects["demo"][name].digest
    assert bad not in api.blobs


@pytest.mark.parametrize("name", [WHEEL, SDIST])
def test_a_file_host_that_is_down_gives_the_attempt_back_until_the_last_one(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, name: str
) -> None:
    sim.fail(f"/files/demo/{name}", Fault.STATUS, 503)
    run(context, outside, n=1)
    assert ended(api)[0] == "release"
    assert ended(api)[1]["retry"] is True
    api.ended.clear()
    run(context, outside, n=3)
    found = signed(api)
    assert (found.outcome, found.cause.class_) == (Outcome.INPUT_UNAVAILABLE, "gone")


@pytest.mark.parametrize(
    ("fault", "value"),
    [(Fault.DOWN, None), (Fault.STATUS, 500), (Fault.GARBAGE, None), (Fault.TRUNCATED, None), (Fault.HTML, None), (Fault.BOMB, None)],
)
def test_an_index_that_is_down_or_answers_garbage_is_asked_again_then_given_back_then_unavailable(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, fault: Fault, value: Any
) -> None:
    sim.fail("/simple/", fault, value)
    run(context, outside, n=1)
    assert ended(api)[0] == "release"
    assert len(sim.asked) >= 3
    api.ended.clear()
    run(context, outside, n=3)
    what, body = ended(api)
    assert (what, body["cause"]["class"]) == ("reject", "unavailable")


@pytest.mark.parametrize("prefix", ["/simple/", f"/files/demo/{WHEEL}"])
@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.TRUNCATED])
def test_a_passing_fault_is_ridden_out(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex, prefix: str, fault: Fault) -> None:
    sim.fail(prefix, fault, times=2)
    run(context, outside)
    assert signed(api).outcome is None


def test_a_page_of_another_project_is_garbage(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex) -> None:
    sim.rewrite = lambda document: document.update(name="other")
    run(context, outside, n=3)
    assert ended(api)[1]["cause"]["class"] == "unavailable"


def test_a_page_that_names_a_file_twice_is_garbage(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex) -> None:
    sim.rewrite = lambda document: document["files"].append(dict(document["files"][0], hashes={"sha256": "0" * 64}))
    run(context, outside, n=3)
    assert ended(api)[1]["cause"]["class"] == "unavailable"


def test_a_file_at_an_inner_address_is_refused_with_the_one_generic_error(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex
) -> None:
    sim.projects["demo"][WHEEL].url = "https://169.254.169.254/latest/meta-data"
    run(context, outside)
    what, body = ended(api)
    assert (what, body["cause"]["class"]) == ("reject", "fetch-refused")
    assert "169.254" not in body["cause"]["detail"]


def test_an_answer_that_changed_between_two_looks_is_signed_as_seen_each_time(
    context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex
) -> None:
    run(context, outside)
    first = signed(api)
    api.ended.clear()
    sim.release("demo", "1.0", wheel=make_wheel("demo", "1.0", members={"demo/__init__.py": b"evil"}))
    run(context, outside)
    second = signed(api)
    assert first.original.sha256 != second.original.sha256
    assert first.index.page.sha256 != second.index.page.sha256
    assert [row.sha256 for row in first.listing] != [row.sha256 for row in second.listing]


def test_files_seen_before_come_from_the_store(context: WorkerContext, outside: Outside, api: SimWorkerApi, sim: SimIndex) -> None:
    run(context, outside)
    asked = len(sim.asked)
    api.ended.clear()
    run(context, outside)
    assert sim.asked[asked:] == ["/simple/demo/"]
    assert signed(api).original.verified


def test_a_lost_lease_ends_without_a_statement(context: WorkerContext, outside: Outside, api: SimWorkerApi) -> None:
    api.lost = True
    with pytest.raises(Exception, match="lease"):
        run(context, outside)
    assert api.ended == []
