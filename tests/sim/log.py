"""A log in memory for tests of the attester: same answers as the sequencer's client, with switches for its faults.

Each fault exists as "failed" (nothing was logged) and as "failed but persisted" (it was logged, the answer is lost).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ed25519

from reprove.core import merkle, notes
from reprove.core.checkpoints import Checkpoint
from reprove.core.cosignatures import cosign
from reprove.core.digests import AttestationId
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.leaf import encode_leaf
from reprove.core.notes import VKey
from reprove.signers import FileSigner
from service.log.client import Added, AddedEntry

ORIGIN = "log.reprove.invalid"


@dataclass
class MemoryLog:
    """Set ``away`` for a sequencer that is down, ``lose_answer`` for one that logs and then dies, ``lie`` to alter its answers."""

    key: PublicKey
    signer: FileSigner = field(default_factory=lambda: FileSigner(ed25519.Ed25519PrivateKey.generate()))
    witness: FileSigner = field(default_factory=lambda: FileSigner(ed25519.Ed25519PrivateKey.generate()))
    leaves: list[bytes] = field(default_factory=list)
    ids: list[AttestationId] = field(default_factory=list)
    clock: int = field(default_factory=lambda: int(time.time()))
    away: bool = False
    lose_answer: int = 0
    cosigned: bool = True
    lie: str = ""
    calls: int = 0
    batches: list[int] = field(default_factory=list)

    @property
    def vkey(self) -> VKey:
        return VKey(ORIGIN, notes.ED25519, self.signer.public_key)

    @property
    def witness_vkey(self) -> VKey:
        return VKey("witness.reprove.invalid", notes.COSIGNATURE, self.witness.public_key)

    def add(self, envelopes: Sequence[Envelope]) -> Added:
        self.calls += 1
        if self.away:
            raise ProblemError(Slug.UNAVAILABLE, "the sequencer does not answer")
        for envelope in envelopes:
            if not envelope.signed_by([self.key]):
                raise ProblemError(Slug.FORBIDDEN, "not by this log's attester")
        before = self.note(len(self.leaves)) if self.leaves else None
        fresh = {envelope.id for envelope in envelopes} - set(self.ids)
        for envelope in envelopes:
            if envelope.id not in self.ids:
                self.ids.append(envelope.id)
                self.leaves.append(encode_leaf(envelope, self.key))
        self.clock += 1
        self.batches.append(len(fresh))
        if self.lose_answer:
            self.lose_answer -= 1
            raise ProblemError(Slug.UNAVAILABLE, "the answer was lost")
        entries = tuple(self.entry(self.ids.index(envelope.id), duplicate=envelope.id not in fresh) for envelope in envelopes)
        return Added(entries, self.note(len(self.leaves)), before)

    def entry(self, index: int, *, duplicate: bool = False) -> AddedEntry:
        proof = merkle.inclusion_path(self._node, index, len(self.leaves))
        if self.lie == "proof":
            proof = (*proof[:-1], bytes(32)) if proof else (bytes(32),)
        return AddedEntry(self.ids[index], index + (self.lie == "index"), self.leaves[index], proof, duplicate)

    def note(self, size: int) -> str:
        root = merkle.root_of(self._node, size)
        text = Checkpoint(ORIGIN, size, root).text
        lines = [notes.sign_note(text, ORIGIN, self.signer)]
        if self.cosigned:
            lines.append(cosign(text, "witness.reprove.invalid", self.witness, self.clock))
        return notes.format_note(text, lines)

    def _node(self, level: int, index: int) -> bytes:
        if level == 0:
            return merkle.leaf_hash(self.leaves[index])
        return merkle.node_hash(self._node(level - 1, 2 * index), self._node(level - 1, 2 * index + 1))
