"""Signed notes and verifier keys (C2SP signed-note): text, a blank line, and lines ``— <name> <base64(key hash, signature)>``.

Ed25519 only: algorithm 0x01 (the note's text is signed) and 0x04 (a timestamped cosignature, see :mod:`reprove.core.cosignatures`).
Signature lines by keys that the reader does not know are kept and ignored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from reprove.core import keys
from reprove.core.errors import ProblemError, Slug, VerificationError, VerificationReason
from reprove.core.keys import PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 64
"""A witnessed checkpoint has one line per witness; the specification asks for 16 at least."""

_DASH = "\u2014"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_HASH = re.compile(r"[0-9a-f]{8}")


class NoteSigner(Protocol):
    """What signing a note needs of a key; :class:`reprove.signers.Signer` is one."""

    @property
    def public_key(self) -> PublicKey:
        """The key's public half; Ed25519."""

    def sign(self, message: bytes) -> bytes:
        """Sign with Ed25519: 64 bytes."""


@dataclass(frozen=True, slots=True)
class VKey:
    """A verifier key: a name, an algorithm byte (0x01 or 0x04) and an Ed25519 key."""

    name: str
    algorithm: int
    key: PublicKey

    @property
    def key_hash(self) -> bytes:
        """The first 4 bytes of the key id, as signature lines carry them."""
        return self._id[:4]

    @property
    def log_id(self) -> bytes:
        """The whole 32-byte id: SHA-256 of name, LF, algorithm and key; ``logId.keyId`` of a Sigstore bundle."""
        return self._id

    @property
    def _id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.key.raw_ed25519).digest()

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.algorithm]) + self.key.raw_ed25519).decode()
        return f"{self.name}+{self.key_hash.hex()}+{material}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_hash: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH} {self.name} {base64.b64encode(self.key_hash + self.signature).decode()}\n"

    def is_by(self, vkey: VKey) -> bool:
        """Say whether the line claims to be by ``vkey`` (name and key hash)."""
        return self.name == vkey.name and self.key_hash == vkey.key_hash


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note as parsed; nothing about it is verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(one.line for one in self.signatures)}"


def format_vkey(name: str, public_key: PublicKey | bytes, algorithm: int = ED25519) -> str:
    """Return ``<name>+<key hash>+<base64>`` for an Ed25519 key (raw bytes or PublicKey)."""
    key = keys.from_raw_ed25519(public_key) if isinstance(public_key, bytes) else public_key
    return str(VKey(_checked_name(name), algorithm, key))


def parse_vkey(text: str) -> VKey:
    """Read a verifier key; ProblemError for another algorithm, a hash that does not fit, or any form but the canonical one."""
    name, _, rest = text.partition("+")
    digest, _, material = rest.partition("+")
    raw = _base64(material, "the verifier key")
    if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE) or not _KEY_HASH.fullmatch(digest):
        raise _invalid("a verifier key is <name>+<8 hex>+<base64> of an Ed25519 key (algorithm 1 or 4)")
    vkey = VKey(_checked_name(name), raw[0], keys.from_raw_ed25519(raw[1:]))
    if vkey.key_hash.hex() != digest:
        raise _invalid("the verifier key's hash does not fit its name and key")
    return vkey


def parse_note(data: str | bytes) -> SignedNote:
    """Read a signed note: UTF-8, no control characters but newlines, 1 to 64 canonical signature lines; ProblemError else.

    Formatting the result gives the same bytes back.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise ProblemError(Slug.TOO_LARGE, f"a note has at most {MAX_NOTE_BYTES} bytes")
    try:
        note = data.decode() if isinstance(data, bytes) else data
        note.encode()
    except UnicodeError:
        raise _invalid("the note is not UTF-8") from None
    if _CONTROL.search(note):
        raise _invalid("the note has control characters (line ends are LF alone)")
    head, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _invalid("the note has no blank line before signature lines, or does not end in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ProblemError(Slug.TOO_LARGE, f"a note has at most {MAX_SIGNATURES} signatures")
    return SignedNote(head + "\n", tuple(_signature(line) for line in lines))


def format_note(text: str, lines: Iterable[str]) -> str:
    """Join a text (ends in a newline) and signature lines (each with its newline) to a note."""
    if not text.endswith("\n"):
        raise ValueError("a note's text ends in a newline")
    return f"{text}\n{''.join(lines)}"


def sign_note(text: str, name: str, signer: NoteSigner) -> str:
    """Sign a note's text with an Ed25519 key (algorithm 0x01) and return the signature line with its newline."""
    vkey = VKey(_checked_name(name), ED25519, signer.public_key)
    return NoteSignature(name, vkey.key_hash, signer.sign(text.encode())).line


def parse_signature_lines(text: str) -> tuple[NoteSignature, ...]:
    """Read a run of signature lines, as a witness answers them (tlog-witness)."""
    if len(text) > MAX_NOTE_BYTES or not text.endswith("\n") or _CONTROL.search(text):
        raise _invalid("not a run of signature lines")
    return tuple(_signature(line) for line in text[:-1].split("\n"))


def verify(note: SignedNote, vkeys: Iterable[VKey]) -> tuple[VKey, ...]:
    """Return the keys of ``vkeys`` (algorithm 0x01) that signed the note.

    Raises VerificationError ``checkpoint`` when a line claims to be by one of them and is not, or when none signed.
    """
    message = note.text.encode()
    found = []
    for vkey in vkeys:
        claims = [one for one in note.signatures if one.is_by(vkey)]
        if vkey.algorithm != ED25519 or not claims:
            continue
        if not all(vkey.key.verifies(one.signature, message) for one in claims):
            raise VerificationError(VerificationReason.CHECKPOINT, f"a signature line of {vkey.name} does not verify")
        found.append(vkey)
    if not found:
        raise VerificationError(VerificationReason.CHECKPOINT, "the note is not signed by a key that is expected")
    return tuple(found)


def _signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise _invalid("a signature line is: dash, name, base64")
    raw = _base64(parts[2], "the signature line")
    if len(raw) < 5:
        raise _invalid("a signature line is too short")
    return NoteSignature(_checked_name(parts[1]), raw[:4], raw[4:])


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(char.isspace() for char in name) or _CONTROL.search(name):
        raise _invalid("a key's name is not empty and has neither space nor plus sign")
    return name


def _base64(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(f"{what} has invalid base64") from None
    if base64.b64encode(raw).decode() != text:
        raise _invalid(f"{what} has base64 that is not canonical")
    return raw


def _invalid(detail: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, detail)
