"""Envelopes: the PAE counts bytes, every key is tried, distinct keys are counted, and nothing odd is read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.dsse import PAYLOAD_TYPE, Envelope, decode, from_json, pae
from reprove.core.errors import ProblemError
from reprove.signers import FileSigner, sign_statement


def key() -> FileSigner:
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


def test_the_specifications_example() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_count_bytes_and_not_characters() -> None:
    assert pae("täst", "ä".encode()) == "DSSEv1 5 täst 2 ä".encode()


@given(st.binary(max_size=200))
def test_an_envelope_reads_back_to_the_same_bytes(payload: bytes) -> None:
    envelope = sign_statement(SIGNER, payload)
    assert decode(envelope.encode()) == envelope
    assert decode(envelope.encode()).encode() == envelope.encode()
    assert envelope.signed_by([SIGNER.public_key]) == (SIGNER.public_key,)


SIGNER = key()


def test_every_key_is_tried_and_one_key_counts_once() -> None:
    first, second, stranger = key(), key(), key()
    message = pae(PAYLOAD_TYPE, b"x")
    envelope = Envelope(b"x", (first.sign(message), second.sign(message), first.sign(message)))
    assert envelope.signed_by([stranger.public_key, second.public_key, first.public_key, first.public_key]) == (second.public_key, first.public_key)


def test_a_signature_of_another_payload_does_not_count() -> None:
    envelope = sign_statement(SIGNER, b"x")
    assert Envelope(b"y", envelope.signatures).signed_by([SIGNER.public_key]) == ()
    assert Envelope(b"x", envelope.signatures, "text/plain").signed_by([SIGNER.public_key]) == ()


def test_the_id_is_the_digest_of_the_pae_and_not_of_the_signatures() -> None:
    assert sign_statement(key(), b"x").id == sign_statement(key(), b"x").id != sign_statement(SIGNER, b"y").id


def _changed(**changes: Any) -> dict[str, Any]:
    return {**sign_statement(SIGNER, b"payload").as_json(), **changes}


MALFORMED = [
    ("no object", [1]),
    ("an unknown member", _changed(extra=1)),
    ("another payload type", _changed(payloadType="application/json")),
    ("no signature", _changed(signatures=[])),
    ("too many signatures", _changed(signatures=[{"sig": "AA=="}] * 17)),
    ("a keyid", _changed(signatures=[{"sig": "AA==", "keyid": "x"}])),
    ("a signature that is no text", _changed(signatures=[{"sig": 5}])),
    ("base64 with a newline", _changed(payload="AAAA\n")),
    ("base64 without padding", _changed(payload="AA")),
    ("base64 whose last bits are not zero", _changed(payload="AB==")),
    ("url-safe base64", _changed(payload="-_-_")),
]


@pytest.mark.parametrize(("_name", "document"), MALFORMED, ids=[name for name, _ in MALFORMED])
def test_a_malformed_envelope_is_refused(_name: str, document: object) -> None:
    with pytest.raises(ProblemError):
        from_json(document)


def test_an_empty_keyid_is_tolerated_and_not_kept() -> None:
    document = _changed()
    document["signatures"][0]["keyid"] = ""
    assert b"keyid" not in from_json(document).encode()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "sig"]), inner, max_size=4)
        ),
    )
)
def test_any_value_is_an_envelope_or_a_problem(document: object) -> None:
    try:
        from_json(document)
    except ProblemError:
        return


def test_duplicate_members_are_refused() -> None:
    text = json.dumps(_changed())[:-1] + ', "payload": "AAAA"}'
    with pytest.raises(ProblemError):
        decode(text.encode())
    assert base64.b64decode("AAAA")
