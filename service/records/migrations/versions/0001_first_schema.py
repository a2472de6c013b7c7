"""First schema."""

import sqlalchemy as sa
from alembic import op

import service.records.types

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    tables = (
        *(_blob, _blob_ref, _lease, _meta, _principal, _rebuild, _write_limit, _attempt),
        *(_audit, _decision, _event, _listing, _request, _token, _candidate, _decision_artifact),
        *(_idempotency, _outbox, _report, _statement, _entry, _statement_input),
    )
    for make in tables:
        make()


def _blob() -> None:
    op.create_table(
        "blob",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _blob_ref() -> None:
    op.create_table(
        "blob_ref",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "holder", name=op.f("pk_blob_ref")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_blob_ref_holder", "blob_ref", ["holder"], unique=False)


def _lease() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires", service.records.types.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _principal() -> None:
    op.create_table(
        "principal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_principal_issuer")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )


def _rebuild() -> None:
    op.create_table(
        "rebuild",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("purl", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("waiting", service.records.types.Json(), nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("cause_class", sa.Text(), nullable=True),
        sa.Column("cause_detail", sa.Text(), nullable=True),
        sa.Column("findings", service.records.types.Json(), nullable=True),
        sa.Column("original_sha256", sa.Text(), nullable=True),
        sa.Column("original_file", sa.Text(), nullable=True),
        sa.Column("original_purl", sa.Text(), nullable=True),
        sa.Column("original_size", sa.Integer(), nullable=True),
        sa.Column("rebuilt_sha256", sa.Text(), nullable=True),
        sa.Column("rebuilt_size", sa.Integer(), nullable=True),
        sa.Column("recipe_digest", sa.Text(), nullable=True),
        sa.Column("recipe_origin", sa.Text(), nullable=True),
        sa.Column("environment_digest", sa.Text(), nullable=True),
        sa.Column("inputs", service.records.types.Json(), nullable=True),
        sa.Column("differences", service.records.types.Json(), nullable=True),
        sa.Column("causes", service.records.types.Json(), nullable=True),
        sa.Column("resolution_id", sa.Text(), nullable=True),
        sa.Column("report_id", sa.Text(), nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("arch", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.Column("updated", service.records.types.Instant(), nullable=False),
        sa.Column("finished", service.records.types.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rebuild")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_rebuild_natural", "rebuild", ["request_sha256", "created"], unique=False)
    op.create_index("ix_rebuild_original", "rebuild", ["original_sha256"], unique=False)
    op.create_index("ix_rebuild_purl", "rebuild", ["purl"], unique=False)
    op.create_index("ix_rebuild_state", "rebuild", ["state", "id"], unique=False)


def _write_limit() -> None:
    op.create_table(
        "write_limit",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "minute", name=op.f("pk_write_limit")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rebuild_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lease_sha256", sa.Text(), nullable=True),
        sa.Column("worker_sha256", sa.Text(), nullable=True),
        sa.Column("principal_id", sa.Text(), nullable=True),
        sa.Column("bytes_written", sa.Integer(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.Column("dispatched", service.records.types.Instant(), nullable=True),
        sa.Column("claimed", service.records.types.Instant(), nullable=True),
        sa.Column("expires", service.records.types.Instant(), nullable=True),
        sa.Column("ended", service.records.types.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_attempt_principal_id")),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_attempt_rebuild_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("lease_sha256", name=op.f("uq_attempt_lease_sha256")),
        sa.UniqueConstraint("rebuild_id", "kind", "n", name=op.f("uq_attempt_rebuild_id")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_attempt_state", "attempt", ["state", "expires"], unique=False)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", service.records.types.Instant(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", service.records.types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_audit_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_audit_target", "audit", ["target"], unique=False)


def _decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("question", service.records.types.Json(), nullable=False),
        sa.Column("now", service.records.types.Instant(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("result", service.records.types.Json(), nullable=True),
        sa.Column("problem", service.records.types.Json(), nullable=True),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.Column("finished", service.records.types.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_decision_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_decision_state", "decision", ["state", "id"], unique=False)


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("rebuild_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("at", service.records.types.Instant(), nullable=False),
        sa.Column("body", service.records.types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_event_rebuild_id")),
        sa.PrimaryKeyConstraint("rebuild_id", "n", name=op.f("pk_event")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _listing() -> None:
    op.create_table(
        "listing",
        sa.Column("rebuild_id", sa.Text(), nullable=False),
        sa.Column("purl", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("recorded", service.records.types.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_listing_rebuild_id")),
        sa.PrimaryKeyConstraint("rebuild_id", "name", name=op.f("pk_listing")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_listing_purl", "listing", ["purl", "recorded"], unique=False)


def _request() -> None:
    op.create_table(
        "request",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("rebuild_id", sa.Text(), nullable=False),
        sa.Column("body", service.records.types.Json(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.Column("cancelled", service.records.types.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_request_principal_id")),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_request_rebuild_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_request_rebuild", "request", ["rebuild_id"], unique=False)


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("roles", service.records.types.Json(), nullable=False),
        sa.Column("purl_prefixes", service.records.types.Json(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.Column("expires", service.records.types.Instant(), nullable=False),
        sa.Column("revoked", service.records.types.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_token_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_token_sha256")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )


def _candidate() -> None:
    op.create_table(
        "candidate",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("recipe_digest", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("cause_class", sa.Text(), nullable=True),
        sa.Column("cause_detail", sa.Text(), nullable=True),
        sa.Column("needs", service.records.types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_candidate_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", "n", name=op.f("pk_candidate")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _decision_artifact() -> None:
    op.create_table(
        "decision_artifact",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_decision_artifact_decision_id")),
        sa.PrimaryKeyConstraint("decision_id", "sha256", name=op.f("pk_decision_artifact")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_decision_artifact_sha256", "decision_artifact", ["sha256"], unique=False)


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_idempotency_request_id")),
        sa.PrimaryKeyConstraint("principal_id", "key", name=op.f("pk_idempotency")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("function", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due", service.records.types.Instant(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("dispatched", service.records.types.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_outbox_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_outbox_attempt_id")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_outbox_pick", "outbox", ["dispatched", "priority", "id"], unique=False)


def _report() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rebuild_id", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("worker_sha256", sa.Text(), nullable=False),
        sa.Column("lease_sha256", sa.Text(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_report_attempt_id")),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_report_rebuild_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_report_attempt_id")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_report_rebuild", "report", ["rebuild_id"], unique=False)


def _statement() -> None:
    op.create_table(
        "statement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rebuild_id", sa.Text(), nullable=True),
        sa.Column("decision_id", sa.Text(), nullable=True),
        sa.Column("predicate_type", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=True),
        sa.Column("subject_sha256", sa.Text(), nullable=True),
        sa.Column("rebuilt_sha256", sa.Text(), nullable=True),
        sa.Column("purl", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("created", service.records.types.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_statement_decision_id")),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuild.id"], name=op.f("fk_statement_rebuild_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
        sa.UniqueConstraint("decision_id", "predicate_type", name=op.f("uq_statement_decision_id")),
        sa.UniqueConstraint("rebuild_id", "predicate_type", name=op.f("uq_statement_rebuild_id")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_statement_outcome", "statement", ["outcome"], unique=False)
    op.create_index("ix_statement_purl", "statement", ["purl"], unique=False)
    op.create_index("ix_statement_rebuilt", "statement", ["rebuilt_sha256"], unique=False)
    op.create_index("ix_statement_subject", "statement", ["subject_sha256", "predicate_type"], unique=False)


def _entry() -> None:
    op.create_table(
        "entry",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("proof", service.records.types.Json(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("not_before", service.records.types.Instant(), nullable=True),
        sa.Column("not_after", service.records.types.Instant(), nullable=True),
        sa.Column("recorded", service.records.types.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["statement_id"], ["statement.id"], name=op.f("fk_entry_statement_id")),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_entry")),
        sa.UniqueConstraint("log_index", name=op.f("uq_entry_log_index")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )


def _statement_input() -> None:
    op.create_table(
        "statement_input",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["statement_id"], ["statement.id"], name=op.f("fk_statement_input_statement_id")),
        sa.PrimaryKeyConstraint("sha256", "statement_id", name=op.f("pk_statement_input")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
