"""Public keys as SPKI DER, and signature checks over bytes. ECDSA P-256 signs statements, Ed25519 signs the log (DESIGN section 7)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError, Slug

KeyObject = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A public key named by the SHA-256 of its SPKI DER; equality is equality of those bytes."""

    spki: bytes
    _object: KeyObject = field(repr=False)

    @property
    def fingerprint(self) -> Sha256:
        """SHA-256 of the SPKI DER: how workers, attesters and keys are named."""
        return sha256(self.spki)

    @property
    def base64(self) -> str:
        """The SPKI DER in base64, as it stands in trust files and leaves."""
        return base64.b64encode(self.spki).decode()

    @property
    def pem(self) -> str:
        """The key as PEM ``PUBLIC KEY``."""
        return self._object.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def is_ed25519(self) -> bool:
        """Whether it is an Ed25519 key (else P-256)."""
        return isinstance(self._object, ed25519.Ed25519PublicKey)

    @property
    def raw_ed25519(self) -> bytes:
        """The 32 bytes of an Ed25519 key."""
        if not isinstance(self._object, ed25519.Ed25519PublicKey):
            raise TypeError("not an Ed25519 key")
        return self._object.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether ``signature`` (DER for P-256 over SHA-256, 64 bytes for Ed25519) is this key's over ``message``."""
        try:
            if isinstance(self._object, ed25519.Ed25519PublicKey):
                self._object.verify(signature, message)
            else:
                self._object.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.spki == self.spki

    def __hash__(self) -> int:
        return hash(self.spki)


def from_spki(der: bytes) -> PublicKey:
    """Read an SPKI DER of a P-256 or Ed25519 key; the DER must be the one that re-encoding gives."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise ProblemError(Slug.INVALID_REQUEST, "not a public key (SPKI DER)") from None
    return _checked(key, der)


def from_base64(text: str) -> PublicKey:
    """Read a base64 SPKI DER, as trust files carry it."""
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProblemError(Slug.INVALID_REQUEST, "not base64") from None
    return from_spki(der)


def from_pem(text: str) -> PublicKey:
    """Read a PEM ``PUBLIC KEY``."""
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ProblemError(Slug.INVALID_REQUEST, "not a public key (PEM)") from None
    return _checked(key, None)


def from_raw_ed25519(raw: bytes) -> PublicKey:
    """Wrap the 32 bytes of an Ed25519 key."""
    if len(raw) != 32:
        raise ProblemError(Slug.INVALID_REQUEST, "an Ed25519 key has 32 bytes")
    return _checked(ed25519.Ed25519PublicKey.from_public_bytes(raw), None)


def _checked(key: object, der: bytes | None) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise ProblemError(Slug.INVALID_REQUEST, "an ECDSA key must be on P-256")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise ProblemError(Slug.INVALID_REQUEST, "a key must be ECDSA P-256 or Ed25519")
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if der is not None and encoded != der:
        raise ProblemError(Slug.INVALID_REQUEST, "the key's DER is not in its canonical form")
    return PublicKey(encoded, key)
