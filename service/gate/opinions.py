"""The comparisons that a decision rests on, each verified again: signature, operator, leaf, inclusion, checkpoint, witnesses.

SQL finds rows and is believed in nothing else. A row that does not verify stops the decision: to leave it out could hide a dissent (G6).
What was verified once is remembered by the digest of all its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection, RowMapping, select

from reprove.core import dsse, merkle
from reprove.core.checkpoints import VerifiedCheckpoint
from reprove.core.digests import Sha256
from reprove.core.errors import OwnError, ProblemError, VerificationError
from reprove.core.leaf import encode_leaf
from reprove.core.policy import Opinion
from reprove.core.statements import comparison as comparisons
from reprove.core.statements.common import PredicateType, decode
from reprove.core.trust import TrustFile
from service.records.schema import entry, statement

REMEMBERED = 20_000
_CHUNK = 500


class EvidenceError(OwnError):
    """A recorded statement does not verify: an incident, and no decision is possible over it."""


class CheckpointKeys(Protocol):
    """The log's and the witnesses' keys that are believed, with the quorum."""

    def open(self, note: str) -> VerifiedCheckpoint:
        """Verify a checkpoint with its cosignatures; raises VerificationError."""


class Opinions:
    """Finds and verifies. One per process; not shared between threads."""

    def __init__(self, trust: TrustFile, keys: CheckpointKeys) -> None:
        self._trust = trust
        self._keys = keys
        self._verified: OrderedDict[bytes, Opinion | None] = OrderedDict()
        self._notes: OrderedDict[str, VerifiedCheckpoint] = OrderedDict()

    def about(self, conn: Connection, sha256s: Iterable[Sha256], *, size: int) -> list[Opinion]:
        """Every comparison in the tree of ``size`` about these artifacts, and about other bytes of the same names (for purl conflicts).

        Raises EvidenceError when one of them does not verify.
        """
        found = self._load(conn, "subject_sha256", sorted(set(sha256s)), size)
        names = sorted({opinion.comparison.original.purl for opinion in found})
        known = {opinion.id for opinion in found}
        return found + [opinion for opinion in self._load(conn, "purl", names, size) if opinion.id not in known]

    def named(self, conn: Connection, purls: Iterable[str], *, size: int) -> list[Opinion]:
        """Every comparison in the tree of ``size`` under these names (canonical purls with their file)."""
        return self._load(conn, "purl", sorted(set(purls)), size)

    def _load(self, conn: Connection, column: str, values: Sequence[str], size: int) -> list[Opinion]:
        opinions: list[Opinion] = []
        for start in range(0, len(values), _CHUNK):
            query = (
                select(statement.c.id, statement.c.envelope, entry.c.log_index, entry.c.leaf, entry.c.proof, entry.c.checkpoint, entry.c.before)
                .join(entry, entry.c.statement_id == statement.c.id)
                .where(statement.c[column].in_(values[start : start + _CHUNK]), statement.c.predicate_type == PredicateType.COMPARISON.value)
                .where(entry.c.log_index < size)
            )
            opinions.extend(found for row in conn.execute(query).mappings() if (found := self._opinion(row)) is not None)
        return opinions

    def _opinion(self, row: RowMapping) -> Opinion | None:
        key = _fingerprint(row)
        if key in self._verified:
            self._verified.move_to_end(key)
            return self._verified[key]
        try:
            opinion = self._verify(row)
        except (ProblemError, VerificationError, binascii.Error, ValueError, TypeError) as error:
            raise EvidenceError(f"attestation {row['id']} at log index {row['log_index']} does not verify: {error}") from error
        self._verified[key] = opinion
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return opinion

    def _verify(self, row: RowMapping) -> Opinion | None:
        """Verify one row; None when it rests on a worker's key that did not count at the time: neither support nor dissent."""
        envelope = dsse.decode(row["envelope"])
        known = [trusted.key for operator in self._trust.operators for trusted in operator.attesters]
        signers = envelope.signed_by(known)
        found = self._trust.attester(signers[0]) if signers else None
        if found is None or envelope.id != row["id"]:
            raise EvidenceError(f"attestation {row['id']} is not signed by an attester that this instance trusts")
        operator, trusted = found
        covering = self._open(row["checkpoint"])
        leaf = encode_leaf(envelope, trusted.key)
        if leaf != row["leaf"]:
            raise EvidenceError(f"attestation {row['id']} has another leaf than its envelope")
        proof = [base64.b64decode(node, validate=True) for node in row["proof"]]
        merkle.verify_inclusion(merkle.leaf_hash(leaf), row["log_index"], covering.checkpoint.size, proof, covering.checkpoint.root)
        not_after = max((time for _, time in covering.cosigned), default=None)
        refused = trusted.refuses(not_after)
        comparison = comparisons.read(decode(envelope.payload))
        if refused is not None or comparison.operator != operator.name:
            raise EvidenceError(f"attestation {row['id']}: {refused or f'speaks for {comparison.operator}, its key for {operator.name}'}")
        worker = next((each for each in operator.workers if comparison.worker and each.key.fingerprint == comparison.worker.sha256), None)
        if worker is not None and worker.refuses(not_after) is not None:
            return None
        return Opinion(
            id=envelope.id,
            comparison=comparison,
            operator=operator.name,
            attester=trusted.key.fingerprint,
            log_index=row["log_index"],
            not_before=self._not_before(row["before"], row["log_index"]),
            not_after=_moment(not_after),
        )

    def _not_before(self, note: str | None, index: int) -> datetime | None:
        """The earliest cosignature of a checkpoint that does not cover the entry: the earlier bound of its time."""
        if note is None:
            return None
        opened = self._open(note)
        if opened.checkpoint.size > index:
            raise EvidenceError(f"the checkpoint before index {index} already covers it")
        return _moment(min((time for _, time in opened.cosigned), default=None))

    def _open(self, note: str) -> VerifiedCheckpoint:
        if note not in self._notes:
            self._notes[note] = self._keys.open(note)
            if len(self._notes) > REMEMBERED:
                self._notes.popitem(last=False)
        return self._notes[note]


def _fingerprint(row: RowMapping) -> bytes:
    """A digest of everything that verification reads, with lengths, so that no two rows share it."""
    hasher = hashlib.sha256()
    parts = (row["id"], row["envelope"], row["log_index"], row["leaf"], row["proof"], row["checkpoint"], row["before"])
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.digest()


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
