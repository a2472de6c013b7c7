"""DSSE envelopes (DSSE v1.0.2): read strictly, verified by trying every key, identified by the SHA-256 of the PAE.

We verify envelopes ourselves (DESIGN section 7): signatures carry no key id, so every key is tried, and quorums count distinct keys.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from reprove.core.canonical import canonical, parse
from reprove.core.digests import AttestationId, sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = 16 * 1024 * 1024
MAX_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class Envelope:
    """One statement's bytes with its signatures; ours always have one, P-256 in DER."""

    payload: bytes
    signatures: tuple[bytes, ...]
    payload_type: str = PAYLOAD_TYPE

    @property
    def pae(self) -> bytes:
        """The bytes that are signed."""
        return pae(self.payload_type, self.payload)

    @property
    def id(self) -> AttestationId:
        """SHA-256 of the PAE."""
        return AttestationId(sha256(self.pae))

    def as_json(self) -> dict[str, object]:
        """The envelope's JSON form, without ``keyid`` (stock readers refuse ours)."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [{"sig": base64.b64encode(sig).decode()} for sig in self.signatures],
        }

    def encode(self) -> bytes:
        """The JCS bytes of the envelope: the only form in which we store and send one."""
        return canonical(self.as_json())

    def signed_by(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Return the distinct keys of ``keys`` that made a signature in this envelope, in the order given."""
        message = self.pae
        found: dict[bytes, PublicKey] = {}
        for key in keys:
            if key.spki not in found and any(key.verifies(signature, message) for signature in self.signatures):
                found[key.spki] = key
        return tuple(found.values())


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding; lengths count bytes, not characters."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def from_json(document: object) -> Envelope:
    """Turn a parsed JSON value into an envelope; unknown members, other payload types and odd base64 are refused."""
    if not isinstance(document, dict) or set(document) != {"payload", "payloadType", "signatures"}:
        raise _malformed("has members other than payload, payloadType and signatures")
    if document["payloadType"] != PAYLOAD_TYPE:
        raise _malformed(f"is not of payload type {PAYLOAD_TYPE}")
    rows = document["signatures"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_SIGNATURES:
        raise _malformed(f"has not 1 to {MAX_SIGNATURES} signatures")
    signatures = []
    for row in rows:
        if not isinstance(row, dict) or set(row) - {"sig", "keyid"} or row.get("keyid", "") != "":
            raise _malformed("has a signature with a keyid or unknown members")
        signatures.append(_decode(row.get("sig")))
    return Envelope(_decode(document["payload"]), tuple(signatures))


def decode(data: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """Read an envelope from JSON bytes."""
    return from_json(parse(data, max_bytes=max_bytes, what="the envelope"))


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise _malformed("lacks base64 text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("has invalid base64") from None
    if base64.b64encode(data).decode() != text:
        raise _malformed("has base64 that is not canonical")
    return data


def _malformed(what: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the envelope {what}")
