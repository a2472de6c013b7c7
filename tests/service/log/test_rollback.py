"""Two writers, restored backups, damaged folders: each combination ends in a refusal, and never in a second signed history."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reprove.core import merkle
from reprove.core.errors import ProblemError
from service.log import creation
from service.log.errors import DiskFullError, FatalError, StateError
from service.log.sequencer import sign_head
from service.log.store import LogStore
from tests.service.log.harness import Instance

pytestmark = pytest.mark.slow


def refuses(instance: Instance, *words: str) -> None:
    """The sequencer ends by itself, in one line that says why."""
    before = len(instance.errors("main"))
    process = instance.start("main", wait=False)
    assert process.wait(20) == 1
    line = instance.errors("main")[before:].strip().splitlines()[-1]
    assert "Traceback" not in line
    for word in words:
        assert word in line


def save(instance: Instance, *names: str) -> None:
    for name in names:
        source, target = instance.home / name, instance.home / "backup" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


def restore(instance: Instance, *names: str) -> None:
    for name in names:
        source, target = instance.home / "backup" / name, instance.home / name
        for left in (target, target.with_name(f"{name}-wal"), target.with_name(f"{name}-shm")):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


@pytest.fixture
def grown(make_instance: Callable[..., Instance]) -> Instance:
    """A log of 3 entries that was saved, then grew to 5, and is stopped; its witness runs."""
    instance = make_instance()
    instance.start("witness")
    main = instance.start("main")
    instance.add(3)
    instance.end(main)
    save(instance, "log", "log.db")
    main = instance.start("main")
    instance.add(2)
    instance.end(main)
    return instance


def test_two_sequencers_on_one_log_one_refuses(instance: Instance) -> None:
    refuses(instance, "another sequencer")
    instance.add(1)


def test_two_homes_that_share_a_folder_one_refuses(make_instance: Callable[..., Instance]) -> None:
    first = make_instance(witness=False)
    first.start("main")
    second = make_instance(witness=False)
    shutil.rmtree(second.home / "log")
    (second.home / "log").symlink_to(first.home / "log")
    second.invariant = False
    refuses(second, "another sequencer")


def test_a_second_writer_without_the_lock_loses_the_compare_and_swap(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance(witness=False)
    old = LogStore(instance.home / "log.db")
    head = old.head()
    new = LogStore(instance.home / "log.db")
    grown = sign_head("x", 1, merkle.leaf_hash(b"a"), instance.log_signer)
    with pytest.raises(FatalError, match="another sequencer"):
        old.stage(head, grown, [b"a"], [b"1" * 32])
    new.stage(head, grown, [b"a"], [b"1" * 32])
    with pytest.raises(FatalError, match="another sequencer"):
        new.stage(head, grown, [b"a"], [b"2" * 32])
    assert new.head() == grown
    assert new.find([b"1" * 32, b"2" * 32]) == {b"1" * 32: 0}


def test_everything_here_restored_is_refused_because_of_the_witness(grown: Instance) -> None:
    restore(grown, "log", "log.db")
    refuses(grown, "rollback", "witness", "size 5")


def test_everything_restored_while_the_witness_is_away_signs_nothing(grown: Instance) -> None:
    grown.end(grown.processes[0])
    restore(grown, "log", "log.db")
    main = grown.start("main")
    with pytest.raises(ProblemError) as caught:
        grown.client.add(grown.envelopes(1))
    assert caught.value.problem.slug == "unavailable"
    with sqlite3.connect(grown.home / "log.db") as database:
        assert database.execute("SELECT max(size) FROM checkpoint").fetchone() == (3,)
    grown.start("witness")
    # As soon as the witness shows what it has seen, the sequencer ends.
    assert main.wait(20) == 1
    assert "rollback" in grown.errors("main")


def test_only_the_database_restored_is_refused_because_of_the_folder(grown: Instance) -> None:
    grown.end(grown.processes[0])
    restore(grown, "log.db")
    refuses(grown, "rollback", "size 5", "log.db ends at 3")


def test_only_the_tiles_restored_is_refused_because_they_do_not_reach(grown: Instance) -> None:
    restore(grown, "log")
    refuses(grown, "missing")
    grown.invariant = False


def test_only_the_checkpoint_restored_is_published_again(grown: Instance) -> None:
    shutil.copy2(grown.home / "backup" / "log" / "checkpoint", grown.home / "log" / "checkpoint")
    grown.start("main")
    assert grown.add(1).entries[0].index == 5


def test_a_missing_checkpoint_is_published_again(grown: Instance) -> None:
    (grown.home / "log" / "checkpoint").unlink()
    grown.start("main")
    assert grown.add(1).entries[0].index == 5


def test_a_checkpoint_by_another_key_is_refused(grown: Instance, make_instance: Callable[..., Instance]) -> None:
    other = make_instance(witness=False)
    other.start("main")
    other.add(1)
    shutil.copy2(other.home / "log" / "checkpoint", grown.home / "log" / "checkpoint")
    refuses(grown, "not of this log")
    grown.invariant = False


@pytest.mark.parametrize("name", ["tile/0/000.p/5", "tile/entries/000.p/5"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_right_edge_is_refused(grown: Instance, name: str, damage: str) -> None:
    path = grown.home / "log" / name
    data = path.read_bytes()
    path.unlink()
    if damage != "remove":
        path.write_bytes(data[:-1] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    refuses(grown)
    grown.invariant = False


def test_a_clone_with_the_same_key_is_stopped_by_the_witness(grown: Instance, make_instance: Callable[..., Instance]) -> None:
    """Two machines from one copy: whoever the witness hears second ends, and what it signed was never published."""
    clone = make_instance()
    for name in ("log", "log.db", "secrets"):
        target = clone.home / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = grown.home / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    clone.log_vkey, clone.witness_vkeys, clone.attester = grown.log_vkey, grown.witness_vkeys, grown.attester
    clone.values |= {"witnesses": grown.values["witnesses"], "attester_public": grown.values["attester_public"]}
    first = grown.start("main")
    second = clone.start("main")
    grown.add(1)
    with pytest.raises(ProblemError):
        clone.client.add([grown.envelopes(2)[1]])
    assert second.wait(10) == 1
    assert "rollback" in clone.errors("main")
    assert clone.opened((clone.home / "log" / "checkpoint").read_text()).checkpoint.size == 5
    assert first.poll() is None
    grown.add(1)
    # It stays stopped: what it signed is not what the witness saw.
    refuses(clone, "rollback")


def test_existing_tiles_with_other_bytes_are_never_overwritten(instance: Instance) -> None:
    instance.add(1)
    foreign = instance.home / "log" / "tile" / "0" / "000.p" / "2"
    foreign.write_bytes(b"x" * 64)
    with pytest.raises(ProblemError):
        instance.client.add(instance.envelopes(1))
    assert instance.processes[1].wait(10) == 1
    assert "never overwritten" in instance.errors("main")
    assert foreign.read_bytes() == b"x" * 64
    assert instance.opened((instance.home / "log" / "checkpoint").read_text()).checkpoint.size == 1
    refuses(instance, "never overwritten")
    foreign.unlink()
    instance.start("main")
    assert instance.add(1).entries[0].index == 2


def test_nothing_is_created_implicitly(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    (instance.home / "log.db").unlink()
    refuses(instance, "reprove init")
    (instance.home / "witness.db").unlink()
    assert instance.start("witness", wait=False).wait(10) == 1
    assert "reprove init" in instance.errors("witness")
    assert not (instance.home / "log.db").exists()
    assert not (instance.home / "witness.db").exists()


def test_another_key_or_too_few_witnesses_or_no_attester_is_refused(make_instance: Callable[..., Instance]) -> None:
    instance, other = make_instance(), make_instance()
    key = instance.values["log_key"]
    instance.values["log_key"] = other.values["log_key"]
    refuses(instance, "log.db", "settings name")
    instance.values["log_key"] = key
    instance.values["witness_quorum"] = "2"
    refuses(instance, "witness_quorum")
    instance.values["witness_quorum"] = "1"
    instance.values["attester_public"] = ""
    refuses(instance, "attester_public")
    instance.values["witness_key"] = other.values["witness_key"]
    assert instance.start("witness", wait=False).wait(10) == 1


def test_a_newer_schema_is_refused(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    with sqlite3.connect(instance.home / "log.db") as database:
        database.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    refuses(instance, "schema 2")


def test_creation_completes_an_unused_log_and_refuses_a_used_one(instance: Instance, make_instance: Callable[..., Instance]) -> None:
    fresh = make_instance()
    assert creation.create_log(fresh.settings) == str(fresh.log_vkey)
    assert creation.create_witness(fresh.settings) == str(fresh.witness_vkeys[0])
    instance.add(1)
    with pytest.raises(StateError):
        creation.create_log(instance.settings)
    with pytest.raises(StateError):
        creation.create_witness(instance.settings)
    instance.end_all()
    (instance.home / "log.db").unlink()
    with pytest.raises(StateError, match="fork"):
        creation.create_log(instance.settings)


def tmpfs(path: Path, size: str) -> None:
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=False, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")


@pytest.mark.parametrize("full", ["log", "database"])
def test_a_full_disk_refuses_before_anything_is_written_and_recovers(make_instance: Callable[..., Instance], tmp_path: Path, full: str) -> None:
    instance = make_instance(min_free="1MiB")
    mount = tmp_path / "small"
    tmpfs(mount, "16m")
    try:
        if full == "log":
            (instance.home / "log").rmdir()
            (mount / "log").mkdir()
            (instance.home / "log").symlink_to(mount / "log")
        else:
            shutil.move(instance.home / "log.db", mount / "log.db")
            (instance.home / "log.db").symlink_to(mount / "log.db")
        instance.start("witness")
        instance.start("main")
        instance.add(2)
        before = instance.files()
        filler = mount / "filler"
        filler.write_bytes(bytes(15 << 20))
        with pytest.raises(ProblemError) as caught:
            instance.client.add(instance.envelopes(3))
        assert caught.value.problem.slug == "storage-full"
        assert caught.value.problem.slug.status == 507
        assert instance.files() == before
        filler.unlink()
        assert instance.add(3).entries[0].index == 2
        instance.end_all()
    finally:
        instance.end_all()
        subprocess.run(["umount", "-l", str(mount)], check=True)
        instance.invariant = False


def test_a_disk_that_fills_after_the_commit_keeps_the_batch_and_publishes_it_later(make_instance: Callable[..., Instance], tmp_path: Path) -> None:
    """ENOSPC from the write itself, not from the look before it: the folder is on a disk smaller than the batch."""
    instance = make_instance(min_free="0B")
    mount = tmp_path / "small"
    tmpfs(mount, "4m")
    try:
        (instance.home / "log").rmdir()
        (mount / "log").mkdir()
        (instance.home / "log").symlink_to(mount / "log")
        instance.start("witness")
        first = instance.start("main")
        instance.add(2)
        instance.end(first)
        crashed = instance.start("main", fail_at="log.committed")
        envelopes = instance.envelopes(200)
        with pytest.raises(ProblemError):
            instance.client.add(envelopes)
        assert crashed.wait(10) == 137
        filler = mount / "filler"
        subprocess.run(["sh", "-c", f"head -c 5M /dev/zero > {filler}"], check=False, capture_output=True)
        refuses(instance, "full")
        filler.unlink()
        instance.start("main")
        added = instance.client.add(envelopes)
        instance.check(envelopes, added)
        assert all(entry.duplicate for entry in added.entries)
        instance.fsck()
    finally:
        instance.end_all()
        subprocess.run(["umount", "-l", str(mount)], check=True)
        instance.invariant = False


def test_a_full_database_undoes_the_whole_transaction(make_instance: Callable[..., Instance], tmp_path: Path) -> None:
    instance = make_instance(witness=False)
    mount = tmp_path / "small"
    tmpfs(mount, "2m")
    try:
        shutil.move(instance.home / "log.db", mount / "log.db")
        store = LogStore(mount / "log.db")
        head = store.head()
        big = [b"x" * 60_000] * 40
        new = sign_head("x", 40, b"\x01" * 32, instance.log_signer)
        with pytest.raises(DiskFullError):
            store.stage(head, new, big, [bytes([n]) * 32 for n in range(40)])
        assert store.head() == head
        assert store.staged() is None
        assert store.find([b"\x00" * 32]) == {}
        small = sign_head("x", 1, b"\x01" * 32, instance.log_signer)
        store.stage(head, small, [b"x"], [b"\x00" * 32])
        assert store.head() == small
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)
