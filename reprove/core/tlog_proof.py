"""Offline inclusion proofs as text (C2SP ``tlog-proof@v1``, extension ``.tlog-proof``)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reprove.core import merkle, notes
from reprove.core.checkpoints import VerifiedCheckpoint, open_checkpoint
from reprove.core.errors import ProblemError, Slug
from reprove.core.notes import VKey

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Index, audit path (leaf to root) and the checkpoint's note, verbatim; ``extra`` is not authenticated."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: str, extra: bytes | None = None) -> str:
    """Return the text of a proof; ``checkpoint`` is the signed note with its signature lines."""
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {_b64(extra)}")
    lines.append(f"index {index}")
    lines.extend(_b64(one) for one in hashes)
    return "\n".join(lines) + f"\n\n{checkpoint}"


def parse_proof(text: str) -> TlogProof:
    """Read a proof; ProblemError unless it is canonical, with at most 63 hashes of 32 bytes and a well-formed checkpoint note."""
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) > merkle.MAX_PROOF_HASHES + 3 or lines.pop(0) != HEADER:
        raise _invalid("does not begin with its header, or has more hashes than a tree can have")
    extra = _decode(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None or int(index[1]) > merkle.MAX_SIZE:
        raise _invalid("has no index line")
    hashes = tuple(_decode(line) for line in lines)
    if len(hashes) > merkle.MAX_PROOF_HASHES or any(len(one) != merkle.HASH_BYTES for one in hashes):
        raise _invalid("has a hash that does not have 32 bytes, or more than 63 of them")
    notes.parse_note(checkpoint)
    return TlogProof(int(index[1]), hashes, checkpoint, extra)


def verify_proof(proof: TlogProof, entry: bytes, log_vkey: VKey, witness_vkeys: Iterable[VKey] = (), quorum: int = 0) -> VerifiedCheckpoint:
    """Check that ``entry`` is in the log under a checkpoint that the policy accepts; raises only VerificationError."""
    opened = open_checkpoint(proof.checkpoint, log_vkey, witness_vkeys, quorum)
    merkle.verify_inclusion(merkle.leaf_hash(entry), proof.index, opened.checkpoint.size, proof.hashes, opened.checkpoint.root)
    return opened


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("has invalid base64") from None
    if _b64(data) != text:
        raise _invalid("has base64 that is not canonical")
    return data


def _invalid(what: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the tlog-proof {what}")
