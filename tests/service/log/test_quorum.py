"""Witnesses that are away, slow, lying or in the minority: what is published, what submitters are told, what is never lost."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reprove import signers
from reprove.core import cosignatures, merkle, notes
from reprove.core.errors import ProblemError, UpstreamError
from service.log.errors import RollbackError
from service.log.tilewriter import Edge, Nodes, extend
from service.log.witness_client import Panel, Witness, parse_witness
from tests.service.log.harness import Instance
from tests.service.log.test_witness import Log


@dataclass
class Fake:
    """A witness by script: answers by method, with a delay; cosigns whatever it is shown."""

    signer: signers.FileSigner
    get: tuple[int, bytes] = (404, b"")
    post: Callable[[bytes], tuple[int, bytes]] | None = None
    delay: float = 0.0
    posts: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def vkey(self) -> notes.VKey:
        return notes.VKey(f"w{self.port}.example", notes.COSIGNATURE, self.signer.public_key)

    @property
    def address(self) -> str:
        return f"{self.vkey} http://127.0.0.1:{self.port}"

    def cosign(self, body: bytes) -> tuple[int, bytes]:
        text = notes.parse_note(body.partition(b"\n\n")[2]).text
        return 200, cosignatures.cosign(text, self.vkey.name, self.signer, int(time.time())).encode()


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[Callable[..., Fake]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def make(**script: object) -> Fake:
        fake = Fake(signers.generate(tmp_path / f"fake{len(servers)}.key", ed25519_key=True), **script)  # type: ignore[arg-type]  # a script

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(*fake.get)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.posts.append(body)
                time.sleep(fake.delay)
                self._send(*(fake.post or fake.cosign)(body))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        fake.port = server.server_address[1]
        return fake

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def tree(log: Log, size: int) -> Nodes:
    return Nodes(size, lambda level, _n: b"".join(log.leaves) if level == 0 else b"")


def witness(fake: Fake, log: Log) -> Witness:
    return Witness(parse_witness(fake.address), log.vkey, 2.0)


def panel(log: Log, quorum: int, *some: Fake, timeout: float = 2.0) -> Panel:
    return Panel([parse_witness(fake.address) for fake in some], quorum, log.vkey, timeout)


def test_a_lost_answer_is_found_again_through_the_conflict(fakes: Callable[..., Fake], log: Log) -> None:
    """The witness persisted 5 and its answer was lost: told 409, the log looks, and asks for a refresh."""
    fake = fakes(get=(404, b""))
    answers = iter([(409, b"5\n")])
    fake.post = lambda body: next(answers, None) or fake.cosign(body)
    one = witness(fake, log)
    one.known = 3
    fake.get = (200, log.note(5).encode())
    assert one.cosign(tree(log, 5), log.note(5))
    assert [body.split(b"\n")[0] for body in fake.posts] == [b"old 3", b"old 5"]
    assert one.known == 5


@pytest.mark.parametrize("status", [409, 422])
def test_a_witness_that_proves_us_behind_is_fatal(fakes: Callable[..., Fake], log: Log, status: int) -> None:
    fake = fakes(get=(200, log.note(7).encode()), post=lambda _: (status, b"7\n"))
    one = witness(fake, log)
    one.known = 3
    with pytest.raises(RollbackError, match="size 7"):
        one.cosign(tree(log, 5), log.note(5))


def test_a_witness_that_saw_another_tree_is_fatal(fakes: Callable[..., Fake], log: Log) -> None:
    fake = fakes(get=(200, log.note(4, b"x" * 32).encode()))
    with pytest.raises(RollbackError, match="another tree"):
        witness(fake, log).observe(tree(log, 5))


def test_a_witness_that_only_claims_is_not_believed(fakes: Callable[..., Fake], log: Log, tmp_path: Path) -> None:
    """A bare 409, or a checkpoint that our key did not sign, stops its vote and nothing else."""
    (tmp_path / "forger").mkdir()
    forger = Log(tmp_path / "forger")
    for get in ((404, b""), (200, forger.note(9).encode()), (200, b"garbage"), (500, b"")):
        fake = fakes(get=get, post=lambda _: (409, b"99\n"))
        one = witness(fake, log)
        one.known = 3
        with pytest.raises(UpstreamError):
            one.cosign(tree(log, 5), log.note(5))


def test_an_answer_without_a_valid_cosignature_is_no_vote(fakes: Callable[..., Fake], log: Log) -> None:
    other = fakes()
    lies: list[Callable[[Fake], bytes]] = [
        lambda _: b"",
        lambda _: b"garbage\n",
        lambda _: other.cosign(b"\n\n" + log.note(5).encode())[1],
        lambda fake: fake.cosign(b"\n\n" + log.note(6).encode())[1],
        lambda fake: notes.NoteSignature(fake.vkey.name, fake.vkey.key_hash, b"x" * 72).line.encode(),
        lambda _: b"\xff\n",
        lambda _: b"x" * 200_000,
    ]
    for lie in lies:
        fake = fakes()
        fake.post = lambda _body, fake=fake, lie=lie: (200, lie(fake))  # type: ignore[misc]  # bound now
        with pytest.raises(UpstreamError):
            witness(fake, log).cosign(tree(log, 5), log.note(5))


@pytest.mark.parametrize(("quorum", "published"), [(1, True), (2, True), (3, False)])
def test_the_quorum_decides(fakes: Callable[..., Fake], log: Log, quorum: int, published: bool) -> None:
    panels = panel(log, quorum, fakes(), fakes(), fakes(post=lambda _: (500, b"")))
    note = panels.cosign(tree(log, 5), log.note(5))
    assert (note is not None) == published
    panels.close()


@pytest.mark.slow
def test_a_slow_witness_does_not_hold_up_a_met_quorum(fakes: Callable[..., Fake], log: Log) -> None:
    panels = panel(log, 1, fakes(delay=1.5), fakes())
    began = time.monotonic()
    assert panels.cosign(tree(log, 5), log.note(5)) is not None
    assert time.monotonic() - began < 1.2
    panels.close()


@pytest.mark.parametrize("bad", ["", "x", "x http://h", "ftp", " http://127.0.0.1:1"])
def test_a_malformed_witness_setting_is_refused(bad: str) -> None:
    with pytest.raises(ProblemError):
        parse_witness(bad)


def test_a_log_key_is_not_a_witness_key(log: Log) -> None:
    with pytest.raises(ProblemError):
        parse_witness(f"{log.vkey} http://127.0.0.1:1")


def test_consistency_is_proved_from_whatever_size_the_witness_has(fakes: Callable[..., Fake], log: Log) -> None:
    leaves = [b"%d" % n for n in range(20)]
    plan = extend(Edge(), leaves, lambda _name: None)
    for old in range(21):
        proof = merkle.consistency_path(plan.nodes, old, 20)
        root = merkle.root_of(log.nodes, old) if old else merkle.EMPTY_ROOT
        merkle.verify_consistency(old, 20, root, plan.root, proof)


@pytest.mark.slow
def test_without_the_quorum_nothing_is_published_and_nothing_is_lost(instance: Instance) -> None:
    instance.add(2)
    instance.end(instance.processes[0])
    envelopes = instance.envelopes(3)
    with pytest.raises(ProblemError) as caught:
        instance.client.add(envelopes)
    assert caught.value.problem.slug == "unavailable"
    # Committed but not published: no reader sees it, no proof is given, and more is refused rather than piled up.
    assert instance.fsck().size == 2
    with pytest.raises(ProblemError) as caught:
        instance.client.prove(envelopes[0].id)
    assert caught.value.problem.slug == "not-found"
    instance.start("witness")
    added = instance.client.add(envelopes)
    instance.check(envelopes, added)
    assert [(entry.index, entry.duplicate) for entry in added.entries] == [(2, True), (3, True), (4, True)]
    assert instance.fsck().size == 5


@pytest.mark.slow
def test_submitters_who_still_wait_are_answered_when_the_witness_is_back(instance: Instance) -> None:
    instance.add(1)
    instance.end(instance.processes[0])
    envelopes = instance.envelopes(2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(instance.client.add, envelopes)
        time.sleep(0.5)
        instance.start("witness")
        added = waiting.result()
    instance.check(envelopes, added)
    assert not any(entry.duplicate for entry in added.entries)


@pytest.mark.slow
def test_stopped_without_quorum_the_batch_is_published_after_the_next_start(instance: Instance) -> None:
    instance.add(1)
    instance.end(instance.processes[0])
    envelopes = instance.envelopes(2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(instance.client.add, envelopes)
        time.sleep(0.5)
        assert instance.end(instance.processes[1]) == 0
        with pytest.raises(ProblemError):
            waiting.result()
    instance.start("witness")
    instance.start("main")
    added = instance.client.add(envelopes)
    assert [entry.index for entry in added.entries] == [1, 2]
    instance.check(envelopes, added)
