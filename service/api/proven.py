"""What may be shown: statements whose signature and place in the log hold, checked here and not believed of a row (guarantee G3).

A row of ``statement`` or ``entry`` is a claim of the database. Before anything of it is shown, this process checks the envelope's id and its
signature by a published attester key, that the leaf binds the envelope, and that the leaf is under a checkpoint that the log's key signed.
What held once is remembered by the digest of all its bytes, so that a row that changes is checked again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from sqlalchemy import Connection, select

from reprove.core import dsse, leaf, merkle
from reprove.core.canonical import parse
from reprove.core.checkpoints import open_checkpoint
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from reprove.core.evidence import LoggedEnvelope
from reprove.core.statements.common import MAX_PAYLOAD_BYTES
from reprove.core.trust import TrustFile
from service.records import times
from service.records.schema import entry
from service.records.statements import StatementRow

REMEMBERED = 65_536
"""Most proofs remembered; 100 bytes each."""
_log = structlog.get_logger()


@dataclass(frozen=True)
class Proven:
    """A statement that holds: ``logged`` is its envelope with the proof, ``row`` says only what the envelope cannot (when, whose)."""

    row: StatementRow
    logged: LoggedEnvelope

    @cached_property
    def statement(self) -> dict[str, Any]:
        """The signed statement."""
        value = parse(self.logged.envelope.payload, max_bytes=MAX_PAYLOAD_BYTES, what="a statement")
        return value if isinstance(value, dict) else {}

    @property
    def predicate(self) -> dict[str, Any]:
        """The statement's predicate."""
        value = self.statement.get("predicate")
        return value if isinstance(value, dict) else {}

    @property
    def predicate_type(self) -> str:
        """The statement's predicate type."""
        return str(self.statement.get("predicateType"))

    def item(self) -> dict[str, Any]:
        """The statement as an item of a list (INTERFACE section 5); everything but the time is out of the signed bytes."""
        body, predicate = self.statement, self.predicate
        subjects = body.get("subject") or [{}]
        item: dict[str, Any] = {"id": self.row.id, "logIndex": self.logged.index, "predicateType": self.predicate_type}
        item["operator"] = predicate.get("operator") or predicate.get("runDetails", {}).get("builder", {}).get("id", "")
        original = predicate.get("original", {})
        external = predicate.get("buildDefinition", {}).get("externalParameters", {})
        purl = original.get("purl") or external.get("purl")
        item["subject"] = {"name": subjects[0].get("name", ""), "sha256": subjects[0].get("digest", {}).get("sha256", "")}
        origin = predicate.get("recipe", {}).get("origin")
        moment = self.row.not_after
        optional = {"purl": purl, "outcome": predicate.get("outcome"), "level": predicate.get("level"), "passes": predicate.get("passes")}
        optional["origin"] = origin
        optional["time"] = times.rfc3339(moment) if moment is not None else None
        return item | {key: value for key, value in optional.items() if value is not None}


class Prover:
    """Checks rows against the instance's published keys. Thread-safe: ``_known`` is guarded by ``_lock``."""

    def __init__(self, read_trust: Callable[[], TrustFile]) -> None:
        self._read_trust = read_trust
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def prove(self, conn: Connection, rows: Iterable[StatementRow]) -> list[Proven]:
        """Keep the rows that hold, in order. One that claims an entry and does not hold is left out and logged as an incident."""
        candidates = [row for row in rows if row.log_index is not None]
        entries = _entries(conn, [row.id for row in candidates])
        return [proven for row in candidates if (proven := self._one(row, entries.get(row.id))) is not None]

    def _one(self, row: StatementRow, there: Any) -> Proven | None:  # noqa: ANN401  # a row of ``entry``
        try:
            if there is None:
                raise VerificationError(VerificationReason.INCLUSION, "it has no entry")
            logged = _logged(row, there)
            self._check(row, logged)
        except (VerificationError, ProblemError, binascii.Error, ValueError) as error:
            _log.error("statement_not_proven", attestation=row.id, log_index=row.log_index, why=str(error))
            return None
        return Proven(row, logged)

    def _check(self, row: StatementRow, logged: LoggedEnvelope) -> None:
        key = _digest(row.id, logged)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return
        trust = self._read_trust()
        self._verify(row, logged, trust)
        with self._lock:
            self._known[key] = None
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    @staticmethod
    def _verify(row: StatementRow, logged: LoggedEnvelope, trust: TrustFile) -> None:
        envelope, body = logged.envelope, leaf.parse_leaf(logged.leaf)
        if envelope.id != row.id or not body.binds(envelope):
            raise VerificationError(VerificationReason.SIGNATURE, "its id, envelope and leaf are not of one statement")
        if trust.attester(body.key) is None or not envelope.signed_by((body.key,)):
            raise VerificationError(VerificationReason.SIGNATURE, "no attester of this instance signed it")
        checkpoint = None
        for log in trust.logs:
            try:
                checkpoint = open_checkpoint(logged.checkpoint, log.vkey).checkpoint
            except VerificationError:
                continue
            break
        if checkpoint is None:
            raise VerificationError(VerificationReason.CHECKPOINT, "its checkpoint is not this instance's")
        merkle.verify_inclusion(merkle.leaf_hash(logged.leaf), logged.index, checkpoint.size, logged.proof, checkpoint.root)


def _entries(conn: Connection, identifiers: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(identifiers), 500):
        query = select(entry).where(entry.c.statement_id.in_(identifiers[start : start + 500]))
        found |= {row.statement_id: row for row in conn.execute(query)}
    return found


def _logged(row: StatementRow, there: Any) -> LoggedEnvelope:  # noqa: ANN401  # a row of ``entry``
    envelope: Envelope = dsse.decode(row.envelope)
    proof = tuple(base64.b64decode(one, validate=True) for one in there.proof)
    return LoggedEnvelope(envelope, there.leaf, there.log_index, proof, there.checkpoint, there.before)


def _digest(identifier: str, logged: LoggedEnvelope) -> bytes:
    """The digest of every byte that the check looks at, each with its length."""
    hasher = hashlib.sha256(identifier.encode())
    envelope = logged.envelope
    parts = (envelope.payload, *envelope.signatures, logged.leaf, b"%d" % logged.index, *logged.proof, logged.checkpoint.encode())
    for part in (b"%d" % len(envelope.signatures), b"%d" % len(logged.proof), *parts):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()
