"""The leaf of an attestation: Rekor v2 ``hashedrekord`` 0.0.2 over SHA-256 of the DSSE PAE, in JCS form (DESIGN section 7).

It binds statement (by the PAE's digest), signature and public key, so that stock verifiers check our bundles offline.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from reprove.core import keys
from reprove.core.digests import AttestationId
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey

MAX_LEAF_BYTES = 2048

# Written out rather than serialised: keys are in JCS order, base64 needs no escapes, and a sequencer makes thousands a second.
_TEMPLATE = (
    '{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"},'
    '"signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"%s"}}}}}}'
)
_PATTERN = re.compile(re.escape(_TEMPLATE).replace("%s", "([A-Za-z0-9+/=]{1,512})").encode())


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf binds: the SHA-256 of the PAE (raw bytes), the signature (DER) and the key that made it."""

    pae_sha256: bytes
    signature: bytes
    key: PublicKey

    @property
    def id(self) -> AttestationId:
        """The attestation's id."""
        return AttestationId(self.pae_sha256.hex())

    def binds(self, envelope: Envelope) -> bool:
        """Say whether the envelope is the one that this leaf commits to: same PAE, and exactly this signature."""
        return envelope.id == self.id and envelope.signatures == (self.signature,)


def encode_leaf(envelope: Envelope, key: PublicKey) -> bytes:
    """Make the entry's bytes for an envelope with one signature by ``key`` (P-256); ProblemError for any other shape.

    The signature is not checked here: admission does (sequencer) and so does every reader.
    """
    if len(envelope.signatures) != 1 or key.is_ed25519:
        raise ProblemError(Slug.INVALID_REQUEST, "a logged envelope has exactly one signature, by a P-256 key")
    return _encode(hashlib.sha256(envelope.pae).digest(), envelope.signatures[0], key.spki)


def parse_leaf(data: bytes) -> Leaf:
    """Read an entry's bytes; only what :func:`encode_leaf` could have made is accepted, else ProblemError."""
    match = _PATTERN.fullmatch(data) if len(data) <= MAX_LEAF_BYTES else None
    try:
        parts = [base64.b64decode(part, validate=True) for part in match.groups()] if match else []
    except (binascii.Error, ValueError):
        parts = []
    if len(parts) != 3 or len(parts[0]) != 32 or _encode(parts[0], parts[1], parts[2]) != data:
        raise ProblemError(Slug.INVALID_REQUEST, "not a hashedrekord 0.0.2 leaf with a P-256 key in canonical form")
    key = keys.from_spki(parts[2])
    if key.is_ed25519:
        raise ProblemError(Slug.INVALID_REQUEST, "the leaf's key is not P-256")
    return Leaf(parts[0], parts[1], key)


def _encode(digest: bytes, signature: bytes, spki: bytes) -> bytes:
    return (_TEMPLATE % (_b64(digest), _b64(signature), _b64(spki))).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
