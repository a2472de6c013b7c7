"""Timestamped Ed25519 cosignatures of witnesses (C2SP tlog-cosignature, ``cosignature/v1``, algorithm byte 0x04).

A cosignature says: at this time, the largest consistent tree that I have seen of this origin has this root. Its time is POSIX seconds.
"""

from __future__ import annotations

import struct

from reprove.core.errors import VerificationError, VerificationReason
from reprove.core.notes import COSIGNATURE, NoteSignature, NoteSigner, SignedNote, VKey

_TIME = struct.Struct(">Q")
_BLOB_BYTES = 8 + 64
MAX_TIME = 253_402_300_799
"""The last second of the year 9999: what RFC 3339 can still say."""


def message(text: str, time: int) -> bytes:
    """The bytes that a witness signs for a checkpoint's note text."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosign(text: str, name: str, signer: NoteSigner, time: int) -> str:
    """Cosign a checkpoint's note text at ``time`` (POSIX seconds); returns the signature line with its newline."""
    vkey = VKey(name, COSIGNATURE, signer.public_key)
    return NoteSignature(name, vkey.key_hash, _TIME.pack(time) + signer.sign(message(text, time))).line


def cosignature_time(note: SignedNote, vkey: VKey) -> int | None:
    """Return the time at which ``vkey`` cosigned the note, the earliest if there are more, or None if it did not.

    Raises VerificationError ``checkpoint`` when a line claims to be by the key and is not.
    """
    times = [_verified_time(note.text, one, vkey) for one in note.signatures if vkey.algorithm == COSIGNATURE and one.is_by(vkey)]
    return min(times, default=None)


def _verified_time(text: str, line: NoteSignature, vkey: VKey) -> int:
    if len(line.signature) == _BLOB_BYTES:
        (time,) = _TIME.unpack_from(line.signature)
        if 0 < time <= MAX_TIME and vkey.key.verifies(line.signature[8:], message(text, time)):
            return int(time)
    raise VerificationError(VerificationReason.CHECKPOINT, f"the cosignature of witness {vkey.name} does not verify")
