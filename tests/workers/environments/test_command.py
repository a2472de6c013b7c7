"""``reprove env`` as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reprove.cli.main import exit_code_of
from tests.workers.sandbox.lab import made_environment
from workers import environments
from workers.cli import env

# a made environment needs mmdebstrap and the archive: what --fast leaves out
pytestmark = pytest.mark.docker


@pytest.fixture
def home(test_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with the made environment: files are shared by hard links, names are its own."""
    made = made_environment(test_cache)
    monkeypatch.setenv("REPROVE_HOME", str(tmp_path))
    store, kept = environments.EnvironmentStore(tmp_path), environments.EnvironmentStore(made.home)
    lock = kept.load_lock(made.lock_sha256)
    store.save_lock(lock)
    store.archive(lock.sha256).parent.mkdir()
    store.archive(lock.sha256).symlink_to(made.archive)
    (store.root / "images").mkdir()
    (store.root / "images" / f"{lock.sha256}.json").write_bytes((kept.root / "images" / f"{lock.sha256}.json").read_bytes())
    store.save_name("bookworm-python", lock)
    return tmp_path


def test_making_what_is_made_takes_no_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["env", "make", "bookworm-python", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["state"], document["python"], document["packages"] > 50, document["seconds"] < 5) == ("made", "3.11", True, True)
    assert captured.err == "1.00 made already\n", "in a pipe, progress is lines of a fraction and a text"


def test_the_list_tells_made_from_not_made(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["env", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["items"]}
    assert (rows["bookworm-python"]["state"], rows["trixie-python"]["state"]) == ("made", "not made")
    assert exit_code_of(["env", "list", "--unused"]) == 0
    assert capsys.readouterr().out == ""


def test_an_environment_locked_anew_is_used_as_it_was_until_it_is_made(home: Path) -> None:
    store = environments.EnvironmentStore(home)
    before = environments.find(home, "bookworm-python")
    assert before is not None
    lock = store.load_lock(before.lock_sha256)
    newer = type(lock)(**{name: getattr(lock, name) for name in lock.__slots__} | {"epoch": lock.epoch + 1})
    store.save_lock(newer)
    store.save_name("bookworm-python", newer)
    assert environments.find(home, "bookworm-python") == before
    assert store.lock_of("bookworm-python") == newer.sha256


def test_removing_keeps_lock_and_packages(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")  # the image itself is shared with other tests
    assert exit_code_of(["env", "remove", "bookworm-python"]) == 0
    assert "stay" in capsys.readouterr().out
    assert environments.find(home, "bookworm-python") is None
    store = environments.EnvironmentStore(home)
    digest = store.lock_of("bookworm-python")
    assert digest is not None
    assert store.load_lock(digest).python == "3.11"
    assert exit_code_of(["env", "remove", "bookworm-python"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make", "nix"], "no environment 'nix'; known are bookworm-python, bullseye-python, trixie-python"),
        (["make"], "name the environments"),
        (["make", "--all", "x"], "name the environments"),
        (["lock", "missing.yaml"], "missing.yaml: No such file"),
        (["remove", "nix"], "not made here"),
    ],
)
def test_a_mistake_is_one_line(home: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["env", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_bad_spec_says_line_and_column(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "mine.yaml"
    spec.write_text("reprove-environment: 1\nsuite: bookworm\npackagse: [python3]\n")
    assert exit_code_of(["env", "lock", str(spec)]) == 2
    assert "unknown key 'packagse'" in (error := capsys.readouterr().err)
    assert "3:1" in error


def test_one_suite_that_fails_does_not_stop_the_others(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tried: list[str] = []

    def make(_: object, spec: environments.Spec, **__: object) -> None:
        tried.append(spec.name)
        raise environments.EnvironmentFaultError("the archive no longer has it")

    monkeypatch.setattr(env, "make_environment", make)
    assert exit_code_of(["env", "make", "--all"]) == 4
    assert tried == ["bookworm-python", "bullseye-python", "trixie-python"]
    assert capsys.readouterr().err.count("no longer has it") == 3
