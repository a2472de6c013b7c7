"""Private keys by URI. Files are signed with through ``cryptography``, deterministically; other schemes go to securesystemslib.

``file:/path/to/key.pem`` is an unencrypted PKCS#8 PEM that only its owner can read. ``hsm:``, ``awskms:``, ``gcpkms:``, ``azurekms:`` and
``hv:`` are securesystemslib's. Exactly-once never rests on determinism: envelopes are persisted before they are used (DESIGN section 7).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from reprove.core import keys
from reprove.core.dsse import PAYLOAD_TYPE, Envelope, pae
from reprove.core.errors import OwnError
from reprove.core.keys import PublicKey


class Signer(Protocol):
    """What the attester, workers, log and witness need of a key."""

    @property
    def public_key(self) -> PublicKey:
        """The key's public half."""

    def sign(self, message: bytes) -> bytes:
        """Sign: DER over SHA-256 for P-256, 64 bytes for Ed25519."""


class FileSigner:
    """A key in a PEM file."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self._private = private
        spki = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._public = keys.from_spki(spki)

    @property
    def public_key(self) -> PublicKey:
        """The key's public half."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Sign deterministically (RFC 6979 for ECDSA)."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(message)
        return self._private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class _SecuresystemslibSigner:
    """Any other URI scheme, through securesystemslib."""

    def __init__(self, uri: str, public: PublicKey) -> None:
        from securesystemslib import signer as library

        self._public = public
        key = library.SSlibKey.from_crypto(serialization.load_der_public_key(public.spki))  # type: ignore[attr-defined]  # the library exports without __all__
        self._signer = library.Signer.from_priv_key_uri(uri, key)  # type: ignore[attr-defined]  # as above

    @property
    def public_key(self) -> PublicKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return bytes.fromhex(self._signer.sign(message).signature)


def open_signer(uri: str, *, public_pem: Path | None = None) -> Signer:
    """Open the key that ``uri`` names.

    Schemes other than ``file:`` need the public key beside them (``public_pem``), since a device may not give it out.
    Raises OwnError when the key is missing, readable by others, or of another kind.
    """
    if uri.startswith("file:"):
        return _open_file(Path(uri.removeprefix("file:")))
    if public_pem is None:
        raise OwnError(f"key {uri.partition(':')[0]}:… needs its public key as a PEM file in the settings")
    return _SecuresystemslibSigner(uri, keys.from_pem(public_pem.read_text()))


def generate(path: Path, *, ed25519_key: bool = False) -> FileSigner:
    """Make a new key file, mode 0400, never over an existing one."""
    private = ed25519.Ed25519PrivateKey.generate() if ed25519_key else ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # a crash before this line leaves no key by this name: half a one would stop every later init
        os.link(temporary, path)
    finally:
        temporary.unlink()
    return FileSigner(private)


def sign_statement(signer: Signer, payload: bytes) -> Envelope:
    """Wrap a statement's JCS bytes in an envelope with one signature."""
    return Envelope(payload, (signer.sign(pae(PAYLOAD_TYPE, payload)),))


def _open_file(path: Path) -> FileSigner:
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        raise OwnError(f"key file {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise OwnError(f"key file {path} can be read by others (mode {stat.S_IMODE(mode):04o}); make it 0400")
    try:
        private = serialization.load_pem_private_key(pem, None)
    except ValueError as error:
        raise OwnError(f"key file {path} is not a PKCS#8 PEM key") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise OwnError(f"key file {path} is neither ECDSA nor Ed25519")
    return FileSigner(private)
