"""Leaves, offline proofs, bundles and trusted roots: the vectors read as stock verifiers judged them, ours in the same shapes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.core import dsse, leaf, merkle, sigstore, tlog_proof
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from tests.core.vectors import VECTORS, log_vkey, signer, witness_vkeys
from tests.core.world import World, ed, p256

ROOT = sigstore.read_trusted_root((VECTORS / "trusted_root.json").read_bytes())
GOOD = json.loads((VECTORS / "comp.key.sigstore.json").read_bytes())
SUBJECT = sha256((VECTORS / "demo-1.0-py3-none-any.whl").read_bytes())


def verdict(data: bytes | str, subject: str | None = SUBJECT) -> str:
    try:
        sigstore.verify_bundle(sigstore.read_bundle(data), ROOT, signer(), subject_sha256=subject)
    except VerificationError as error:
        return error.reason.value
    return "ok"


@pytest.mark.parametrize("name", ["comp", "prov"])
def test_the_vectors_envelope_leaf_and_proof_fit_together(name: str) -> None:
    envelope = dsse.decode((VECTORS / f"{name}.dsse.json").read_bytes())
    entry = (VECTORS / f"{name}.leaf").read_bytes()
    assert envelope.signed_by([signer()]) == (signer(),)
    assert leaf.encode_leaf(envelope, signer()) == entry == canonical(json.loads(entry))
    assert leaf.parse_leaf(entry).binds(envelope)
    text = (VECTORS / f"{name}.tlog-proof").read_text()
    proof = tlog_proof.parse_proof(text)
    assert tlog_proof.format_proof(proof.index, proof.hashes, proof.checkpoint) == text
    assert tlog_proof.verify_proof(proof, entry, log_vkey()).checkpoint.size == 300
    assert verdict((VECTORS / f"{name}.key.sigstore.json").read_bytes()) == "ok"


def test_the_witnessed_proof_meets_its_policy_and_the_plain_one_does_not() -> None:
    entry = (VECTORS / "comp.leaf").read_bytes()
    proof = tlog_proof.parse_proof((VECTORS / "comp.wit.tlog-proof").read_text())
    assert len(tlog_proof.verify_proof(proof, entry, log_vkey(), witness_vkeys(), 2).cosigned) == 2
    with pytest.raises(VerificationError):
        tlog_proof.verify_proof(tlog_proof.parse_proof((VECTORS / "comp.tlog-proof").read_text()), entry, log_vkey(), witness_vkeys(), 2)
    with pytest.raises(VerificationError) as caught:
        tlog_proof.verify_proof(proof, entry + b" ", log_vkey())
    assert caught.value.reason is VerificationReason.INCLUSION


@pytest.mark.parametrize("name", sorted(one.name for one in (VECTORS / "tampered").glob("key.*.json")))
def test_every_tampered_key_bundle_is_rejected(name: str) -> None:
    assert verdict((VECTORS / "tampered" / name).read_bytes()) in ("signature", "inclusion", "checkpoint", "malformed")


@pytest.mark.parametrize("name", [f"{one}.{kind}.sigstore.json" for one in ("comp", "prov") for kind in ("cert", "keyts")])
def test_certificates_and_tokens_are_answered_unsupported_material(name: str) -> None:
    assert verdict((VECTORS / name).read_bytes()) == "unsupported-material"


def test_another_trusted_root_another_key_and_another_file_are_rejected() -> None:
    bundle = sigstore.read_bundle(json.dumps(GOOD))
    with pytest.raises(ProblemError, match="id does not fit"):
        sigstore.read_trusted_root((VECTORS / "trusted_root.otherlog.json").read_bytes())
    stranger = World(seed="fake", origin="log.reprove.example")
    other_log = sigstore.read_trusted_root(
        json.dumps(sigstore.trusted_root(stranger.log_vkey, "https://log.reprove.example", "2026-01-01T00:00:00Z"))
    )
    for root, key, subject, reason in (
        (other_log, signer(), None, {VerificationReason.UNTRUSTED_KEYS}),
        (ROOT, p256("other").public_key, None, {VerificationReason.SIGNATURE}),
        (ROOT, signer(), sha256(b"another file"), {VerificationReason.SUBJECT}),
    ):
        with pytest.raises(VerificationError) as caught:
            sigstore.verify_bundle(bundle, root, key, subject_sha256=subject)
        assert caught.value.reason in reason


@given(st.data())
@settings(max_examples=150)
def test_a_structural_change_of_a_bundle_is_rejected(data: st.DataObject) -> None:
    document: Any = json.loads(json.dumps(GOOD))
    parent, key = document, "mediaType"
    node: Any = document
    for _ in range(data.draw(st.integers(1, 6))):
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            break
        parent, key = node, data.draw(st.sampled_from(keys))
        node = node[key]
    if key == "hint":
        return  # free text that nobody reads
    kind = data.draw(st.sampled_from(["drop", "null", "text", "number", "more", "space"]))
    if kind == "drop":
        del parent[key]
    elif kind == "more":
        parent.append(parent[key]) if isinstance(parent, list) else parent.update(more="x")
    else:
        parent[key] = {"null": None, "text": "AAAA", "number": 2, "space": f" {parent[key]}"}[kind]
    assert verdict(json.dumps(document)) != "ok"


@given(st.binary(max_size=200))
def test_any_bytes_are_no_bundle_and_no_leaf_and_only_our_errors_escape(data: bytes) -> None:
    assert verdict(data) in ("malformed", "unsupported-material")
    with pytest.raises(ProblemError):
        leaf.parse_leaf(data)


@given(st.integers(0, 488), st.integers(1, 255))
def test_no_byte_of_a_leaf_is_free_to_change(at: int, mask: int) -> None:
    entry = bytearray((VECTORS / "comp.leaf").read_bytes())
    envelope = dsse.decode((VECTORS / "comp.dsse.json").read_bytes())
    entry[at] ^= mask
    try:
        changed = leaf.parse_leaf(bytes(entry))
    except ProblemError:
        return
    assert (changed.binds(envelope), changed.key) != (True, signer())


def test_a_leaf_has_one_signature_by_a_p256_key() -> None:
    key = p256("k")
    for envelope, public in (
        (Envelope(b"{}", ()), key.public_key),
        (Envelope(b"{}", (b"a", b"b")), key.public_key),
        (Envelope(b"{}", (b"a",)), ed("e").public_key),
    ):
        with pytest.raises(ProblemError):
            leaf.encode_leaf(envelope, public)
    forged = leaf.encode_leaf(Envelope(b"{}", (b"sig",)), key.public_key).replace(
        base64.b64encode(key.public_key.spki), base64.b64encode(ed("e").public_key.spki)
    )
    with pytest.raises(ProblemError):
        leaf.parse_leaf(forged)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("index 2", "index 02"),
        lambda text: text.replace("index 2", f"index {2**63}"),
        lambda text: text.replace("index 2\n", ""),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("index 2\n", "index 2\nAAAA\n"),
        lambda text: text.replace("index 2\n", "index 2\n" + "A" * 43 + "=\n" + ("A" * 43 + "=\n") * 63),
        lambda text: text.replace("\nindex", "\nextra !!\nindex"),
        lambda text: text[:-1],
        lambda text: "",
        lambda text: text.replace("index 2", "index -1"),
    ],
)
def test_other_forms_of_a_proof_are_refused(change: Any) -> None:
    with pytest.raises(ProblemError):
        tlog_proof.parse_proof(change((VECTORS / "comp.tlog-proof").read_text()))


@given(st.text(max_size=80), st.integers(0, 700))
def test_any_text_is_the_canonical_form_of_a_proof_or_refused(text: str, at: int) -> None:
    good = (VECTORS / "comp.tlog-proof").read_text()
    for candidate in (text, good[:at] + text + good[at:], good[:at] + text):
        try:
            found = tlog_proof.parse_proof(candidate)
        except ProblemError:
            continue
        assert tlog_proof.format_proof(found.index, found.hashes, found.checkpoint, found.extra) == candidate


def test_extra_bytes_of_a_proof_read_back() -> None:
    good = tlog_proof.parse_proof((VECTORS / "comp.tlog-proof").read_text())
    assert tlog_proof.parse_proof(tlog_proof.format_proof(2, good.hashes, good.checkpoint, b"hello")).extra == b"hello"


def made() -> tuple[World, dict[str, object]]:
    world = World()
    entry = world.rebuild(filler=3)[0][1]
    root = merkle.root_of(world.reader, len(world.leaves))
    key = world.key("attester").public_key
    return world, sigstore.bundle(
        entry.envelope, key, entry.index, entry.proof, len(world.leaves), root, entry.checkpoint, entry.leaf, log_vkey=world.log_vkey
    )


def test_our_bundle_has_the_vectors_shape_and_verifies() -> None:
    world, document = made()
    assert shape(document) == shape(GOOD)
    trusted = sigstore.trusted_root(world.log_vkey, f"https://{world.origin}", "2026-01-01T00:00:00Z")
    root = sigstore.read_trusted_root(json.dumps(trusted))
    sigstore.verify_bundle(sigstore.read_bundle(json.dumps(document)), root, world.key("attester").public_key)
    vector = json.loads((VECTORS / "trusted_root.json").read_bytes())
    assert shape(trusted["tlogs"]) == shape(vector["tlogs"])


def shape(value: object) -> object:
    """The members and types of a JSON value; of a list, its first item's."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(one) for one in value[:1]] if isinstance(value, list) else type(value)


def test_a_bundle_is_not_made_with_another_root_or_log() -> None:
    world = World()
    entry = world.rebuild()[0][0]
    key = world.key("attester").public_key
    for size, root, log in (
        (2, bytes(32), world.log_vkey),
        (3, world.reader(1, 0), world.log_vkey),
        (2, world.reader(1, 0), World(origin="x.example").log_vkey),
    ):
        with pytest.raises(ProblemError):
            sigstore.bundle(entry.envelope, key, 0, entry.proof, size, root, entry.checkpoint, entry.leaf, log_vkey=log)


@pytest.mark.parametrize(
    "url", ["https://other.example", "https://log.rebuilds.example:8443", "https://log.rebuilds.example/path", "log.rebuilds.example"]
)
def test_a_trusted_root_wants_the_origin_as_the_host_of_its_url(url: str) -> None:
    with pytest.raises(ProblemError):
        sigstore.trusted_root(World().log_vkey, url, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize("data", [b"{}", b"[]", b"1", b"", b'{"mediaType":"x","tlogs":[]}'])
def test_something_else_is_no_trusted_root(data: bytes) -> None:
    with pytest.raises(ProblemError):
        sigstore.read_trusted_root(data)


def ask(world: World, document: object) -> str:
    root = sigstore.read_trusted_root(json.dumps(sigstore.trusted_root(world.log_vkey, f"https://{world.origin}", "2026-01-01T00:00:00Z")))
    try:
        sigstore.verify_bundle(sigstore.read_bundle(json.dumps(document)), root, world.key("attester").public_key)
    except VerificationError as error:
        return error.reason.value
    return "ok"


def proof_of(document: Any) -> Any:
    return document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]


def test_an_outer_index_that_is_not_the_proofs_is_rejected() -> None:
    world, document = made()
    assert ask(world, document) == "ok"
    document["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "1"  # type: ignore[index]
    assert ask(world, document) == "inclusion"


def test_a_proof_that_leads_to_the_root_beside_it_but_not_to_the_checkpoints_is_rejected() -> None:
    world, document = made()
    forged = World()
    forged.leaves = [b"other", *world.leaves[1:]]
    proof = proof_of(document)
    index = int(proof["logIndex"])
    proof["rootHash"] = base64.b64encode(merkle.root_of(forged.reader, len(forged.leaves))).decode()
    proof["hashes"] = [base64.b64encode(one).decode() for one in merkle.inclusion_path(forged.reader, index, len(forged.leaves))]
    assert ask(world, document) == "inclusion"


def test_a_leaf_that_names_another_key_for_the_same_signature_is_rejected() -> None:
    world = World()
    envelope = world.rebuild()[0][0].envelope
    body = leaf.encode_leaf(envelope, p256("other").public_key)
    world.leaves.append(body)
    index, size = len(world.leaves) - 1, len(world.leaves)
    proof = merkle.inclusion_path(world.reader, index, size)
    root = merkle.root_of(world.reader, size)
    document = sigstore.bundle(envelope, p256("other").public_key, index, proof, size, root, world.note(), body, log_vkey=world.log_vkey)
    assert ask(world, document) == "inclusion"
