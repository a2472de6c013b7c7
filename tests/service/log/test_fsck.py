"""The checker finds each kind of damage, and accepts what is no damage. The command says so in one line and an exit code."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reprove import signers
from reprove.core import notes
from reprove.core.checkpoints import Checkpoint
from reprove.core.errors import ProblemError, UpstreamError
from reprove.core.leaf import encode_leaf
from reprove.core.notes import VKey
from service.cli.log import command
from service.log.fsck import Report, check_folder
from service.log.tilewriter import Edge, extend
from tests.service.log.harness import envelope

SIZE = 600


class Folder:
    """A published log in a folder, made without a sequencer, and signed by a key that tests may use to lie."""

    def __init__(self, root: Path) -> None:
        self.root = root / "log"
        attester = signers.generate(root / "attester.key")
        self.signer = signers.generate(root / "log.key", ed25519_key=True)
        self.vkey = VKey("fsck.test.example", notes.ED25519, self.signer.public_key)
        self.leaves = [encode_leaf(envelope(attester, number), attester.public_key) for number in range(SIZE)]
        self.edge = Edge()
        self.write(self.leaves[:300])
        self.older = self.root.joinpath("checkpoint").read_text()
        self.write(self.leaves[300:])

    def write(self, leaves: list[bytes]) -> None:
        plan = extend(self.edge, leaves, lambda _name: None)
        for name, data in plan.files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        self.edge = plan.edge
        self.sign(plan.size, plan.root)

    def sign(self, size: int, root: bytes) -> None:
        text = Checkpoint(self.vkey.name, size, root).text
        (self.root / "checkpoint").write_text(notes.format_note(text, [notes.sign_note(text, self.vkey.name, self.signer)]))

    def check(self) -> Report:
        return check_folder(self.root, log=self.vkey)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(pristine: Folder, tmp_path: Path) -> Iterator[Folder]:
    """A copy to damage."""
    root = pristine.root
    shutil.copytree(root, tmp_path / "log")
    pristine.root = tmp_path / "log"
    yield pristine
    pristine.root = root


def test_a_whole_log_is_sound(folder: Folder) -> None:
    report = folder.check()
    assert report == Report(folder.vkey.name, SIZE, 3 + 3 + 1, 0, (), ())


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(folder: Folder) -> None:
    first, second = folder.root / "tile/entries/000", folder.root / "tile/entries/001"
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


DAMAGES: list[tuple[str, Callable[[Folder], object], str]] = [
    ("a bit of a full tile", lambda f: flip(f.root / "tile/0/000"), "tile/0/000"),
    ("a bit of a partial tile", lambda f: flip(f.root / "tile/0/002.p/88"), "tile/0/002.p/88"),
    ("a bit of an upper tile", lambda f: flip(f.root / "tile/1/000.p/2"), "tile/1/000.p/2"),
    ("a bit of a bundle", lambda f: flip(f.root / "tile/entries/001"), "tile/0/001"),
    ("a bit of an older partial tile", lambda f: flip(f.root / "tile/0/001.p/44"), "contradicts"),
    ("a missing tile", lambda f: (f.root / "tile/0/001").unlink(), "tile/0/001: missing"),
    ("a missing bundle", lambda f: (f.root / "tile/entries/002.p/88").unlink(), "missing"),
    ("a bundle cut short", lambda f: (f.root / "tile/entries/000").write_bytes((f.root / "tile/entries/000").read_bytes()[:-1]), "cut short"),
    ("swapped bundles", swap, "tile/0/000"),
    ("a foreign file", lambda f: (f.root / "tile/0/readme").write_text("x"), "not a file of a log"),
    ("a file with a leading zero", lambda f: (f.root / "tile/0/001.p/044").write_bytes(b"x"), "not a file of a log"),
    ("no checkpoint", lambda f: (f.root / "checkpoint").unlink(), "checkpoint: missing"),
    ("a bit of the checkpoint", lambda f: flip(f.root / "checkpoint"), "checkpoint"),
    ("a signed checkpoint with another root", lambda f: f.sign(SIZE, b"x" * 32), "another root"),
    ("a signed checkpoint beyond the entries", lambda f: f.sign(SIZE + 1, b"x" * 32), "missing"),
    ("an entry twice", lambda f: f.write([f.leaves[0]]), "logged twice"),
    ("an entry that is no leaf", lambda f: f.write([b"{}"]), "hashedrekord"),
]


@pytest.mark.parametrize(("name", "damage", "word"), DAMAGES, ids=[name for name, _, _ in DAMAGES])
def test_damage_is_found_and_named(folder: Folder, name: str, damage: Callable[[Folder], object], word: str) -> None:
    edge = folder.edge
    damage(folder)
    report = folder.check()
    folder.edge = edge
    assert not report.sound, name
    assert any(word in problem for problem in report.problems), report.problems


def test_files_beyond_the_checkpoint_are_a_batch_under_way(folder: Folder) -> None:
    (folder.root / "checkpoint").write_text(folder.older)
    report = folder.check()
    assert report.sound
    assert (report.size, report.ahead) == (300, 5)


def test_another_key_and_a_missing_witness_are_found(folder: Folder, pristine: Folder, tmp_path: Path) -> None:
    other = signers.generate(tmp_path / "other.key", ed25519_key=True).public_key
    assert not check_folder(folder.root, log=VKey(folder.vkey.name, notes.ED25519, other)).sound
    assert not check_folder(folder.root, log=VKey("other.example", notes.ED25519, folder.vkey.key)).sound
    witness = VKey("w.example", notes.COSIGNATURE, other)
    assert not check_folder(folder.root, log=folder.vkey, witnesses=[witness], quorum=1).sound


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["fsck", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value or 0), result.output


def test_the_command_says_sound_or_broken(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    older = tmp_path / "older"
    older.write_text(folder.older)
    status, output = run(folder.root, "--vkey", folder.vkey, "--since", older)
    assert (status, "SOUND" in output) == (0, True)
    status, output = run(folder.root, "--vkey", folder.vkey, "--json")
    assert json.loads(output)["sound"] is True
    status, output = run(folder.root)
    assert status == 0
    assert "not checked" in output
    flip(folder.root / "tile/0/000")
    status, output = run(folder.root, "--vkey", folder.vkey)
    assert (status, "BROKEN" in output) == (1, True)
    assert run(tmp_path)[0] == 2
    assert run(folder.root, "--vkey", "nonsense")[0] == 2


@pytest.fixture
def served(folder: Folder) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder.root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_a_log_is_checked_over_http_too(folder: Folder, served: str) -> None:
    status, output = run(served, "--vkey", folder.vkey)
    assert (status, "SOUND" in output) == (0, True)
    flip(folder.root / "tile/0/000")
    assert run(served, "--vkey", folder.vkey)[0] == 1
    assert run(served + "nowhere", "--vkey", folder.vkey)[0] == 2
    with pytest.raises(ProblemError):
        run("http://", "--vkey", folder.vkey)


def test_a_server_that_is_away_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError):
        run("http://127.0.0.1:1/", "--vkey", "x")


def test_an_older_checkpoint_of_another_tree_is_found(folder: Folder, tmp_path: Path) -> None:
    older = Checkpoint(folder.vkey.name, 300, b"x" * 32)
    assert "another root" in " ".join(check_folder(folder.root, log=folder.vkey, since=older).problems)
    assert not check_folder(folder.root, log=folder.vkey, since=Checkpoint(folder.vkey.name, SIZE + 1, b"x" * 32)).sound
    assert not check_folder(folder.root, log=folder.vkey, since=Checkpoint("other", 1, b"x" * 32)).sound
