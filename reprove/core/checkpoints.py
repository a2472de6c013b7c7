"""Checkpoints of a log (C2SP tlog-checkpoint): origin, size and root, in a note signed by the log and cosigned by witnesses."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from reprove.core import notes
from reprove.core.cosignatures import cosignature_time
from reprove.core.errors import ProblemError, Slug, VerificationError, VerificationReason
from reprove.core.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from reprove.core.notes import SignedNote, VKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. ``extensions`` are lines after the root; ours have none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text that the log signs."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint that a known log key signed, with the witnesses (verifier key name, POSIX seconds) that cosigned it."""

    checkpoint: Checkpoint
    cosigned: tuple[tuple[str, int], ...]


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's note text (not the signatures); ProblemError unless formatting it again gives the same text."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise _invalid("a checkpoint has an origin, a size and a root, each on a line")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise _invalid("a checkpoint's size is a decimal number below 2^63")
    try:
        raw = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("a checkpoint's root is not base64") from None
    checkpoint = Checkpoint(origin, int(size), raw, tuple(lines[3:-1]))
    if len(raw) != HASH_BYTES or checkpoint.text != text:
        raise _invalid("a checkpoint's root is not the canonical base64 of 32 bytes")
    if checkpoint.size == 0 and raw != EMPTY_ROOT:
        raise _invalid("a checkpoint of size 0 has the root of a tree that is not empty")
    return checkpoint


def open_checkpoint(note: str | bytes | SignedNote, log_vkey: VKey, witness_vkeys: Iterable[VKey] = (), quorum: int = 0) -> VerifiedCheckpoint:
    """Verify a checkpoint's note: signed by the log under its own origin, and cosigned by ``quorum`` distinct witness keys at least.

    Witnesses beyond the quorum are checked and listed too. Raises only VerificationError: ``malformed`` or ``checkpoint``.
    """
    try:
        parsed = note if isinstance(note, SignedNote) else notes.parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
    except ProblemError as error:
        raise VerificationError(VerificationReason.MALFORMED, f"the checkpoint is malformed: {error.problem.detail}") from None
    if checkpoint.origin != log_vkey.name:
        raise VerificationError(VerificationReason.CHECKPOINT, f"the checkpoint is of log {checkpoint.origin!r}, not of {log_vkey.name!r}")
    notes.verify(parsed, (log_vkey,))
    cosigned: dict[bytes, tuple[str, int]] = {}
    for vkey in witness_vkeys:
        time = cosignature_time(parsed, vkey)
        # One key under two names is one witness: the message that it signs does not name it.
        if time is not None and vkey.key.spki != log_vkey.key.spki and vkey.key.spki not in cosigned:
            cosigned[vkey.key.spki] = (vkey.name, time)
    if len(cosigned) < quorum:
        detail = f"{len(cosigned)} of the {quorum} witnesses that are asked for cosigned the checkpoint of size {checkpoint.size}"
        raise VerificationError(VerificationReason.CHECKPOINT, detail)
    return VerifiedCheckpoint(checkpoint, tuple(cosigned.values()))


def _invalid(detail: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, detail)
