"""Alembic's entry: always the caller's connection and transaction, never its own."""

from alembic import context

from service.records.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
