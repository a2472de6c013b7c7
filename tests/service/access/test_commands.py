"""`reprove token`, `reprove worker` and `reprove debug`: data on standard output, talk on standard error, one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from reprove import signers
from reprove.core.errors import ProblemError
from reprove.crashpoints import CRASH_POINTS
from service.access import enrolled
from service.access.authentication import authenticate
from service.access.enrolled import EnrolledFile
from service.cli import debug, token, worker
from service.records import audit, times
from service.records.principals import Role
from tests.service.world import World


def run(world: World, command: Command, *arguments: str) -> Result:
    result = CliRunner(env={"REPROVE_HOME": str(world.home)}).invoke(command, arguments)
    if isinstance(result.exception, ProblemError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_a_token_is_made_listed_and_revoked(world: World) -> None:
    made = run(world, token.command, "create", "--role", "submit,read", "--expires", "2h", "--name", "ci", "--purl-prefix", "pkg:generic/acme/")
    secret = made.stdout.strip()
    principal = authenticate(world.db, f"Bearer {secret}", times.now())
    assert (principal.subject, principal.roles, principal.purl_prefixes) == ("ci", {Role.SUBMIT, Role.READ}, ("pkg:generic/acme/",))
    assert principal.token_id is not None
    assert principal.token_id in made.stderr
    items = json.loads(run(world, token.command, "list", "--json").stdout)["items"]
    assert [item["name"] for item in items][-1] == "ci"
    assert secret not in run(world, token.command, "list").output
    run(world, token.command, "revoke", principal.token_id)
    assert "revoked" in run(world, token.command, "list").stdout
    with pytest.raises(ProblemError, match="revoked"):
        authenticate(world.db, f"Bearer {secret}", times.now())


@pytest.mark.parametrize(
    "arguments",
    [["create", "--role", "admin"], ["create", "--role", "read", "--expires", "soon"], ["create", "--role", ""], ["revoke", "tk-none"]],
)
def test_a_mistake_is_one_line(world: World, arguments: list[str]) -> None:
    with pytest.raises(ProblemError) as caught:
        run(world, token.command, *arguments)
    assert "\n" not in str(caught.value)


def test_a_key_is_enrolled_listed_and_revoked_and_that_is_audited(world: World, tmp_path: Path) -> None:
    file = EnrolledFile(world.home)
    key = signers.generate(tmp_path / "worker-2.key").public_key
    (tmp_path / "worker-2.pub").write_text(key.pem)
    assert run(world, worker.command, "enroll", str(tmp_path / "worker-2.pub")).stdout.strip() == key.fingerprint
    assert file.current().find(key.fingerprint, Role.WORK, times.now()) == key
    with pytest.raises(ProblemError, match="enrolled already"):
        run(world, worker.command, "enroll", str(tmp_path / "worker-2.pub"))
    assert key.fingerprint in run(world, worker.command, "list").stdout
    run(world, worker.command, "revoke", "worker-2")
    assert file.current().find(key.fingerprint, Role.WORK, times.now()) is None
    assert len(file.current().keys) == 3
    with pytest.raises(ProblemError, match="no enrolled key is named"):
        run(world, worker.command, "revoke", "worker-2")
    with world.db.read() as conn:
        assert [row["action"] for row in audit.of_target(conn, key.fingerprint)] == ["worker.enroll", "worker.revoke"]


@pytest.mark.parametrize("text", ["not a key", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_not_enrolled(world: World, tmp_path: Path, text: str) -> None:
    (tmp_path / "k.pub").write_text(text)
    with pytest.raises(ProblemError, match="not a public key"):
        run(world, worker.command, "enroll", str(tmp_path / "k.pub"))
    assert len(enrolled.load(world.home).keys) == 2


def test_a_log_key_is_not_a_worker(world: World, tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(signers.generate(tmp_path / "k.key", ed25519_key=True).public_key.pem)
    with pytest.raises(ProblemError, match="Ed25519"):
        run(world, worker.command, "enroll", str(tmp_path / "k.pub"))


@pytest.mark.slow
def test_six_enrolments_at_once_lose_no_key(world: World, tmp_path: Path) -> None:
    script = "import sys; from service.cli.worker import command; command(sys.argv[1:])"
    processes = []
    for number in range(6):
        path = tmp_path / f"w{number}.pub"
        path.write_text(signers.generate(tmp_path / f"w{number}.key").public_key.pem)
        environment = {"REPROVE_HOME": str(world.home), "PATH": ""}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", script, "enroll", str(path)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
    assert [process.wait(60) for process in processes] == [0] * 6
    assert len(enrolled.load(world.home).keys) == 2 + 6


def test_crash_points_are_listed(world: World) -> None:
    listed = run(world, debug.command, "crash-points").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(CRASH_POINTS)
    assert json.loads(run(world, debug.command, "crash-points", "--json").stdout)["points"] == CRASH_POINTS
