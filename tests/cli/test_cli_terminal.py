"""What reaches a terminal: hostile names are shown and do nothing; pipes get plain lines; a terminal gets colour and movement."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.cli.terminal import safe, safe_lines
from tests.cli.conftest import DIGEST, REBUILD, Fake, Ran, Reply, done

Run = Callable[..., Ran]
PURL = "pkg:pypi/demo@1.0"
HOSTILE = "\x1b[2K\rALLOW\u202e\u2066\x07\x9b31m\u200b\n\x00gnp.exe"


@given(st.text())
def test_untrusted_text_is_one_printable_line(text: str) -> None:
    assert safe(text).isprintable()


@given(st.text())
def test_log_text_keeps_its_lines_and_tabs_and_no_other_control(text: str) -> None:
    shown = safe_lines(text)
    assert shown.replace("\n", "").replace("\t", "").isprintable()
    assert shown.count("\n") == text.count("\n")
    assert shown.count("\t") == text.count("\t")


def test_what_is_not_printable_is_shown_by_its_number() -> None:
    assert safe("a\u202eb\x1b[0m") == "a\\u{202e}b\\u{1b}[0m"
    assert safe("x" * 5000).endswith("…")
    assert len(safe("\x00" * 5000)) < 20_000
    assert safe("naïve 日本") == "naïve 日本"


def hostile(value: Any) -> Any:
    """The same document with every text hostile, but for what the client acts on."""
    if isinstance(value, dict):
        return {key: row if key in ("state", "predicateType", "kind") else hostile(row) for key, row in value.items()}
    if isinstance(value, list):
        return [hostile(row) for row in value]
    return HOSTILE if isinstance(value, str) else value


REASON = {"rule": "r", "expected": "e", "actual": ["a"], "remedy": "m"}
DECISION = {
    "id": "dec-1",
    "verdict": "deny",
    "policy": {"name": "p"},
    "artifacts": [{"sha256": DIGEST, "purl": "p", "verdict": "deny", "reasons": [REASON]}],
}
FULL = done(
    "differs",
    rebuilt={"sha256": DIGEST},
    findings=[{"code": "unsourced-members", "path": "x", "detail": "y"}],
    differences=[{"path": "x", "field": "f", "old": "1", "new": "2", "offset": 3}],
    causes=[{"id": "i", "certainty": "likely", "fix": "f"}],
    recipe={"origin": "inferred"},
)
ITEM = {
    "id": "a" * 64,
    "logIndex": 1,
    "predicateType": "urn:x:y:v1",
    "operator": "o",
    "purl": "p",
    "subject": {"name": "n", "sha256": "s"},
    "outcome": "differs",
    "level": "l",
    "time": "t",
}
EVENTS = [{"phase": "build", "status": "done", "detail": "d", "seconds": 1.0}]


@pytest.fixture
def hostile_service(fake: Fake) -> Fake:
    fake.rebuilds({"state": "queued", "waiting": {"reason": HOSTILE, "detail": HOSTILE}}, {"id": REBUILD, **hostile(FULL)}, events=hostile(EVENTS))
    fake.scripts["GET /v1/rebuilds/rb-2"] = Reply({"state": "rejected", "cause": {"class": HOSTILE, "detail": HOSTILE}})
    fake.scripts["GET /v1/rebuilds/rb-3"] = Reply(
        {"state": "running", "phase": HOSTILE, "id": HOSTILE, "waiting": {"reason": HOSTILE, "detail": HOSTILE}}
    )
    fake.scripts["POST /v1/decisions"] = Reply(hostile(DECISION), 201)
    fake.scripts["GET /v1/decisions/dec-1"] = Reply(hostile(DECISION))
    fake.scripts["GET /v1/attestations"] = Reply({"items": [hostile(ITEM)], "next": None, "complete_to": 1})
    known = {
        "sha256": HOSTILE,
        "names": [HOSTILE],
        "outcomes": [hostile(ITEM)],
        "decisions": [hostile({"verdict": "v", "id": "i", "policy": {"name": "n"}, "time": "t"})],
    }
    fake.scripts[f"GET /v1/artifacts/sha256:{DIGEST}"] = Reply(known | {"complete_to": 1})
    statement = {
        "predicateType": HOSTILE,
        "subject": [{"name": HOSTILE, "digest": {"sha256": HOSTILE}}],
        "predicate": hostile(FULL | {"differences": {"shown": FULL["differences"]}}) | {"operator": HOSTILE},
    }
    fake.scripts[f"GET /v1/attestations/{DIGEST}"] = Reply(statement)
    fake.scripts[f"GET /v1/rebuilds/{REBUILD}/log"] = Reply(HOSTILE.encode(), headers={"Reprove-Log-Complete": "true"}, media="text/plain")
    fake.scripts["POST /v1/rebuilds/rb-4/cancel"] = Reply({"state": HOSTILE})
    fake.scripts["GET /v1/rebuilds/rb-5"] = Reply(
        {"type": "urn:reprove:problem:not-found", "status": 404, "detail": HOSTILE}, 404, media="application/problem+json"
    )
    return fake


COMMANDS = [
    ["rebuild", PURL, "--wait"],
    ["rebuild", PURL, "--wait", "--policy", "p"],
    ["show", REBUILD],
    ["show", "rb-2"],
    ["show", "rb-3"],
    ["show", "rb-5"],
    ["show", "dec-1"],
    ["show", DIGEST],
    ["show", f"sha256:{DIGEST}"],
    ["search"],
    ["gate", "--policy", "p", PURL],
    ["logs", REBUILD],
    ["cancel", "rb-4"],
    ["show", f"/nonexistent/{HOSTILE.replace(chr(0), '')}"],
    ["rebuild", PURL, f"--{HOSTILE.replace(chr(0), '')}"],
    [HOSTILE.replace("\x00", "")],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: safe(" ".join(arguments[:2]), 40))
@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_of_a_package_controls_the_terminal(hostile_service: Fake, run: Run, arguments: list[str], as_json: bool) -> None:
    ran = run(*arguments, *(["--json"] if as_json else []))
    for text in (ran.out, ran.err):
        for line in text.split("\n"):
            assert line.isprintable(), line
    assert "\nALLOW" not in ran.out


def test_raw_logs_are_the_bytes(hostile_service: Fake, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from reprove.cli.main import exit_code_of

    assert exit_code_of(["logs", REBUILD, "--raw"]) == 0
    assert capfdbinary.readouterr().out == HOSTILE.encode()


def on_a_terminal(arguments: list[str], env: dict[str, str]) -> str:
    """Run the command with a terminal as its output and error; give everything that reached it."""
    master, slave = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "120", **env}
    process = subprocess.Popen(
        [sys.executable, "-m", "reprove.cli", *arguments], env=environment, stdout=slave, stderr=slave, stdin=slave, close_fds=True
    )
    os.close(slave)
    data = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        elif process.poll() is not None:
            break
    process.wait(5)
    os.close(master)
    return data.decode()


def progress_of(fake: Fake) -> None:
    events = [
        {"phase": "resolve", "status": "started"},
        {"phase": "resolve", "status": "done", "detail": "wheel and sdist", "seconds": 0.4},
        {"phase": "build", "status": "done", "detail": "network none", "seconds": 1.1},
    ]
    fake.rebuilds({"state": "queued"}, {"state": "running", "phase": "build"}, done(), events=events)


def test_a_terminal_gets_a_line_per_phase_and_colour(fake: Fake) -> None:
    progress_of(fake)
    shown = on_a_terminal(["rebuild", PURL, "--wait"], {"REPROVE_URL": fake.url})
    assert "\x1b[" in shown
    assert "wheel and sdist" in shown
    assert "\x1b[1;32mREPRODUCED, bitwise" in shown


def test_no_color_is_respected_on_a_terminal(fake: Fake) -> None:
    progress_of(fake)
    shown = on_a_terminal(["show", REBUILD], {"REPROVE_URL": fake.url, "NO_COLOR": "1"})
    progress_of(fake)
    assert "Queued" in shown
    assert "\x1b[3" not in shown


def test_a_pipe_gets_plain_lines_as_steps_end(fake: Fake, run: Run) -> None:
    progress_of(fake)
    ran = run("rebuild", PURL, "--wait")
    assert "\x1b" not in ran.out + ran.err
    assert "  resolve    wheel and sdist  0.4 s\n" in ran.err
    assert "  build      network none  1.1 s\n" in ran.err
    assert ran.out.startswith("REPRODUCED, bitwise   original = rebuilt = sha256:" + DIGEST)


def test_an_interrupt_on_a_terminal_detaches_at_once(fake: Fake) -> None:
    fake.rebuilds({"state": "running"})
    slow = fake.scripts[f"GET /v1/rebuilds/{REBUILD}"]
    assert isinstance(slow, list)
    body = slow[0]

    def poll(seen: Any) -> Reply:
        time.sleep(5 if "wait" in seen.query else 0)
        return body

    fake.scripts[f"GET /v1/rebuilds/{REBUILD}"] = poll
    environment = {"PATH": os.environ["PATH"], "REPROVE_URL": fake.url}
    process = subprocess.Popen(
        [sys.executable, "-m", "reprove.cli", "rebuild", PURL, "--wait"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not any("wait" in seen.query for seen in fake.seen):
        time.sleep(0.05)
    process.send_signal(2)
    began = time.monotonic()
    out, err = process.communicate(timeout=10)
    assert time.monotonic() - began < 3
    assert process.returncode == 130
    assert f"reprove cancel {REBUILD}" in err
    assert out == ""
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_traceback(fake: Fake) -> None:
    items = [ITEM | {"logIndex": number} for number in range(2000)]
    fake.scripts["GET /v1/attestations"] = Reply({"items": items, "next": None, "complete_to": 2000})
    command = f"{sys.executable} -m reprove.cli search --limit 2000 | head -1"
    ran = subprocess.run(
        ["bash", "-c", command], env={"PATH": os.environ["PATH"], "REPROVE_URL": fake.url}, capture_output=True, text=True, timeout=30, check=False
    )
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr == ""


def test_json_is_the_body_of_the_thing_with_its_kind(fake: Fake, run: Run, tmp_path: Path) -> None:
    fake.rebuilds(done())
    assert run("show", REBUILD, "--json").json["kind"] == "rebuild"
    assert run("rebuild", PURL, "--wait", "--json").json["outcome"] == "reproduced"
    fake.scripts["GET /v1/attestations"] = [
        Reply({"items": [ITEM], "next": "5-9", "complete_to": 9}),
        Reply({"items": [ITEM], "next": None, "complete_to": 9}),
    ]
    found = run("search", "--purl", PURL, "--since", "7d", "--json").json
    assert (len(found["items"]), found["complete_to"], found["truncated"]) == (2, 9, False)
    searched = [seen.query for seen in fake.seen if seen.path == "/v1/attestations"]
    assert searched[0]["purl"] == PURL
    assert searched[0]["since"].endswith("Z")
    assert searched[1]["after"] == "5-9"


def test_evidence_is_written_whole_or_not_at_all(fake: Fake, run: Run, tmp_path: Path) -> None:
    fake.rebuilds(done())
    target = tmp_path / "evidence.json"
    target.write_text("old")
    assert run("evidence", REBUILD, "-o", str(target)).code == 2
    assert target.read_text() == "old"
    fake.scripts[f"GET /v1/attestations/{'a' * 64}"] = Reply(b'{"kind":"evidence"}', media="application/vnd.reprove.evidence+json")
    ran = run("evidence", REBUILD, "-o", str(target))
    assert (ran.code, target.read_text()) == (0, '{"kind":"evidence"}')
    assert "reprove verify demo.whl --evidence" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["evidence.json"]
    assert fake.seen[-1].headers["accept"] == "application/vnd.reprove.evidence+json"


def test_a_token_may_stand_in_a_file_and_never_reaches_the_terminal(fake: Fake, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("rpv_" + "s" * 43 + "\n")
    monkeypatch.setenv("REPROVE_TOKEN", f"@{tmp_path}/token")
    fake.rebuilds(done())
    ran = run("show", REBUILD, "--json")
    assert fake.seen[-1].headers["authorization"] == "Bearer rpv_" + "s" * 43
    assert "rpv_s" not in ran.out + ran.err
    monkeypatch.setenv("REPROVE_TOKEN", f"@{tmp_path}/nothing")
    assert run("show", REBUILD).code == 2


def test_a_log_is_followed_to_its_end(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprove.cli.logs.POLL_SECONDS", 0.01)
    fake.rebuilds({"state": "running"})
    whole = b"one\ntwo\r\nthree"
    sizes = iter([0, 0, 2, 8, len(whole)])
    state = {"size": 0}

    def log(seen: Any) -> Reply:
        state["size"] = next(sizes, len(whole))
        if state["size"] == 0:
            return Reply(
                {"type": "urn:reprove:problem:not-found", "status": 404, "detail": "there is no build log yet"}, 404, media="application/problem+json"
            )
        data = whole[int(seen.query["offset"]) : state["size"]]
        return Reply(data, headers={"Reprove-Log-Complete": "true" if state["size"] == len(whole) else "false"}, media="text/plain")

    fake.scripts[f"GET /v1/rebuilds/{REBUILD}/log"] = log
    ran = run("logs", REBUILD, "-f")
    assert (ran.code, ran.out) == (0, "one\ntwo\nthree")


def test_the_service_is_asked_politely_when_no_thread_is_free(fake: Fake, run: Run) -> None:
    fake.rebuilds({"state": "running"}, done())
    states = fake.scripts[f"GET /v1/rebuilds/{REBUILD}"]
    assert isinstance(states, list)
    states.insert(1, Reply(json.loads(states[0].data), headers={"Retry-After": "1"}))
    began = time.monotonic()
    assert run("rebuild", PURL, "--wait").code == 0
    assert time.monotonic() - began > 0.9
