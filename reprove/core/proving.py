"""Entries of evidence proved to hold together: signature, leaf, checkpoint, inclusion, under every key that anybody names.

Every line of every checkpoint must be by a key that the reader or the hints name and must verify, so no byte of evidence is free to change.
Which of those keys the reader believes is :mod:`reprove.core.verification`'s question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reprove.core import leaf, merkle, notes
from reprove.core.checkpoints import Checkpoint, parse_checkpoint
from reprove.core.claims import malformed
from reprove.core.cosignatures import cosignature_time
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from reprove.core.evidence import LoggedEnvelope
from reprove.core.keys import PublicKey
from reprove.core.notes import VKey
from reprove.core.trust import TrustFile


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose every line is by a named key and verifies; ``times`` are POSIX seconds by the SPKI of the witness."""

    checkpoint: Checkpoint
    signers: tuple[VKey, ...]
    times: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class Proved:
    """An entry that holds together; whether its keys are trusted is another question."""

    entry: LoggedEnvelope
    key: PublicKey
    opened: Opened
    before: Opened | None


@dataclass(frozen=True, slots=True)
class Known:
    """Every key that the reader or the hints name."""

    logs: tuple[VKey, ...]
    witnesses: tuple[VKey, ...]
    signers: tuple[PublicKey, ...]


def all_known(trust: TrustFile | None, hints: TrustFile) -> Known:
    """Collect the keys that the reader or the hints name."""
    files = [one for one in (trust, hints) if one is not None]
    logs = {str(log.vkey): log.vkey for file in files for log in file.logs}
    witnesses = {str(vkey): vkey for file in files for vkey in file.witnesses}
    signers = {one.key.spki: one.key for file in files for operator in file.operators for one in (*operator.workers, *operator.resolvers)}
    return Known(tuple(logs.values()), tuple(witnesses.values()), tuple(signers.values()))


def prove(entry: LoggedEnvelope, known: Known) -> Proved:
    """Check one entry. Raises VerificationError ``malformed``, ``signature``, ``inclusion`` or ``checkpoint``."""
    try:
        body = leaf.parse_leaf(entry.leaf)
    except ProblemError as error:
        raise malformed(error.problem.detail) from None
    if not entry.envelope.signed_by((body.key,)):
        raise VerificationError(VerificationReason.SIGNATURE, f"the signature of entry {entry.index} does not verify")
    if not body.binds(entry.envelope):
        raise VerificationError(VerificationReason.INCLUSION, f"the leaf of entry {entry.index} is of another envelope")
    opened = _open(entry.checkpoint, known)
    head = opened.checkpoint
    merkle.verify_inclusion(merkle.leaf_hash(entry.leaf), entry.index, head.size, entry.proof, head.root)
    before = _open(entry.before, known) if entry.before is not None else None
    if before is not None and (before.checkpoint.origin != head.origin or before.checkpoint.size > entry.index):
        raise VerificationError(VerificationReason.CHECKPOINT, f"the earlier checkpoint of entry {entry.index} covers it or is of another log")
    return Proved(entry, body.key, opened, before)


def _open(note: str, known: Known) -> Opened:
    """Verify a checkpoint under every key that is named; refuse lines by any other, lines that stand twice, and extension lines."""
    try:
        parsed = notes.parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
    except ProblemError as error:
        raise malformed(error.problem.detail) from None
    logs = [vkey for vkey in known.logs if vkey.name == checkpoint.origin]
    for line in parsed.signatures:
        if not any(line.is_by(vkey) for vkey in (*logs, *known.witnesses)):
            raise malformed(f"a checkpoint has a signature line by an unknown key ({line.name})")
    if checkpoint.extensions or len({(line.name, line.key_hash) for line in parsed.signatures}) != len(parsed.signatures):
        raise malformed("a checkpoint has extension lines, or two signature lines by one key")
    signers = notes.verify(parsed, logs)
    times = {vkey.key.spki: cosignature_time(parsed, vkey) for vkey in known.witnesses}
    return Opened(checkpoint, signers, {spki: time for spki, time in times.items() if time is not None})


def one_history(everything: Iterable[Proved]) -> None:
    """Refuse two roots for one size of one log, and two leaves for one index: proof that the log forked."""
    seen: dict[tuple[str, str, int], bytes] = {}
    for one in everything:
        origin = one.opened.checkpoint.origin
        facts = [("size", opened.checkpoint.size, opened.checkpoint.root) for opened in (one.opened, one.before) if opened is not None]
        for kind, number, value in [*facts, ("index", one.entry.index, one.entry.leaf)]:
            if seen.setdefault((origin, kind, number), value) != value:
                raise VerificationError(VerificationReason.CHECKPOINT, f"log {origin} shows two histories ({kind} {number})")
