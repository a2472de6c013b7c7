"""Alembic's room; ``service.records.prepare`` runs it."""
