"""The witness's contract: every status code of tlog-witness, the dialogue of a growing log, races, and what HTTP may not do to it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove import signers
from reprove.core import merkle, notes
from reprove.core.checkpoints import Checkpoint, open_checkpoint
from reprove.core.cosignatures import cosignature_time
from reprove.core.errors import ProblemError
from service.log import witness_state
from service.log.errors import StateError
from service.log.witness import Reply, Witness, parse_request
from service.log.witness_client import encode_request
from service.log.witness_state import WitnessState
from tests.service.log.harness import Instance

ORIGIN = "log.test.example"
NOW = 1_700_000_000


class Log:
    """A log that may lie: trees of leaves, signed with a key of its own."""

    def __init__(self, folder: Path, name: str = ORIGIN) -> None:
        self.signer = signers.generate(folder / f"{name}-{len(list(folder.iterdir()))}.key", ed25519_key=True)
        self.vkey = notes.VKey(name, notes.ED25519, self.signer.public_key)
        self.leaves = [merkle.leaf_hash(b"%d" % n) for n in range(20)]

    def nodes(self, level: int, index: int) -> bytes:
        row = self.leaves[index << level : (index + 1) << level]
        while len(row) > 1:
            row = [merkle.node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    def root(self, size: int) -> bytes:
        return merkle.root_of(self.nodes, size)

    def note(self, size: int, root: bytes | None = None) -> str:
        text = Checkpoint(self.vkey.name, size, self.root(size) if root is None else root).text
        return notes.format_note(text, [notes.sign_note(text, self.vkey.name, self.signer)])

    def request(self, old: int, size: int) -> bytes:
        return encode_request(old, merkle.consistency_path(self.nodes, old, size), self.note(size))


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log(folder)
        signer = signers.generate(folder / "witness.key", ed25519_key=True)
        self.vkey = notes.VKey("witness.test.example", notes.COSIGNATURE, signer.public_key)
        witness_state.create(folder / "witness.db", str(self.vkey), [self.log.vkey])
        self.state = WitnessState(folder / "witness.db")
        self.now = NOW
        self.witness = Witness(self.state, signer, lambda: self.now)

    def ask(self, body: bytes) -> Reply:
        return self.witness.add_checkpoint(body)

    @property
    def size(self) -> int:
        seen = self.state.seen(ORIGIN)
        assert seen is not None
        return seen.size


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.state.close()


def test_the_dialogue_of_a_growing_log(stage: Stage) -> None:
    log = stage.log
    steps = [
        (log.request(0, 1), 200),
        (encode_request(1, [], log.note(3)), 422),
        (log.request(1, 3), 200),
        (log.request(1, 5), 409),
        (log.request(3, 5), 200),
        (log.request(5, 5), 200),
        (log.request(0, 5), 409),
        (log.request(5, 9), 200),
    ]
    for number, (body, status) in enumerate(steps):
        reply = stage.ask(body)
        assert (number, reply.status) == (number, status), reply.body
    assert stage.size == 9


def test_a_cosignature_verifies_and_carries_the_witness_time(stage: Stage) -> None:
    reply = stage.ask(stage.log.request(0, 4))
    note = stage.log.note(4) + reply.body.decode()
    assert open_checkpoint(note, stage.log.vkey, [stage.vkey], 1).cosigned == (("witness.test.example", NOW),)
    stage.now += 60
    again = stage.ask(stage.log.request(4, 4))
    signed = notes.parse_note(stage.log.note(4) + again.body.decode())
    assert cosignature_time(signed, stage.vkey) == NOW + 60


def test_a_conflict_names_the_size_in_its_own_type(stage: Stage) -> None:
    stage.ask(stage.log.request(0, 7))
    reply = stage.ask(stage.log.request(0, 9))
    assert (reply.status, reply.content_type, reply.body) == (409, "text/x.tlog.size", b"7\n")


def other_root(log: Log, size: int) -> bytes:
    return merkle.root_of(lambda level, index: merkle.node_hash(log.nodes(level, index), b"?" * 32), size)


REFUSALS: list[tuple[str, Callable[[Stage], bytes], int]] = [
    ("nothing", lambda _: b"", 400),
    ("no old line", lambda s: b"\n\n" + s.log.note(5).encode(), 400),
    ("old with a leading zero", lambda s: b"old 04\n\n" + s.log.note(5).encode(), 400),
    ("old that is negative", lambda s: b"old -1\n\n" + s.log.note(5).encode(), 400),
    ("old beyond the checkpoint", lambda s: encode_request(6, [], s.log.note(5)), 400),
    ("CRLF", lambda s: s.log.request(4, 5).replace(b"\n", b"\r\n"), 400),
    ("64 hashes", lambda s: encode_request(4, [b"x" * 32] * 64, s.log.note(5)), 400),
    ("a hash of 31 bytes", lambda s: encode_request(4, [b"x" * 31], s.log.note(5)), 400),
    ("a hash that is not base64", lambda s: b"old 4\n!!!\n\n" + s.log.note(5).encode(), 400),
    ("a hash in odd base64", lambda s: b"old 4\n" + base64.b64encode(b"x" * 32)[:-2] + b"R=\n\n" + s.log.note(5).encode(), 400),
    ("a note without signature", lambda s: b"old 4\n\n" + Checkpoint(ORIGIN, 5, s.log.root(5)).text.encode(), 400),
    ("a size of 2^63", lambda s: encode_request(4, [], s.log.note(2**63, b"x" * 32)), 400),
    ("a log that is not known", lambda s: Log(s.folder, "other.example").request(0, 1), 404),
    ("the right name, another key", lambda s: Log(s.folder).request(4, 5), 403),
    ("a signature that does not verify", lambda s: s.log.request(4, 5).replace(b"\n5\n", b"\n6\n"), 403),
    ("a stale size", lambda s: s.log.request(3, 5), 409),
    ("a wrong proof", lambda s: encode_request(4, [b"x" * 32], s.log.note(5)), 422),
    ("a proof that is too long", lambda s: encode_request(4, [*merkle.consistency_path(s.log.nodes, 4, 5), b"x" * 32], s.log.note(5)), 422),
    ("another root at the same size", lambda s: encode_request(4, [], s.log.note(4, other_root(s.log, 4))), 422),
    ("another tree", lambda s: encode_request(4, merkle.consistency_path(s.log.nodes, 4, 5), s.log.note(5, other_root(s.log, 5))), 422),
    ("size 0 with a root", lambda s: encode_request(0, [], s.log.note(0, b"x" * 32)), 422),
]


@pytest.mark.parametrize(("name", "body", "status"), REFUSALS, ids=[name for name, _, _ in REFUSALS])
def test_refusals_have_their_status_and_change_nothing(stage: Stage, name: str, body: Callable[[Stage], bytes], status: int) -> None:
    stage.ask(stage.log.request(0, 4))
    before = stage.state.seen(ORIGIN)
    assert stage.ask(body(stage)).status == status, name
    assert stage.state.seen(ORIGIN) == before


def test_a_first_proof_that_is_not_empty_is_refused(stage: Stage) -> None:
    assert stage.ask(encode_request(0, [b"x" * 32], stage.log.note(4))).status == 422
    assert stage.size == 0


def test_an_empty_log_can_be_cosigned_and_grown(stage: Stage) -> None:
    empty = stage.log.note(0, merkle.EMPTY_ROOT)
    assert stage.ask(encode_request(0, [], empty)).status == 200
    assert stage.ask(stage.log.request(0, 2)).status == 200


def test_unknown_signature_lines_are_ignored_and_not_kept(stage: Stage) -> None:
    grease = notes.NoteSignature("grease.example", b"abcd", b"x" * 64).line
    assert stage.ask(stage.log.request(0, 3) + grease.encode()).status == 200
    reply = stage.witness.latest(sha256(ORIGIN.encode()).hexdigest())
    assert b"grease" not in reply.body
    assert open_checkpoint(reply.body, stage.log.vkey, [stage.vkey], 1).checkpoint.size == 3


def test_the_latest_checkpoint_is_found_by_the_hash_of_the_origin(stage: Stage) -> None:
    name = sha256(ORIGIN.encode()).hexdigest()
    assert stage.witness.latest(name).status == 404
    stage.ask(stage.log.request(0, 3))
    assert stage.witness.latest(name).status == 200
    assert stage.witness.latest("0" * 64).status == 404


def test_races_never_roll_the_witness_back(stage: Stage) -> None:
    """All sizes at once, from the same old size: exactly one wins, the others learn the size that won."""
    stage.ask(stage.log.request(0, 1))
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda size: (size, stage.ask(stage.log.request(1, size))), range(2, 20)))
    won = [size for size, reply in replies if reply.status == 200]
    assert len(won) == 1
    assert stage.size == won[0]
    assert {reply.body for _, reply in replies if reply.status == 409} == {b"%d\n" % won[0]}


def test_a_check_that_is_not_in_the_transaction_would_roll_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence replaced by a no-op: with a stale view of the old size, a slower request does roll the witness back."""
    stage.ask(stage.log.request(0, 1))
    stale = stage.state.seen(ORIGIN)
    stage.ask(stage.log.request(1, 9))
    monkeypatch.setattr(stage.state, "_seen", lambda _origin: stale)
    assert stage.ask(stage.log.request(1, 2)).status == 200
    monkeypatch.undo()
    assert stage.size == 2


def test_a_state_that_exists_is_not_made_again(stage: Stage) -> None:
    with pytest.raises(StateError):
        witness_state.create(stage.folder / "witness.db", str(stage.vkey), [stage.log.vkey])


@given(st.binary(max_size=400))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    with contextlib.suppress(ProblemError):
        parse_request(body)


def exchange(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type")
    finally:
        connection.close()


@pytest.mark.slow
def test_over_http_bodies_are_bounded_and_paths_are_closed(instance: Instance) -> None:
    port = int(instance.values["witness_port"])
    origin = sha256(instance.log_vkey.name.encode()).hexdigest()
    status, body, kind = exchange(port, "GET", f"/{origin}/checkpoint")
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert instance.opened(body.decode()).checkpoint.size == 0
    assert exchange(port, "GET", "/")[0] == 404
    assert exchange(port, "POST", "/elsewhere", b"x")[0] == 404
    assert exchange(port, "POST", "/add-checkpoint", b"x")[0] == 400
    assert exchange(port, "POST", "/add-checkpoint", b"x" * (64 * 1024 + 1))[0] == 413
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b" 411 " in raw.recv(100)
    assert instance.add(1).entries[0].index == 0


@pytest.mark.slow
def test_the_witness_ends_on_sigterm_and_keeps_what_it_saw(instance: Instance) -> None:
    instance.add(3)
    assert instance.end(instance.processes[0]) == 0
    instance.start("witness")
    origin = sha256(instance.log_vkey.name.encode()).hexdigest()
    body = exchange(int(instance.values["witness_port"]), "GET", f"/{origin}/checkpoint")[1]
    assert instance.opened(body.decode()).checkpoint.size == 3
    assert instance.add(1).entries[0].index == 3
