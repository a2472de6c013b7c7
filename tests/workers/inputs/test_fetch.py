"""Fetching in a real container through a real proxy from a simulated index."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from reprove.core.outcomes import Finding, Outcome
from reprove.settings import Settings
from tests.sim.index import Fault, SimIndex, make_wheel
from tests.workers.processes import until
from workers.client import LeaseLostError
from workers.inputs import fetch
from workers.inputs.fetch import FetchResult
from workers.inputs.proxy import Proxy
from workers.inputs.store import InputStore
from workers.sandbox import Engine, ImageRef, Labels

pytestmark = [pytest.mark.docker, pytest.mark.slow]
CUT = "2024-06-01T00:00:00Z"


@pytest.fixture
def run(engine: Engine, image: ImageRef, labels: Labels, settings: Settings, proxy: Proxy, store: InputStore) -> Any:
    def go(
        *requirements: str,
        cut: Any = CUT,
        subject: Any = "pkg:pypi/demo@1.0?file_name=demo-1.0-py3-none-any.whl",
        original: Any = "0" * 64,
        cancel: Any = None,
        size: Any = None,
    ) -> Any:
        return fetch.fetch(
            engine=engine,
            image=image,
            settings=settings,
            requirements=requirements,
            cut=cut,
            labels=labels,
            cancel=cancel or threading.Event(),
            store=store,
            subject=subject,
            original=original,
            original_size=size,
        )

    return go


def names(result: Any) -> Any:
    assert result.cause is None, result.cause
    return [one.name for one in result.inputs]


def test_wheels_as_of_the_cut_are_locked_fetched_checked_and_listed(run: Callable[..., FetchResult], sim: SimIndex, store: InputStore) -> None:
    sim.add("backend", "backend-1.0-py3-none-any.whl", make_wheel("backend", "1.0", requires=("helper>=1",)), uploaded="2023-01-01T00:00:00Z")
    sim.add("backend", "backend-2.0-py3-none-any.whl", make_wheel("backend", "2.0"), uploaded="2024-06-01T00:00:01Z")
    sim.add("helper", "helper-1.5-py3-none-any.whl", make_wheel("helper", "1.5"), uploaded=CUT)
    result = run("backend>=0.5")
    assert names(result) == ["backend-1.0-py3-none-any.whl", "helper-1.5-py3-none-any.whl"]
    for one in result.inputs:
        assert store.path(one.sha256) == one.path
        assert hashlib.sha256(one.path.read_bytes()).hexdigest() == one.sha256
        assert one.uri.startswith(sim.base)
    assert result.locked == (("backend", "1.0"), ("helper", "1.5"))
    assert sorted(page["project"] for page in result.pages) == ["backend", "helper"]
    assert result.describe() == f"2 inputs, {sum(one.size for one in result.inputs) / 1000:.0f} kB, as of 2024-06-01"
    assert result.refused == ()
    asked = len(sim.asked)
    started = time.monotonic()
    assert run("backend>=0.5") == result
    print("warm", time.monotonic() - started)
    assert sim.asked[asked:] == []


def test_a_pin_binds_what_others_ask_for(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.add("backend", "backend-1.0-py3-none-any.whl", make_wheel("backend", "1.0", requires=("helper>=2",)))
    for version in ("1.0", "2.0"):
        sim.add("helper", f"helper-{version}-py3-none-any.whl", make_wheel("helper", version))
    assert names(run("backend", "helper==1.0")) == ["backend-1.0-py3-none-any.whl", "helper-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("requirements", "says"),
    [
        (("srconly",), "srconly has no wheel as of 2024-06-01"),
        (("mixed==2.0",), "mixed==2.0 has no wheel"),
        (("needs-src",), "srconly has no wheel"),
        (("demo @ https://files.example/demo-1.0-py3-none-any.whl",), "asked for by an address"),
        (("demo @ file:///etc/passwd",), "asked for by an address"),
        (("--index-url=https://evil.example/simple/",), "is no requirement"),
        (("-r /etc/passwd",), "is no requirement"),
        (("demo\n--extra-index-url https://evil.example/simple/",), "is no requirement"),
        (("./local",), "is no requirement"),
    ],
)
def test_what_cannot_be_had_as_a_wheel_of_the_index_needs_a_build(
    run: Callable[..., FetchResult], sim: SimIndex, requirements: str, says: str
) -> None:
    sim.add("srconly", "srconly-1.0.tar.gz", b"x")
    sim.add("mixed", "mixed-1.0-py3-none-any.whl", make_wheel("mixed", "1.0"))
    sim.add("mixed", "mixed-2.0.tar.gz", b"x")
    sim.add("needs-src", "needs_src-1.0-py3-none-any.whl", make_wheel("needs-src", "1.0", requires=("srconly",)))
    result = run(*requirements)
    assert (result.outcome, result.cause.class_) == (Outcome.INPUT_UNAVAILABLE, "input-needs-build")
    assert says in result.cause.detail


def test_what_the_index_does_not_have_or_not_yet_is_gone(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.add("late", "late-1.0-py3-none-any.whl", make_wheel("late", "1.0"), uploaded="2024-06-02T00:00:00Z")
    for name in ("late", "never"):
        result = run(name)
        assert (result.outcome, result.cause.class_) == (Outcome.INPUT_UNAVAILABLE, "gone")
        assert name in result.cause.detail


def test_files_without_upload_times_are_never_used(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.add("untimed", "untimed-1.0-py3-none-any.whl", make_wheel("untimed", "1.0"), uploaded=None)
    assert run("untimed").cause.class_ == "no-upload-times"


@pytest.mark.parametrize(("fault", "cause"), [(Fault.CHANGED, "digest-mismatch"), (Fault.TRUNCATED, "truncated"), (Fault.SHORT, "truncated")])
def test_an_input_whose_bytes_are_wrong_is_unavailable_and_never_given_out(
    run: Callable[..., FetchResult], sim: SimIndex, fault: Fault, cause: str
) -> None:
    sim.fail("/files/demo/", fault)
    result = run("demo")
    assert (result.outcome, result.cause.class_) == (Outcome.INPUT_UNAVAILABLE, cause)


def test_an_index_that_is_down_is_nobodys_verdict(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.fail("/simple/", Fault.STATUS, 503)
    with pytest.raises(fetch.IndexUnavailableError):
        run("demo")


def test_no_proxy_is_nobodys_verdict(run: Callable[..., FetchResult], proxy: Proxy) -> None:
    proxy.stop()
    until(lambda: not proxy._listening)
    with pytest.raises(fetch.ProxyUnavailableError):
        run("demo")


def test_an_echo_build_is_found_by_name_by_digest_and_inside_an_input(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    wheel = sim.projects["demo"]["demo-1.0-py3-none-any.whl"].data
    digest = hashlib.sha256(wheel).hexdigest()
    sim.add("renamed", "renamed-1-py3-none-any.whl", make_wheel("renamed", "1", members={"renamed/data/x.bin": wheel}))
    nested = make_wheel("inner", "1", members={"inner/x.bin": wheel})
    sim.add("nested", "nested-1-py3-none-any.whl", make_wheel("nested", "1", members={"nested/inner.whl": nested}))
    by_name = run("demo", original="0" * 64)
    assert [(row.code, row.path) for row in by_name.findings] == [(Finding.ORIGINAL_AMONG_INPUTS, "demo==1.0")]
    by_digest = run("demo", original=digest, subject="pkg:pypi/other@2")
    assert [row.path for row in by_digest.findings] == ["demo-1.0-py3-none-any.whl"]
    for size in (None, len(wheel)):
        inside = run("renamed", "nested", original=digest, size=size)
        assert [row.path for row in inside.findings] == [
            "nested-1-py3-none-any.whl!/nested/inner.whl!/inner/x.bin",
            "renamed-1-py3-none-any.whl!/renamed/data/x.bin",
        ]
    assert run("renamed", original="0" * 64).findings == ()


def test_a_wheels_own_code_never_runs_while_fetching(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    """A wheel with a .pth and a hook that write a file: were it installed or imported here, the record would show what it asked for."""
    hook = b"import urllib.request, os; urllib.request.urlopen(os.environ.get('X', 'http://127.0.0.1:1/'))\n"
    members = {"evil.pth": b"import evil_hook\n", "evil_hook.py": hook, "setup.py": hook, "sitecustomize.py": hook}
    sim.add("evil", "evil-1-py3-none-any.whl", make_wheel("evil", "1", members=members))
    result = run("evil")
    assert names(result) == ["evil-1-py3-none-any.whl"]
    assert result.refused == ()


def test_a_cancelled_attempt_stops_its_fetch(run: Callable[..., FetchResult], sim: SimIndex) -> None:
    sim.fail("/files/demo/", Fault.SLOW, 30)
    cancel = threading.Event()
    threading.Timer(1.5, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(LeaseLostError):
        run("demo", cancel=cancel)
    assert time.monotonic() - started < 8


def test_nothing_to_fetch_starts_no_container(run: Callable[..., FetchResult], proxy: Proxy) -> None:
    proxy.stop()
    assert run().inputs == ()
