"""Kill the sequencer, or its witness, at every durable step of a batch; nothing answered is lost, nothing is logged twice."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reprove.core import merkle
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError
from service.log.client import Added
from service.log.tilewriter import stored_nodes
from tests.service.log.harness import Instance

LOG_POINTS = ("log.staged", "log.committed", "log.tiles", "log.witnessed", "log.published")
SIZES = (1, 255, 256, 257, 600)


class Model:
    """What clients were told: each answered id with its index, and every checkpoint that anybody saw."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.answered: dict[str, int] = {}
        self.seen: list[str] = []
        self.lock = threading.Lock()

    def submit(self, envelopes: list[Envelope]) -> Added | None:
        try:
            added = self.instance.client.add(envelopes)
        except ProblemError as error:
            if error.problem.slug != "unavailable":
                raise
            return None
        self.instance.check(envelopes, added)
        with self.lock:
            self.seen.append(added.checkpoint)
            for entry in added.entries:
                assert self.answered.setdefault(entry.id, entry.index) == entry.index
        return added

    def submit_together(self, envelopes: list[Envelope]) -> list[Added | None]:
        """Submissions of at most 256 that the sequencer sees as one batch."""
        parts = [envelopes[at : at + 256] for at in range(0, len(envelopes), 256)]
        with ThreadPoolExecutor(len(parts)) as pool:
            return list(pool.map(self.submit, parts))

    def verify(self) -> None:
        """Everything that was ever answered is where it was, under a tree that extends every tree that was ever seen."""
        instance = self.instance
        report = instance.fsck()
        files = {name: (instance.home / "log" / name).read_bytes() for name in instance.files()}
        nodes = stored_nodes(files.get, report.size)
        for note in self.seen:
            old = instance.opened(note).checkpoint
            assert merkle.root_of(nodes, old.size) == old.root
        for attestation, index in self.answered.items():
            assert instance.client.prove(attestation).entries[0].index == index  # type: ignore[arg-type]  # an id
        assert report.ahead == 0


def crash_and_recover(make_instance: Callable[..., Instance], point: str, size: int) -> None:
    instance = make_instance(log_linger_ms=700)
    witness = instance.start("witness")
    first = instance.start("main")
    model = Model(instance)
    assert model.submit(instance.envelopes(1)) is not None
    assert instance.end(first) == 0
    if point.startswith("log."):
        broken: subprocess.Popen[bytes] = instance.start("main", fail_at=point)
    else:
        instance.end(witness)
        broken = instance.start("witness", fail_at=point)
        instance.start("main")
    envelopes = instance.envelopes(size)
    if point.startswith("log."):
        assert model.submit_together(envelopes) == [None] * -(-size // 256)
        assert broken.wait(10) == 137
        instance.start("main")
    else:
        restarted = threading.Thread(target=lambda: (broken.wait(10), instance.start("witness")))
        restarted.start()
        # The sequencer lives on and asks again until the witness is back: the submitters just wait.
        assert None not in model.submit_together(envelopes)
        restarted.join()
        assert broken.returncode == 137
    # A lost answer is asked again: the same envelopes, once in the log.
    again = model.submit_together(envelopes)
    assert None not in again
    assert len({entry.index for added in again if added for entry in added.entries}) == size
    assert model.submit(instance.envelopes(2)) is not None
    model.verify()
    assert instance.fsck().size == 1 + size + 2


@pytest.mark.slow
@pytest.mark.parametrize("point", [*LOG_POINTS, "witness.persisted"])
def test_a_crash_at_each_durable_step_loses_nothing_and_doubles_nothing(make_instance: Callable[..., Instance], point: str) -> None:
    crash_and_recover(make_instance, point, 257)


@pytest.mark.soak
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("point", [*LOG_POINTS, "witness.persisted"])
def test_the_whole_matrix_of_crashes(make_instance: Callable[..., Instance], point: str, size: int) -> None:
    crash_and_recover(make_instance, point, size)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["log.tiles", "log.witnessed", "log.published"])
def test_a_crash_during_recovery_is_recovered_from(make_instance: Callable[..., Instance], point: str) -> None:
    instance = make_instance()
    instance.start("witness")
    first = instance.start("main")
    model = Model(instance)
    model.submit(instance.envelopes(3))
    instance.end(first)
    envelopes = instance.envelopes(5)
    broken = instance.start("main", fail_at="log.committed")
    assert model.submit(envelopes) is None
    assert broken.wait(10) == 137
    again = instance.start("main", fail_at=point, wait=False)
    assert again.wait(10) == 137
    instance.start("main")
    assert model.submit(envelopes) is not None
    model.verify()
    assert instance.fsck().size == 8


@pytest.mark.slow
def test_a_misspelt_crash_point_refuses_to_start(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    assert instance.start("main", fail_at="log.stagd", wait=False).wait(10) != 0
    assert instance.start("witness", fail_at="log.stagd", wait=False).wait(10) != 0


def undo_names(instance: Instance, before: set[str]) -> None:
    """What a power cut may undo of names that no directory sync covered: all files of the batch, here."""
    for name in instance.files() - before:
        (instance.home / "log" / name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["log.committed", "log.tiles", "log.witnessed", "log.published"])
def test_a_power_cut_that_undoes_the_files_of_a_batch_is_recovered_from(make_instance: Callable[..., Instance], point: str) -> None:
    """A legal state after a power cut: log.db has the commit, the tiles' names are gone, ``checkpoint`` is the old one again."""
    instance = make_instance()
    instance.start("witness")
    first = instance.start("main")
    model = Model(instance)
    model.submit(instance.envelopes(250))
    instance.end(first)
    before, shown = instance.files(), (instance.home / "log" / "checkpoint").read_bytes()
    envelopes = instance.envelopes(10)
    broken = instance.start("main", fail_at=point)
    assert model.submit(envelopes) is None
    assert broken.wait(10) == 137
    undo_names(instance, before)
    (instance.home / "log" / "checkpoint").write_bytes(shown)
    instance.start("main")
    added = model.submit(envelopes)
    assert added is not None
    assert all(entry.duplicate for entry in added.entries)
    model.verify()
    assert instance.fsck().size == 260


@pytest.mark.slow
def test_a_power_cut_that_loses_the_dropping_of_staging_is_recovered_from(make_instance: Callable[..., Instance]) -> None:
    """Dropping staging is not synced on its own: the row may be back although the batch is published and answered."""
    instance = make_instance()
    instance.start("witness")
    main = instance.start("main", fail_at="log.published:2")
    model = Model(instance)
    envelopes = instance.envelopes(5)
    assert model.submit(envelopes) is None
    assert main.wait(10) == 137
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        shutil.copy2(instance.home / name, instance.home / f"{name}.cut")
    main = instance.start("main")
    assert model.submit(envelopes) is not None
    instance.end(main)
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        shutil.move(instance.home / f"{name}.cut", instance.home / name)
    instance.start("main")
    assert model.submit(envelopes) is not None
    assert model.submit(instance.envelopes(1)) is not None
    model.verify()
    assert instance.fsck().size == 6


@pytest.mark.soak
def test_random_kills_from_outside_lose_nothing(make_instance: Callable[..., Instance]) -> None:
    """SIGKILL at a random moment, again and again, of the sequencer or its witness, under load."""
    instance = make_instance()
    processes = {"witness": instance.start("witness"), "main": instance.start("main")}
    model = Model(instance)
    pending: list[list[Envelope]] = []
    stop = threading.Event()
    generator = random.Random(7)

    def submit() -> None:
        while not stop.is_set():
            with model.lock:
                envelopes = pending.pop() if pending and generator.random() < 0.5 else instance.envelopes(generator.randint(1, 40))
            if model.submit(envelopes) is None:
                with model.lock:
                    pending.append(envelopes)
                time.sleep(0.1)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        time.sleep(generator.uniform(0.2, 2.0))
        name = generator.choice(["main", "main", "witness"])
        processes[name].kill()
        processes[name].wait()
        processes[name] = instance.start(name)
    stop.set()
    for thread in threads:
        thread.join()
    for envelopes in pending:
        assert model.submit(envelopes) is not None
    model.verify()
    assert instance.fsck().size == len(model.answered)
