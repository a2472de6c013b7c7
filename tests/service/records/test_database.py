"""The database: what it refuses to open, what survives, what writers at the same time get."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from reprove.core.errors import OwnError, ProblemError
from service.records.database import Database, open_database
from service.records.prepare import prepare_database
from service.records.schema import SCHEMA_VERSION, meta, metadata
from tests.service.world import World


def test_a_missing_database_is_not_made_by_opening_it(world: World) -> None:
    world.db.close()
    (world.home / "records.db").unlink()
    with pytest.raises(OwnError, match="run `reprove init`"):
        open_database(world.settings)
    assert not (world.home / "records.db").exists()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE meta SET value = 'ffffffffffffffff' WHERE key = 'instance'", "belongs to instance ffffffffffffffff"),
        (f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}' WHERE key = 'schema'", f"has schema {SCHEMA_VERSION + 1}, this program knows"),
        ("UPDATE meta SET value = '0' WHERE key = 'schema'", "run `reprove init`, which upgrades it"),
        ("DELETE FROM meta", "is not a records database"),
    ],
)
def test_a_foreign_or_newer_database_is_refused_in_one_line(world: World, statement: str, message: str) -> None:
    world.execute(statement)
    before = world.sql("SELECT * FROM meta")
    with pytest.raises(OwnError, match=message) as caught:
        open_database(world.settings)
    assert "\n" not in str(caught.value)
    assert world.sql("SELECT * FROM meta") == before


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000])
def test_a_file_that_is_no_database_is_refused_in_one_line(world: World, content: bytes) -> None:
    world.db.close()
    for file in world.home.glob("records.db*"):
        file.unlink()
    (world.home / "records.db").write_bytes(content)
    with pytest.raises(OwnError, match="not a records database"):
        open_database(world.settings)


def test_init_refuses_to_upgrade_what_is_not_its_own(world: World) -> None:
    world.execute("UPDATE meta SET value = 'ffffffffffffffff' WHERE key = 'instance'")
    with pytest.raises(OwnError, match="refusing to mix"):
        prepare_database(world.settings)


def test_preparing_twice_changes_nothing(world: World) -> None:
    world.accept()
    prepare_database(world.settings)
    assert len(world.sql("SELECT * FROM request")) == 1


def test_the_migrations_end_at_the_schema(world: World) -> None:
    with world.db.read() as conn:
        found = compare_metadata(MigrationContext.configure(conn, opts={"compare_type": False}), metadata)
        made = {row.name: row.sql for row in conn.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))}
    assert found == []
    for table in metadata.tables:
        assert "STRICT" in made[table].rsplit(")", 1)[1]
        assert ("WITHOUT ROWID" in made[table]) is (not metadata.tables[table].dialect_kwargs["sqlite_with_rowid"])


def test_the_promises_of_sqlite_are_switched_on(world: World) -> None:
    with world.db.write() as conn:
        facts = {name: conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert facts == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reader_cannot_write_and_sees_one_moment(world: World) -> None:
    with world.db.read() as conn:
        before = conn.execute(text("SELECT count(*) FROM request")).scalar()
        world.accept()
        assert conn.execute(text("SELECT count(*) FROM request")).scalar() == before
        with pytest.raises(OperationalError, match="readonly"):
            conn.execute(meta.delete())


def test_a_block_that_raises_writes_nothing(world: World) -> None:
    def work() -> None:
        with world.db.write() as conn:
            conn.execute(meta.insert().values(key="x", value="y"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert world.sql("SELECT * FROM meta WHERE key = 'x'") == []


def test_one_bad_write_of_a_group_fails_alone(world: World) -> None:
    """Thirty writers at once share transactions; those that raise are undone, the others are durable."""
    barrier = threading.Barrier(30)
    failed: list[int] = []

    def write(number: int) -> None:
        barrier.wait()

        def work(conn: object) -> None:
            conn.execute(meta.insert().values(key=f"k{number}", value="v"))  # type: ignore[attr-defined]
            if number % 3 == 0:
                conn.execute(meta.insert().values(key="instance", value="again"))  # type: ignore[attr-defined]

        try:
            world.db.grouped(work)
        except IntegrityError:
            failed.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(failed) == list(range(0, 30, 3))
    assert {row.key for row in world.sql("SELECT key FROM meta WHERE key LIKE 'k%'")} == {f"k{number}" for number in range(30) if number % 3}


def test_writers_of_several_processes_take_turns(world: World) -> None:
    other = Database(world.db.path)

    def write(database: Database, name: str) -> None:
        for number in range(50):
            with database.write() as conn:
                conn.execute(meta.insert().values(key=f"{name}{number}", value="v"))

    threads = [threading.Thread(target=write, args=pair) for pair in ((world.db, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(world.sql("SELECT * FROM meta WHERE key LIKE 'a%' OR key LIKE 'b%'")) == 100


def test_a_stranger_who_holds_the_database_makes_us_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.records.database.BUSY_SECONDS", 0.1)
    impatient = Database(world.db.path)
    with sqlite3.connect(world.db.path, isolation_level=None) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProblemError, match="nothing was written") as caught, impatient.write() as conn:
            conn.execute(meta.insert().values(key="x", value="y"))
        stranger.execute("ROLLBACK")
    stranger.close()
    impatient.close()
    assert caught.value.problem.slug == "unavailable"


def test_a_writer_that_hangs_with_the_lock_file_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.records.database.BUSY_SECONDS", 0.2)
    with world.db.path.with_name("records.db.lock").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        world.accept()
    assert len(world.sql("SELECT * FROM request")) == 1


def test_a_link_is_followed_so_that_the_journal_stands_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records.db").symlink_to("records/records.db")
    world = World.make(tmp_path)
    world.accept()
    world.db.close()
    assert (tmp_path / "records" / "records.db").is_file()
    assert list(tmp_path.glob("records.db?*")) == []
