"""The tables (DESIGN section 2). One file, so that what refers to what can be seen; ``migrations/`` must end at the same place (a test).

Ids and digests are TEXT. ``meta`` holds ``instance`` and ``schema``. Signed bytes are BLOBs, kept exactly as they came. Columns that repeat what
is inside an envelope exist for search only: whoever decides anything reads the envelope (DESIGN section 5.11).
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from service.records.types import Instant, Json

SCHEMA_VERSION = 1
"""Grows with every migration; a database with a greater one is refused."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: Column[object] | Index | PrimaryKeyConstraint | UniqueConstraint, rowid: bool = True) -> Table:
    return Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=rowid)


def _fk(target: str) -> ForeignKey:
    return ForeignKey(target)


meta = _table("meta", Column("key", Text, primary_key=True), Column("value", Text, nullable=False), rowid=False)

principal = _table(
    "principal",
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created", Instant, nullable=False),
    UniqueConstraint("issuer", "subject"),
)

token = _table(
    "token",
    Column("id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("principal_id", Text, _fk("principal.id"), nullable=False),
    Column("roles", Json, nullable=False),
    Column("purl_prefixes", Json, nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("revoked", Instant),
)

audit = _table(
    "audit",
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("principal_id", Text, _fk("principal.id"), nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Json),
    Index("ix_audit_target", "target"),
)

write_limit = _table(
    "write_limit",
    Column("principal_id", Text, nullable=False),
    Column("minute", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    PrimaryKeyConstraint("principal_id", "minute"),
    rowid=False,
)

rebuild = _table(
    "rebuild",
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),  # the canonical request's JCS text
    Column("request_sha256", Text, nullable=False),  # its digest: the natural key
    Column("purl", Text),
    Column("state", Text, nullable=False),
    Column("phase", Text),
    Column("waiting", Json),  # {reason, detail}
    Column("settled_by", Text),  # report | resolution | infrastructure, from `attesting` on
    Column("outcome", Text),
    Column("level", Text),
    Column("cause_class", Text),
    Column("cause_detail", Text),
    Column("findings", Json),
    Column("original_sha256", Text),
    Column("original_file", Text),
    Column("original_purl", Text),  # with its file name, as resolved
    Column("original_size", Integer),
    Column("rebuilt_sha256", Text),
    Column("rebuilt_size", Integer),
    Column("recipe_digest", Text),
    Column("recipe_origin", Text),
    Column("environment_digest", Text),
    Column("inputs", Json),  # [{sha256, uri}]
    Column("differences", Json),
    Column("causes", Json),
    Column("resolution_id", Text),
    Column("report_id", Text),
    Column("visibility", Text, nullable=False),
    Column("arch", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("created", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("finished", Instant),
    Index("ix_rebuild_natural", "request_sha256", "created"),
    Index("ix_rebuild_state", "state", "id"),
    Index("ix_rebuild_original", "original_sha256"),
    Index("ix_rebuild_purl", "purl"),
)

request = _table(
    "request",
    Column("id", Text, primary_key=True),
    Column("principal_id", Text, _fk("principal.id"), nullable=False),
    Column("rebuild_id", Text, _fk("rebuild.id"), nullable=False),
    Column("body", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("created", Instant, nullable=False),
    Column("cancelled", Instant),
    Index("ix_request_rebuild", "rebuild_id"),
)

idempotency = _table(
    "idempotency",
    Column("principal_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("request_id", Text, _fk("request.id"), nullable=False),
    Column("created", Instant, nullable=False),
    PrimaryKeyConstraint("principal_id", "key"),
    rowid=False,
)

attempt = _table(
    "attempt",
    Column("id", Text, primary_key=True),
    Column("rebuild_id", Text, _fk("rebuild.id"), nullable=False),
    Column("kind", Text, nullable=False),  # resolve | rebuild
    Column("n", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("lease_sha256", Text, unique=True),  # SHA-256 of the lease token, which only the worker has
    Column("worker_sha256", Text),  # SHA-256 of the SPKI that will have to sign the report
    Column("principal_id", Text, _fk("principal.id")),
    Column("bytes_written", Integer, nullable=False),  # blobs put under this lease, for its quota
    Column("created", Instant, nullable=False),
    Column("dispatched", Instant),
    Column("claimed", Instant),
    Column("expires", Instant),
    Column("ended", Instant),
    UniqueConstraint("rebuild_id", "kind", "n"),
    Index("ix_attempt_state", "state", "expires"),
)

event = _table(
    "event",
    Column("rebuild_id", Text, _fk("rebuild.id"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("attempt_id", Text),
    Column("at", Instant, nullable=False),
    Column("body", Json, nullable=False),  # {phase, status, detail, seconds, candidate?}
    PrimaryKeyConstraint("rebuild_id", "n"),
    rowid=False,
)

candidate = _table(
    "candidate",
    Column("attempt_id", Text, _fk("attempt.id"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("recipe_digest", Text),
    Column("outcome", Text),
    Column("cause_class", Text),
    Column("cause_detail", Text),
    Column("needs", Json),
    PrimaryKeyConstraint("attempt_id", "n"),
    rowid=False,
)

report = _table(
    "report",
    Column("id", Text, primary_key=True),  # SHA-256 of the PAE
    Column("kind", Text, nullable=False),  # resolution | report
    Column("rebuild_id", Text, _fk("rebuild.id"), nullable=False),
    Column("attempt_id", Text, _fk("attempt.id"), nullable=False, unique=True),
    Column("envelope", LargeBinary, nullable=False),
    Column("worker_sha256", Text, nullable=False),
    Column("lease_sha256", Text, nullable=False),
    Column("created", Instant, nullable=False),
    Index("ix_report_rebuild", "rebuild_id"),
)

decision = _table(
    "decision",
    Column("id", Text, primary_key=True),
    Column("principal_id", Text, _fk("principal.id"), nullable=False),
    Column("state", Text, nullable=False),  # asked | signing | done | failed
    Column("policy", Text, nullable=False),
    Column("question", Json, nullable=False),  # {artifacts: [...], release?}, the purls expanded
    Column("now", Instant, nullable=False),
    Column("checkpoint", Text),  # the signed note current when it was asked
    Column("verdict", Text),
    Column("result", Json),  # the body of INTERFACE section 5, for pages; the envelope is what counts
    Column("problem", Json),
    Column("created", Instant, nullable=False),
    Column("finished", Instant),
    Index("ix_decision_state", "state", "id"),
)

decision_artifact = _table(
    "decision_artifact",
    Column("decision_id", Text, _fk("decision.id"), nullable=False),
    Column("sha256", Text, nullable=False),
    PrimaryKeyConstraint("decision_id", "sha256"),
    Index("ix_decision_artifact_sha256", "sha256"),
    rowid=False,
)

statement = _table(
    "statement",
    Column("id", Text, primary_key=True),  # SHA-256 of the PAE: the attestation's id
    Column("rebuild_id", Text, _fk("rebuild.id")),
    Column("decision_id", Text, _fk("decision.id")),
    Column("predicate_type", Text, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("subject_name", Text),
    Column("subject_sha256", Text),
    Column("rebuilt_sha256", Text),
    Column("purl", Text),
    Column("outcome", Text),
    Column("level", Text),
    Column("origin", Text),
    Column("operator", Text),
    Column("worker", Text),
    Column("environment", Text),
    Column("source", Text),
    Column("visibility", Text, nullable=False),
    Column("created", Instant, nullable=False),
    UniqueConstraint("rebuild_id", "predicate_type"),
    UniqueConstraint("decision_id", "predicate_type"),
    Index("ix_statement_subject", "subject_sha256", "predicate_type"),
    Index("ix_statement_rebuilt", "rebuilt_sha256"),
    Index("ix_statement_purl", "purl"),
    Index("ix_statement_outcome", "outcome"),
)

statement_input = _table(
    "statement_input",
    Column("sha256", Text, nullable=False),
    Column("statement_id", Text, _fk("statement.id"), nullable=False),
    PrimaryKeyConstraint("sha256", "statement_id"),
    rowid=False,
)

entry = _table(
    "entry",
    Column("statement_id", Text, _fk("statement.id"), primary_key=True),
    Column("log_index", Integer, nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("proof", Json, nullable=False),  # base64 node hashes, into the tree of `checkpoint`
    Column("checkpoint", Text, nullable=False),  # signed note with cosignatures that covers it
    Column("before", Text),  # last cosigned note that does not
    Column("not_before", Instant),
    Column("not_after", Instant),
    Column("recorded", Instant, nullable=False),
)

outbox = _table(
    "outbox",
    Column("id", Integer, primary_key=True),
    Column("attempt_id", Text, _fk("attempt.id"), nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("function", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("due", Instant, nullable=False),  # not to be rung before
    Column("tries", Integer, nullable=False),
    Column("dispatched", Instant),  # when the bell was rung; null: not yet, or to be rung again
    Index("ix_outbox_pick", "dispatched", "priority", "id"),
)

blob = _table(
    "blob",
    Column("sha256", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("created", Instant, nullable=False),
    rowid=False,
)

blob_ref = _table(
    "blob_ref",
    Column("sha256", Text, nullable=False),
    Column("holder", Text, nullable=False),  # id of an attempt, a request, a rebuild or a statement
    PrimaryKeyConstraint("sha256", "holder"),
    Index("ix_blob_ref_holder", "holder"),
    rowid=False,
)

lease = _table(
    "lease",
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires", Instant, nullable=False),
    rowid=False,
)

listing = _table(
    "listing",
    Column("rebuild_id", Text, _fk("rebuild.id"), nullable=False),
    Column("purl", Text, nullable=False),  # without file_name
    Column("name", Text, nullable=False),
    Column("sha256", Text),  # null where the index gives none
    Column("recorded", Instant, nullable=False),
    PrimaryKeyConstraint("rebuild_id", "name"),
    Index("ix_listing_purl", "purl", "recorded"),
    rowid=False,
)
