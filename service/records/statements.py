"""What the attester signed, and where it stands in the log. Nothing here is ever changed or removed.

Attester: ``insert`` both statements of a rebuild in one transaction (envelopes durable before they are submitted), submit, then in one transaction
``record_entry`` for each and ``rebuilds.move(…, DONE)``. After a restart ``unrecorded`` lists what has to be submitted again.
API: ``get``, ``envelope``, ``search``, ``by_log_range``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam, func, or_, select

from reprove.core.digests import AttestationId
from reprove.core.errors import OwnError
from service.records.schema import entry, statement, statement_input


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A statement's place in the log: ``proof`` leads into the tree of ``checkpoint``, a signed note with cosignatures."""

    statement_id: AttestationId
    log_index: int
    leaf: bytes
    proof: tuple[str, ...]
    checkpoint: str
    before: str | None
    not_before: datetime | None
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One envelope with the columns by which it is found; ``log_index`` and ``time`` (the entry's) are None until it is recorded."""

    id: AttestationId
    rebuild_id: str | None
    decision_id: str | None
    predicate_type: str
    envelope: bytes
    subject_name: str | None
    subject_sha256: str | None
    rebuilt_sha256: str | None
    purl: str | None
    outcome: str | None
    level: str | None
    origin: str | None
    operator: str | None
    worker: str | None
    environment: str | None
    source: str | None
    visibility: str
    created: datetime
    log_index: int | None
    not_before: datetime | None
    not_after: datetime | None


_NAMES = tuple(field.name for field in fields(StatementRow))
_JOINED = select(statement, entry.c.log_index, entry.c.not_before, entry.c.not_after).outerjoin(entry, entry.c.statement_id == statement.c.id)
_GET = _JOINED.where(statement.c.id == bindparam("id"))
_ENTRY = select(entry).where(entry.c.statement_id == bindparam("id"))


def insert(
    conn: Connection,
    id: AttestationId,  # noqa: A002  # the column's name
    envelope: bytes,
    predicate_type: str,
    *,
    rebuild_id: str | None = None,
    decision_id: str | None = None,
    inputs: Iterable[str] = (),
    visibility: str = "public",
    created: datetime,
    **columns: str | None,
) -> AttestationId:
    """Keep an envelope (its JCS bytes). Unique per rebuild (or decision) and predicate type: the one kept first wins.

    Returns the id that is kept: another one than ``id`` means that an earlier run of the attester persisted its own, which is the one to submit.
    ``columns`` are the search columns of the table ``statement``; ``inputs`` the digests of ``statement_input``.
    """
    holder = statement.c.rebuild_id == rebuild_id if rebuild_id is not None else statement.c.decision_id == decision_id
    kept = conn.execute(select(statement.c.id).where(holder, statement.c.predicate_type == predicate_type)).scalar()
    if kept is not None:
        return AttestationId(kept)
    conn.execute(
        statement.insert().values(
            id=id,
            envelope=envelope,
            predicate_type=predicate_type,
            rebuild_id=rebuild_id,
            decision_id=decision_id,
            visibility=visibility,
            created=created,
            **columns,
        )
    )
    rows = [{"statement_id": id, "sha256": digest} for digest in sorted(set(inputs))]
    if rows:
        conn.execute(statement_input.insert(), rows)
    return id


def record_entry(
    conn: Connection,
    statement_id: str,
    *,
    log_index: int,
    leaf: bytes,
    proof: Sequence[str],
    checkpoint: str,
    before: str | None,
    not_before: datetime | None,
    not_after: datetime | None,
    now: datetime,
) -> None:
    """Record where a statement stands. Recording the same place again does nothing; another place raises OwnError: an entry never moves."""
    there = conn.execute(select(entry.c.log_index).where(entry.c.statement_id == statement_id)).scalar()
    if there is not None:
        if there != log_index:
            raise OwnError(f"attestation {statement_id} stands at index {there}, the log now says {log_index}: stop and check the log")
        return
    conn.execute(
        entry.insert().values(
            statement_id=statement_id,
            log_index=log_index,
            leaf=leaf,
            proof=list(proof),
            checkpoint=checkpoint,
            before=before,
            not_before=not_before,
            not_after=not_after,
            recorded=now,
        )
    )


def get(conn: Connection, id: str) -> StatementRow | None:  # noqa: A002  # the column's name
    """Read one statement, recorded or not."""
    row = conn.execute(_GET, {"id": id}).mappings().first()
    return None if row is None else _read(row)


def entry_of(conn: Connection, statement_id: str) -> EntryRow | None:
    """Read a statement's entry."""
    row = conn.execute(_ENTRY, {"id": statement_id}).mappings().first()
    if row is None:
        return None
    return EntryRow(
        AttestationId(row["statement_id"]),
        row["log_index"],
        row["leaf"],
        tuple(row["proof"]),
        row["checkpoint"],
        row["before"],
        row["not_before"],
        row["not_after"],
    )


def of_rebuild(conn: Connection, rebuild_id: str) -> list[StatementRow]:
    """The statements of a rebuild, in log order, persisted but not recorded ones last."""
    order = (entry.c.log_index.is_(None), entry.c.log_index, statement.c.created, statement.c.id)
    query = _JOINED.where(statement.c.rebuild_id == rebuild_id).order_by(*order)
    return [_read(row) for row in conn.execute(query).mappings()]


def of_decision(conn: Connection, decision_id: str) -> list[StatementRow]:
    """The statements of a decision (one, or none)."""
    return [_read(row) for row in conn.execute(_JOINED.where(statement.c.decision_id == decision_id)).mappings()]


def unrecorded(conn: Connection, limit: int = 256) -> list[StatementRow]:
    """Envelopes that are persisted and have no entry: to be submitted again, with the same bytes."""
    query = _JOINED.where(entry.c.log_index.is_(None)).order_by(statement.c.created, statement.c.id).limit(limit)
    return [_read(row) for row in conn.execute(query).mappings()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The filters of ``GET /v1/attestations``; all that are given must hold. ``digest`` finds a subject, and what a comparison says was rebuilt."""

    digest: str | None = None
    purl: str | None = None
    purl_prefix: str | None = None
    outcome: str | None = None
    level: str | None = None
    operator: str | None = None
    worker: str | None = None
    input: str | None = None
    environment: str | None = None
    source: str | None = None
    predicate_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    private: bool = False


def search(conn: Connection, wanted: Search, *, after: int | None = None, below: int | None = None, limit: int = 100) -> list[StatementRow]:
    """Recorded statements, newest first. ``below`` is the cursor (a log index); ``after`` bounds from below (exclusive)."""
    query = _filtered(select(statement, entry.c.log_index, entry.c.not_before, entry.c.not_after).join(entry), wanted)
    if below is not None:
        query = query.where(entry.c.log_index < below)
    if after is not None:
        query = query.where(entry.c.log_index > after)
    return [_read(row) for row in conn.execute(query.order_by(entry.c.log_index.desc()).limit(limit)).mappings()]


def about(conn: Connection, sha256s: Sequence[str]) -> list[StatementRow]:
    """Every recorded statement with one of these subjects, in log order: what a decision looks at."""
    found: list[StatementRow] = []
    for start in range(0, len(sha256s), 500):
        query = select(statement, entry.c.log_index, entry.c.not_before, entry.c.not_after).join(entry)
        query = query.where(statement.c.subject_sha256.in_(sha256s[start : start + 500]))
        found += [_read(row) for row in conn.execute(query).mappings()]
    return sorted(found, key=lambda row: row.log_index or 0)


def by_log_range(conn: Connection, first: int, width: int) -> list[StatementRow]:
    """Statements at log indexes ``first`` to ``first + width - 1`` that are recorded, in order: an envelope bundle."""
    query = select(statement, entry.c.log_index, entry.c.not_before, entry.c.not_after).join(entry)
    query = query.where(entry.c.log_index >= first, entry.c.log_index < first + width).order_by(entry.c.log_index)
    return [_read(row) for row in conn.execute(query).mappings()]


def complete_to(conn: Connection) -> int:
    """The tree size up to which every entry is recorded here."""
    top, count = conn.execute(select(func.max(entry.c.log_index), func.count())).one()
    if top is None or top + 1 == count:
        return int(count)
    # a gap: an entry that the log has and records do not yet; complete is what lies below the first missing index
    after = entry.alias()
    gap = select(func.min(entry.c.log_index + 1)).where(~select(after.c.log_index).where(after.c.log_index == entry.c.log_index + 1).exists())
    has_zero = conn.execute(select(entry.c.log_index).where(entry.c.log_index == 0)).first() is not None
    return int(conn.execute(gap).scalar_one()) if has_zero else 0


def _filtered(query: Select[Any], wanted: Search) -> Select[Any]:
    terms: list[ColumnElement[bool]] = []
    if wanted.digest is not None:
        terms.append(or_(statement.c.subject_sha256 == wanted.digest, statement.c.rebuilt_sha256 == wanted.digest))
    for name in ("purl", "outcome", "level", "operator", "worker", "environment", "source", "predicate_type"):
        value = getattr(wanted, name)
        if value is not None:
            terms.append(statement.c[name] == value)
    if wanted.purl_prefix is not None:
        terms.append((statement.c.purl >= wanted.purl_prefix) & (statement.c.purl < wanted.purl_prefix + "\U0010ffff"))
    if wanted.input is not None:
        terms.append(statement.c.id.in_(select(statement_input.c.statement_id).where(statement_input.c.sha256 == wanted.input)))
    if wanted.since is not None:
        terms.append(entry.c.not_after >= wanted.since)
    if wanted.until is not None:
        terms.append(entry.c.not_after <= wanted.until)
    if not wanted.private:
        terms.append(statement.c.visibility == "public")
    return query.where(*terms)


def _read(row: RowMapping) -> StatementRow:
    return StatementRow(**{name: row[name] for name in _NAMES})
