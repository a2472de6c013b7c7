"""An idle log keeps its cosignatures fresh: they say that the next entry is not older than they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from hashlib import sha256

import pytest

from reprove.core.leaf import encode_leaf
from reprove.core.notes import NoteSigner
from service.log.admission import Admitted
from service.log.durable import DurableFolder
from service.log.recovery import recover
from service.log.sequencer import Limits, Sequencer
from service.log.store import LogStore
from service.log.witness_client import Panel, parse_witness
from tests.service.log.harness import Instance

pytestmark = pytest.mark.slow


def start(instance: Instance, limits: Limits) -> tuple[Sequencer, threading.Thread]:
    store, folder = LogStore(instance.home / "log.db"), DurableFolder(instance.home / "log")
    panel = Panel([parse_witness(text) for text in instance.settings.witnesses], 1, instance.log_vkey, 2)
    recovered = recover(store, folder, instance.log_vkey, panel)
    signer: NoteSigner = instance.log_signer
    sequencer = Sequencer(recovered, store=store, folder=folder, origin=instance.log_vkey.name, signer=signer, panel=panel, limits=limits)
    thread = threading.Thread(target=lambda: (sequencer.run(), panel.close(), folder.close(), store.close()))
    thread.start()
    return sequencer, thread


def admitted(instance: Instance) -> Admitted:
    (one,) = instance.envelopes(1)
    return Admitted(sha256(one.pae).digest(), encode_leaf(one, instance.attester.public_key))


def cosigned_at(instance: Instance, note: str) -> int:
    return instance.opened(note).cosigned[0][1]


def test_the_newest_cosignature_bounds_the_next_entry_and_the_first_one_the_last(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    instance.start("witness")
    sequencer, thread = start(instance, Limits(refresh_seconds=0.5))
    try:
        first_entry = admitted(instance)
        first = sequencer.submit([first_entry])
        time.sleep(3.2)
        second = sequencer.submit([admitted(instance)])
        assert second.before is not None
        # Refreshed while idle: not the note that the first entry was answered with, but the same tree, later.
        assert instance.opened(second.before).checkpoint == instance.opened(first.checkpoint).checkpoint
        assert cosigned_at(instance, second.before) > cosigned_at(instance, first.checkpoint)
        # Asked again, the first entry still has its first checkpoint: "not after" does not move.
        assert sequencer.submit([first_entry]).checkpoint == first.checkpoint
        assert (instance.home / "log" / "checkpoint").read_text() == second.checkpoint
    finally:
        sequencer.stop()
        thread.join(10)


def test_a_failed_refresh_changes_nothing(make_instance: Callable[..., Instance]) -> None:
    instance = make_instance()
    witness = instance.start("witness")
    sequencer, thread = start(instance, Limits(refresh_seconds=0.2))
    try:
        first = sequencer.submit([admitted(instance)])
        instance.end(witness)
        time.sleep(1.5)
        assert (instance.home / "log" / "checkpoint").read_text() != ""
        assert instance.opened((instance.home / "log" / "checkpoint").read_text()).checkpoint.size == 1
        instance.start("witness")
        assert instance.opened(sequencer.submit([admitted(instance)]).checkpoint).checkpoint.size == 2
        assert first.before is not None
    finally:
        sequencer.stop()
        thread.join(10)
