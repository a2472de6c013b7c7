"""What submitters meet: order, duplicates, refusals, and what a batch costs in files."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reprove import signers
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError
from reprove.core.leaf import parse_leaf
from service.log import frames
from tests.service.log.harness import Instance, envelope

pytestmark = pytest.mark.slow


def ask(instance: Instance, data: bytes) -> dict[str, object] | None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(instance.home / "run" / "sequencer.sock"))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = frames.receive(connection)
    return None if answer is None else json.loads(answer)


def frame(document: object) -> bytes:
    data = json.dumps(document).encode()
    return struct.pack(">I", len(data)) + data


def test_a_batch_is_contiguous_in_order_and_answered_with_proofs(instance: Instance) -> None:
    assert instance.opened(instance.client.head() or "").checkpoint.size == 0
    first = instance.add(3)
    second = instance.add(2)
    assert [entry.index for entry in (*first.entries, *second.entries)] == [0, 1, 2, 3, 4]
    assert instance.opened(first.before or "").checkpoint.size == 0
    assert second.before == first.checkpoint
    assert instance.client.prove(second.entries[1].id).entries[0].index == 4
    assert instance.client.prove_index(4).entries[0].id == second.entries[1].id


def test_each_leaf_binds_its_envelope(instance: Instance) -> None:
    envelopes = instance.envelopes(2)
    added = instance.client.add(envelopes)
    assert all(parse_leaf(entry.leaf).binds(one) for entry, one in zip(added.entries, envelopes, strict=True))


def test_the_same_again_is_answered_with_the_same_index_proof_and_checkpoints(instance: Instance) -> None:
    envelopes = instance.envelopes(2)
    first = instance.client.add(envelopes)
    instance.add(300 - 256)
    again = instance.client.add(envelopes)
    assert (again.checkpoint, again.before) == (first.checkpoint, first.before)
    assert [(one.index, one.proof, one.leaf, one.duplicate) for one in again.entries] == [
        (one.index, one.proof, one.leaf, True) for one in first.entries
    ]


def test_a_mix_of_old_and_new_is_answered_under_one_checkpoint(instance: Instance) -> None:
    old = instance.envelopes(2)
    instance.client.add(old)
    mixed = [old[1], *instance.envelopes(1), old[0]]
    added = instance.client.add(mixed)
    instance.check(mixed, added)
    assert [(entry.index, entry.duplicate) for entry in added.entries] == [(1, True), (2, False), (0, True)]


def test_one_envelope_twice_in_a_submission_is_one_entry(instance: Instance) -> None:
    (one,) = instance.envelopes(1)
    added = instance.client.add([one, one])
    assert [(entry.index, entry.duplicate) for entry in added.entries] == [(0, False), (0, True)]
    assert instance.fsck().size == 1


def test_the_same_statement_signed_twice_is_one_entry_with_the_first_signature(instance: Instance) -> None:
    (one,) = instance.envelopes(1)
    first = instance.client.add([one])
    other = signers.generate(instance.home / "other.key")
    assert other.public_key != instance.attester.public_key
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    private = instance.attester._private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    resigned = Envelope(one.payload, (private.sign(one.pae, ec.ECDSA(hashes.SHA256())),))
    assert resigned != one
    added = instance.client.add([resigned])
    assert added.entries[0].duplicate
    assert added.entries[0].leaf == first.entries[0].leaf


def test_concurrent_submissions_of_the_same_are_logged_once(instance: Instance) -> None:
    envelopes = instance.envelopes(20)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: instance.client.add(envelopes), range(16)))
    assert {tuple(entry.index for entry in added.entries) for added in answers} == {tuple(range(20))}
    assert instance.fsck().size == 20
    assert sum(not entry.duplicate for added in answers for entry in added.entries) == 20


def test_concurrent_submissions_keep_their_own_order(instance: Instance) -> None:
    batches = [instance.envelopes(7) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(instance.client.add, batches))
    for envelopes, added in zip(batches, answers, strict=True):
        instance.check(envelopes, added)
        first = added.entries[0].index
        assert [entry.index for entry in added.entries] == list(range(first, first + 7))
    assert instance.fsck().size == 84


def test_only_one_signature_by_the_attester_is_admitted(instance: Instance) -> None:
    (good,) = instance.envelopes(1)
    stranger = envelope(signers.generate(instance.home / "stranger.key"), 1)
    refused = [
        stranger,
        Envelope(good.payload, (*good.signatures, *stranger.signatures)),
        Envelope(good.payload, (*good.signatures, *good.signatures)),
        Envelope(good.payload + b" ", good.signatures),
        Envelope(good.payload, (b"",)),
    ]
    for one in refused:
        with pytest.raises(ProblemError) as caught:
            instance.client.add([good, one])
        assert caught.value.problem.slug == "forbidden"
        assert caught.value.problem.pointer == "/envelopes/1"
    # A refused submission is refused whole.
    assert instance.opened(instance.client.head() or "").checkpoint.size == 0


BAD_REQUESTS: list[tuple[object, str]] = [
    ({"op": "add"}, "invalid-request"),
    ({"op": "add", "envelopes": []}, "invalid-request"),
    ({"op": "add", "envelopes": [{}] * 257}, "invalid-request"),
    ({"op": "add", "envelopes": [{"payload": "e30=", "payloadType": "text/plain", "signatures": [{"sig": ""}]}]}, "invalid-request"),
    ({"op": "remove"}, "invalid-request"),
    ({"op": "prove"}, "invalid-request"),
    ({"op": "prove", "index": True}, "invalid-request"),
    ({"op": "prove", "index": -1}, "not-found"),
    ({"op": "prove", "index": 0}, "not-found"),
    ({"op": "prove", "id": "0" * 64}, "not-found"),
    ({"op": "prove", "id": "xyz"}, "invalid-request"),
    ([], "invalid-request"),
]


def test_bad_requests_get_a_problem(instance: Instance) -> None:
    for request, slug in BAD_REQUESTS:
        answer = ask(instance, frame(request))
        assert answer is not None, request
        assert answer["error"]["type"] == f"urn:reprove:problem:{slug}", request  # type: ignore[index]  # JSON
    assert instance.add(1).entries[0].index == 0


def test_torn_and_oversized_frames_end_one_connection_and_nothing_else(instance: Instance) -> None:
    good = frame({"op": "add", "envelopes": [instance.envelopes(1)[0].as_json()]})
    assert ask(instance, b"") is None
    for torn in (good[:-1], good[:5], struct.pack(">I", 100), b"\x00\x00"):
        answer = ask(instance, torn)
        assert answer is not None
        assert answer["error"]["status"] == 400  # type: ignore[index]  # JSON
    oversized = ask(instance, struct.pack(">I", frames.MAX_FRAME + 1))
    assert oversized is not None
    assert oversized["error"]["status"] == 413  # type: ignore[index]  # JSON
    assert instance.add(1).entries[0].index == 0


# Files of one batch of so many entries on an empty log, and then of one more entry: bundles, then tiles of levels 0, 1, …
COSTS = [
    (1, {"tile/entries/000.p/1", "tile/0/000.p/1"}, {"tile/entries/000.p/2", "tile/0/000.p/2"}),
    (255, {"tile/entries/000.p/255", "tile/0/000.p/255"}, {"tile/entries/000", "tile/0/000", "tile/1/000.p/1"}),
    (256, {"tile/entries/000", "tile/0/000", "tile/1/000.p/1"}, {"tile/entries/001.p/1", "tile/0/001.p/1"}),
]


@pytest.mark.parametrize(("size", "files", "more"), COSTS)
def test_a_batch_costs_exactly_these_files(instance: Instance, size: int, files: set[str], more: set[str]) -> None:
    instance.add(size)
    assert instance.files() == {"checkpoint"} | files
    instance.add(1)
    assert instance.files() == {"checkpoint"} | files | more


def test_a_damaged_old_tile_is_told_and_does_not_stop_the_log(instance: Instance) -> None:
    instance.add(256)
    instance.add(2)
    (instance.home / "log" / "tile" / "0" / "000").unlink()
    instance.invariant = False
    with pytest.raises(ProblemError) as caught:
        instance.client.prove_index(3)
    assert caught.value.problem.slug == "unavailable"
    assert "damaged" in instance.errors("main")
    envelopes = instance.envelopes(1)
    instance.check(envelopes, instance.client.add(envelopes))


def test_files_are_readable_by_all_and_tiles_writable_by_nobody(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    instance.start("witness")
    instance.start("main", umask=0o077)
    instance.add(2)
    for path in (instance.home / "log").rglob("*"):
        if path.name == ".tmp":
            continue
        mode = path.stat().st_mode & 0o777
        assert mode == (0o755 if path.is_dir() else 0o644 if path.name == "checkpoint" else 0o444), path


def test_sigterm_drains_and_ends_with_0(instance: Instance) -> None:
    envelopes = [instance.envelopes(50) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(instance.client.add, one) for one in envelopes]
        answers[0].result()
        main = instance.processes[1]
        assert instance.end(main) == 0
        for one, future in zip(envelopes, answers, strict=True):
            if future.exception() is None:
                instance.check(one, future.result())
            else:
                assert isinstance(future.exception(), ProblemError)
    instance.start("main")
    for one in envelopes:
        instance.check(one, instance.client.add(one))
    assert instance.fsck().size == 300
