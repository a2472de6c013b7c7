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
from reprove.core.digests import Sha256
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


class Prover:
    """Checks entries under every key that the reader or the hints name. Each checkpoint is checked once, however many entries stand under it."""

    def __init__(self, trust: TrustFile | None, hints: TrustFile) -> None:
        files = [one for one in (trust, hints) if one is not None]
        self._logs = {(log.origin, log.vkey.key_hash): log.vkey for file in files for log in file.logs}
        self._witnesses = {(vkey.name, vkey.key_hash): vkey for file in files for vkey in file.witnesses}
        self._opened: dict[str, Opened] = {}
        enrolled = (one.key for file in files for operator in file.operators for one in (*operator.workers, *operator.resolvers))
        self.enrolled: dict[Sha256, PublicKey] = {key.fingerprint: key for key in enrolled}

    def prove(self, entry: LoggedEnvelope) -> Proved:
        """Check one entry. Raises VerificationError ``malformed``, ``signature``, ``inclusion`` or ``checkpoint``."""
        try:
            body = leaf.parse_leaf(entry.leaf)
        except ProblemError as error:
            raise malformed(error.problem.detail) from None
        if not entry.envelope.signed_by((body.key,)):
            raise VerificationError(VerificationReason.SIGNATURE, f"the signature of entry {entry.index} does not verify")
        if not body.binds(entry.envelope):
            raise VerificationError(VerificationReason.INCLUSION, f"the leaf of entry {entry.index} is of another envelope")
        opened = self._open(entry.checkpoint)
        head = opened.checkpoint
        merkle.verify_inclusion(merkle.leaf_hash(entry.leaf), entry.index, head.size, entry.proof, head.root)
        before = self._open(entry.before) if entry.before is not None else None
        if before is not None and (before.checkpoint.origin != head.origin or before.checkpoint.size > entry.index):
            raise VerificationError(VerificationReason.CHECKPOINT, f"the earlier checkpoint of entry {entry.index} covers it or is of another log")
        return Proved(entry, body.key, opened, before)

    def _open(self, note: str) -> Opened:
        """Verify a checkpoint; refuse lines by keys that nobody names, lines that stand twice, and extension lines."""
        if note in self._opened:
            return self._opened[note]
        try:
            parsed = notes.parse_note(note)
            checkpoint = parse_checkpoint(parsed.text)
        except ProblemError as error:
            raise malformed(error.problem.detail) from None
        names = [(line.name, line.key_hash) for line in parsed.signatures]
        logs = [self._logs[name] for name in names if name[0] == checkpoint.origin and name in self._logs]
        witnesses = [self._witnesses[name] for name in names if name in self._witnesses]
        for name in names:
            if name not in self._witnesses and (name[0] != checkpoint.origin or name not in self._logs):
                raise malformed(f"a checkpoint has a signature line by an unknown key ({name[0]})")
        if checkpoint.extensions or len(set(names)) != len(names):
            raise malformed("a checkpoint has extension lines, or two signature lines by one key")
        times: dict[bytes, int] = {}
        signers = notes.verify(parsed, logs)
        for vkey in witnesses:
            time = cosignature_time(parsed, vkey)
            if time is not None:
                times[vkey.key.spki] = min(time, times.get(vkey.key.spki, time))
        self._opened[note] = Opened(checkpoint, signers, times)
        return self._opened[note]


def one_history(everything: Iterable[Proved]) -> None:
    """Refuse two roots for one size of one log, and two leaves for one index: proof that the log forked."""
    seen: dict[tuple[str, str, int], bytes] = {}
    for one in everything:
        origin = one.opened.checkpoint.origin
        facts = [("size", opened.checkpoint.size, opened.checkpoint.root) for opened in (one.opened, one.before) if opened is not None]
        for kind, number, value in [*facts, ("index", one.entry.index, one.entry.leaf)]:
            if seen.setdefault((origin, kind, number), value) != value:
                raise VerificationError(VerificationReason.CHECKPOINT, f"log {origin} shows two histories ({kind} {number})")
