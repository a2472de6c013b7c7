"""Exit codes are what a pipeline acts on (INTERFACE section 2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from reprove.cli import main as group
from reprove.core.outcomes import Outcome
from tests.cli.conftest import DIGEST, REBUILD, Fake, Ran, Reply, done, problem

Run = Callable[..., Ran]
PURL = "pkg:pypi/demo@1.0"

OUTCOMES = [
    ("reproduced", 0),
    ("differs", 1),
    ("ambiguous-archive", 1),
    ("inconclusive", 4),
    ("build-failed", 6),
    ("input-unavailable", 6),
    ("not-attemptable", 6),
    ("limit-exceeded", 6),
    ("an outcome of next year", 4),
]


def test_every_outcome_has_its_code() -> None:
    assert {outcome for outcome, _ in OUTCOMES[:-1]} == set(Outcome)


@pytest.mark.parametrize(("outcome", "code"), OUTCOMES)
def test_a_rebuild_that_is_waited_for_ends_with_the_code_of_its_outcome(fake: Fake, run: Run, outcome: str, code: int) -> None:
    fake.rebuilds({"state": "queued"}, {"state": "running"}, done(outcome))
    ran = run("rebuild", PURL, "--wait")
    assert ran.code == code
    assert ran.out.split()[0].strip(",").lower() == outcome.split(maxsplit=1)[0]


@pytest.mark.parametrize("state", ["rejected", "cancelled"])
def test_no_verdict_is_possible_for(fake: Fake, run: Run, state: str) -> None:
    fake.rebuilds({"state": state, "cause": {"class": "unknown-package", "detail": 'index "pypi" has no version 99 of demo. Newest: 1.0.'}})
    ran = run("rebuild", PURL, "--wait")
    assert ran.code == 6
    if state == "rejected":
        assert ran.out == 'Rejected: index "pypi" has no version 99 of demo. Newest: 1.0.    unknown-package\n'


def test_without_waiting_accepted_is_enough_and_the_id_is_the_data(fake: Fake, run: Run) -> None:
    fake.rebuilds({"state": "queued"})
    ran = run("rebuild", PURL)
    assert (ran.code, ran.out) == (0, f"{REBUILD}\n")
    assert fake.posted("/v1/requests") == [{"purl": PURL}]


def test_force_and_max_age_are_posted(fake: Fake, run: Run) -> None:
    fake.rebuilds({"state": "queued"})
    run("rebuild", PURL, "--force", "--max-age", "2d")
    assert fake.posted("/v1/requests") == [{"purl": PURL, "force": True, "max_age": "2d"}]


def test_a_time_out_is_pending_and_says_how_to_go_on(fake: Fake, run: Run) -> None:
    fake.rebuilds({"state": "running", "phase": "build"})
    ran = run("rebuild", PURL, "--wait", "--timeout", "0.2")
    assert ran.code == 3
    assert f"reprove show {REBUILD}" in ran.out


DECISIONS = [
    ("reproduced", "allow", 0),
    ("reproduced", "deny", 1),
    ("reproduced", "pending", 3),
    ("differs", "deny", 1),
    ("differs", "allow", 0),
    ("build-failed", "deny", 6),
    ("inconclusive", "deny", 4),
    ("reproduced", "something else", 4),
]


@pytest.mark.parametrize(("outcome", "verdict", "code"), DECISIONS)
def test_with_a_policy_the_decision_is_the_code(fake: Fake, run: Run, outcome: str, verdict: str, code: int) -> None:
    fake.rebuilds(done(outcome))
    fake.scripts["POST /v1/decisions"] = Reply({"id": "dec-1", "verdict": verdict, "artifacts": [], "policy": {"name": "release"}}, 201)
    ran = run("rebuild", PURL, "--wait", "--policy", "release", "--json")
    assert ran.code == code
    assert ran.json["kind"] == "rebuild"
    assert ran.json["decision"]["verdict"] == verdict
    assert fake.posted("/v1/decisions") == [{"policy": "release", "artifacts": [{"sha256": DIGEST}]}]


def test_a_rejected_rebuild_is_never_decided_on(fake: Fake, run: Run) -> None:
    fake.rebuilds({"state": "rejected", "cause": {"class": "unknown-package", "detail": "no"}})
    assert run("rebuild", PURL, "--wait", "--policy", "release").code == 6
    assert fake.posted("/v1/decisions") == []


def test_an_unsigned_decision_is_waited_for_and_never_an_allow(fake: Fake, run: Run) -> None:
    fake.rebuilds(done())
    fake.scripts["POST /v1/decisions"] = Reply({"id": "dec-1", "state": "signing"}, 202)
    signing = Reply({"id": "dec-1", "state": "signing"}, 202)
    fake.scripts["GET /v1/decisions/dec-1"] = [signing, Reply({"id": "dec-1", "verdict": "allow", "artifacts": []})]
    assert run("rebuild", PURL, "--wait", "--policy", "p").code == 0
    fake.scripts["GET /v1/decisions/dec-1"] = [signing]
    fake.rebuilds(done())
    assert run("rebuild", PURL, "--wait", "--policy", "p", "--timeout", "1").code == 3


GATES = [("allow", 0), ("deny", 1), ("pending", 3), ("nonsense", 4)]


@pytest.mark.parametrize(("verdict", "code"), GATES)
def test_the_gate_ends_with_the_code_of_its_verdict(fake: Fake, run: Run, tmp_path: Path, verdict: str, code: int) -> None:
    (tmp_path / "demo.whl").write_bytes(b"x")
    reason = {"rule": "no-attestation", "expected": "one", "actual": "none", "remedy": "reprove rebuild pkg:pypi/demo@1.0 --wait"}
    rows = [{"sha256": "0" * 64, "verdict": verdict, "reasons": [] if verdict == "allow" else [reason]}]
    fake.scripts["POST /v1/decisions"] = Reply({"id": "dec-1", "verdict": verdict, "artifacts": rows, "policy": {"name": "p"}}, 201)
    ran = run("gate", "--policy", "p", str(tmp_path / "demo.whl"), f"sha256:{'0' * 64}", "pkg:pypi/demo@1.0")
    assert ran.code == code
    assert ran.out.startswith(verdict.upper())
    assert ("remedy: reprove rebuild pkg:pypi/demo@1.0 --wait" in ran.out) is (verdict != "allow")
    (posted,) = fake.posted("/v1/decisions")
    assert [sorted(row) for row in posted["artifacts"]] == [["sha256"], ["sha256"], ["purl"]]


def test_the_gate_waits_while_rebuilds_are_under_way(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprove.cli.gate.ASK_AGAIN_SECONDS", 0.05)
    pending, allow = ({"id": "dec-1", "verdict": verdict, "artifacts": []} for verdict in ("pending", "allow"))
    fake.scripts["POST /v1/decisions"] = [Reply(pending, 201), Reply(pending, 201), Reply(allow, 201)]
    assert run("gate", "--policy", "p", "pkg:pypi/demo@1.0", "--wait").code == 0
    assert len(fake.posted("/v1/decisions")) == 3
    fake.scripts["POST /v1/decisions"] = Reply(pending, 201)
    assert run("gate", "--policy", "p", "pkg:pypi/demo@1.0", "--wait", "--timeout", "0.2").code == 3


USAGE: list[list[str]] = [
    [],
    ["nonsense"],
    ["rebuild"],
    ["rebuild", PURL, "--nonsense"],
    ["rebuild", PURL, "--policy", "p"],
    ["rebuild", PURL, "--wait", "--timeout", "soon"],
    ["gate", "--policy", "p"],
    ["gate", "--policy", "p", "/nonexistent/file.whl"],
    ["gate", "--timeout", "3", PURL],
    ["show"],
    ["show", "/nonexistent"],
    ["evidence", "/nonexistent"],
    ["compare", "/nonexistent", "/nonexistent"],
    ["compare", "/etc/hostname"],
    ["search", "--limit", "0"],
    ["corpus", "run", "/nonexistent"],
    ["show", "rb-1", "--url", "ftp://x"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_2_and_asks_nobody(fake: Fake, run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err
    assert fake.seen == []


PROBLEMS = [
    ("invalid-purl", 400, 2),
    ("unauthenticated", 401, 2),
    ("forbidden", 403, 2),
    ("not-found", 404, 2),
    ("idempotency-conflict", 422, 2),
    ("rate-limited", 429, 4),
    ("unavailable", 503, 4),
    ("storage-full", 507, 4),
]


@pytest.mark.parametrize(("slug", "status", "code"), PROBLEMS)
def test_a_problem_is_one_line_with_its_slug(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch, slug: str, status: int, code: int) -> None:
    monkeypatch.setattr("reprove.client.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("reprove.client.FIRST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr("reprove.client.Client.__init__.__kwdefaults__", {"retry_seconds": 0.1})
    fake.scripts["POST /v1/requests"] = problem(slug, "what is wrong", status, pointer="/purl")
    ran = run("rebuild", PURL)
    assert ran.code == code
    assert ran.err == f"what is wrong (/purl)  {slug}\n"


NONSENSE: list[tuple[str, Any]] = [
    ("a page", Reply(b"<html>hello</html>", media="text/html")),
    ("an empty answer", Reply(b"")),
    ("a list", Reply([])),
    ("a duplicate key", Reply(b'{"a": 1, "a": 2}')),
    ("deep", Reply(b"[" * 100_000)),
    ("a redirect", Reply({}, 302, {"Location": "http://127.0.0.1:1/"})),
    ("an error page", Reply(b"<h1>Bad gateway</h1>", 502, media="text/html")),
    ("a problem of somebody else", Reply({"type": "about:blank", "detail": "x"}, 500, media=PROBLEMS[0][0])),
]


@pytest.mark.parametrize("reply", [row[1] for row in NONSENSE], ids=[row[0] for row in NONSENSE])
def test_what_is_no_service_is_infrastructure(fake: Fake, run: Run, reply: Reply) -> None:
    fake.scripts["GET /v1/rebuilds/rb-1"] = reply
    ran = run("show", "rb-1")
    assert ran.code == 4
    assert len(ran.err.splitlines()) == 1


def test_nobody_there_is_infrastructure_and_says_where_was_looked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprove.client.FIRST_RETRY_SECONDS", 0.1)
    ran = run("show", "rb-1", "--url", "http://127.0.0.1:1")
    assert ran.code == 4
    assert ran.err == "no answer from http://127.0.0.1:1: connection refused or host unknown\n"


def test_an_interrupt_detaches_and_says_how_to_cancel(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.rebuilds({"state": "running"})

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reprove.cli.progress.follow", interrupted)
    ran = run("rebuild", PURL, "--wait")
    assert ran.code == 130
    assert f"reprove cancel {REBUILD}" in ran.err


def test_a_fault_of_our_own_is_one_line(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprove.cli.render.rebuild", lambda _: 1 / 0)
    fake.rebuilds(done())
    ran = run("show", REBUILD)
    assert ran.code == 4
    assert re.fullmatch(r"a fault of this program \(ZeroDivisionError: .*\n", ran.err)


def test_every_command_has_help_and_a_summary() -> None:
    context = click.Context(group.main)
    for name in group.main.list_commands(context):
        try:
            command = group.main.get_command(context, name)
        except click.ClickException:
            assert name not in group.BUILT_IN
            continue
        assert command is not None
        assert command.help, name


def test_listing_the_commands_imports_none_of_them() -> None:
    import subprocess
    import sys

    watched = ("flask", "sqlalchemy", "docker", "reprove.cli.")
    code = (
        f"import sys; from reprove.cli import main; main.main.list_commands(None); print(sorted(m for m in sys.modules if m.startswith({watched})))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['reprove.cli.main', 'reprove.cli.terminal']"
