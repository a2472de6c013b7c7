"""Make or upgrade the records database: `reprove init` and tests do that, no process ever does it implicitly."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, select

from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.records.database import Database, database_path, instance_of
from service.records.schema import SCHEMA_VERSION, meta


def prepare_database(settings: Settings) -> None:
    """Bring records.db to this program's schema, in one transaction; a second run does nothing.

    Raises OwnError for a database of another instance or of a newer program.
    """
    path = database_path(settings)
    instance = instance_of(settings)
    database = Database(path)
    try:
        with database.write() as connection:
            facts = _facts(connection)
            if facts.get("instance", instance) != instance:
                raise OwnError(f"{path} belongs to instance {facts['instance']}, this state folder is instance {instance}: refusing to mix them")
            if int(facts.get("schema", 0)) > SCHEMA_VERSION:
                raise OwnError(f"{path} has schema {facts['schema']}, this program knows {SCHEMA_VERSION}: start the newer program")
            migrate(connection)
            connection.execute(meta.delete())
            connection.execute(meta.insert(), [{"key": "instance", "value": instance}, {"key": "schema", "value": str(SCHEMA_VERSION)}])
    finally:
        database.close()
    # the writers' lock file and the database itself are shared by the records group (DESIGN section 4)
    for file in (path, path.with_name(f"{path.name}.lock")):
        file.chmod(0o660)


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations inside the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _facts(connection: Connection) -> dict[str, str]:
    if not inspect(connection).has_table("meta"):
        return {}
    return {row.key: row.value for row in connection.execute(select(meta))}
