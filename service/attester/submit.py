"""From persisted envelopes to entries: submit, check the log's answer, record. Every step can be repeated after a crash."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection

from reprove.core import merkle
from reprove.core.checkpoints import VerifiedCheckpoint, open_checkpoint
from reprove.core.digests import AttestationId
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, VerificationError
from reprove.core.keys import PublicKey
from reprove.core.leaf import encode_leaf
from reprove.core.notes import VKey
from reprove.crashpoints import crash_point
from service.log.client import Added, AddedEntry
from service.records import statements

MAX_BATCH = 256


class Log(Protocol):
    """The sequencer as the attester sees it (``service.log.client.LogClient``)."""

    def add(self, envelopes: Sequence[Envelope]) -> Added:
        """Log envelopes contiguously and in order; the same ones again are logged once."""


@dataclass(frozen=True, slots=True)
class LogTrust:
    """The log's and the witnesses' keys that this attester believes, with the quorum: from the instance's trust file, never from an answer."""

    vkey: VKey
    witnesses: tuple[VKey, ...]
    quorum: int

    def open(self, note: str) -> VerifiedCheckpoint:
        """Verify a checkpoint with its cosignatures; raises VerificationError."""
        return open_checkpoint(note, self.vkey, self.witnesses, self.quorum)


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified place in the log, with the witnesses' bounds of its time."""

    id: AttestationId
    index: int
    leaf: bytes
    proof: tuple[str, ...]
    checkpoint: str
    before: str | None
    not_before: datetime | None
    not_after: datetime | None


class Submitter:
    """Submits envelopes and believes only what it has verified."""

    def __init__(self, log: Log, trust: LogTrust, key: PublicKey) -> None:
        self._log = log
        self._trust = trust
        self._key = key

    def submit(self, envelopes: Sequence[Envelope]) -> tuple[Entry, ...]:
        """Log up to 256 envelopes in order and return their verified entries.

        Raises ProblemError when the log refuses or is away (the same again later), OwnError when its answer does not verify: then nothing is
        recorded, and an operator has to look.
        """
        added = self._log.add(envelopes)
        crash_point("submit.answered")
        # A crash here: the entries are in the log for ever, and the next submission of the same bytes is answered with the same places.
        if len(added.entries) != len(envelopes):
            raise OwnError(f"the log answered {len(added.entries)} entries for {len(envelopes)} envelopes")
        try:
            return self._verified(envelopes, added)
        except VerificationError as error:
            raise OwnError(f"the log's answer does not verify: {error.detail}") from error

    def _verified(self, envelopes: Sequence[Envelope], added: Added) -> tuple[Entry, ...]:
        covering = self._trust.open(added.checkpoint)
        entries = []
        for envelope, entry in zip(envelopes, added.entries, strict=True):
            self._check(envelope, entry, covering)
            before, not_before = self._bound(added.before, entry.index)
            proof = tuple(base64.b64encode(node).decode() for node in entry.proof)
            not_after = _moment(max((time for _, time in covering.cosigned), default=None))
            entries.append(Entry(entry.id, entry.index, entry.leaf, proof, added.checkpoint, before, not_before, not_after))
        return tuple(entries)

    def _check(self, envelope: Envelope, entry: AddedEntry, covering: VerifiedCheckpoint) -> None:
        if entry.id != envelope.id or entry.leaf != encode_leaf(envelope, self._key):
            raise OwnError(f"the log answered another leaf than that of {envelope.id}")
        checkpoint = covering.checkpoint
        merkle.verify_inclusion(merkle.leaf_hash(entry.leaf), entry.index, checkpoint.size, entry.proof, checkpoint.root)

    def _bound(self, before: str | None, index: int) -> tuple[str | None, datetime | None]:
        """The earlier bound, if it is one: a cosigned checkpoint that does not cover the entry."""
        if before is None:
            return None, None
        opened = self._trust.open(before)
        if opened.checkpoint.size > index:
            return None, None
        return before, _moment(min((time for _, time in opened.cosigned), default=None))


def record_entry(conn: Connection, entry: Entry, now: datetime) -> None:
    """Write an entry's row inside the caller's transaction; raises OwnError if the statement is recorded at another place."""
    statements.record_entry(
        conn,
        entry.id,
        log_index=entry.index,
        leaf=entry.leaf,
        proof=entry.proof,
        checkpoint=entry.checkpoint,
        before=entry.before,
        not_before=entry.not_before,
        not_after=entry.not_after,
        now=now,
    )


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
