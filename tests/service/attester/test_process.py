"""The attester as a process beside a real sequencer and a real witness: it starts, works, and drains on SIGTERM."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from reprove.core.dsse import decode
from reprove.core.outcomes import Outcome
from reprove.core.statements import common
from reprove.core.statements import comparison as comparisons
from reprove.core.statements.parts import Deployment
from reprove.signers import open_signer
from service.attester.attest import Identity
from service.attester.main import log_trust, read_trust
from service.records.blobstore import BlobStore
from service.records.database import open_database
from tests.instance import Instance, make_instance, temporary_home
from tests.service.attester.rig import World


class Joined(World):
    """The rig over the state folder of a whole instance, with its enrolled keys; nothing here attests."""

    def __init__(self, instance: Instance) -> None:
        self.home = instance.home
        self.settings = instance.settings
        self.database = open_database(instance.settings)
        self.blobs = BlobStore(instance.home / "blobs")
        secrets = instance.home / "secrets"
        self.worker = open_signer(f"file:{secrets}/worker-1.key")  # type: ignore[assignment]  # a file's signer
        self.resolver = open_signer(f"file:{secrets}/resolver.key")  # type: ignore[assignment]  # likewise
        self.attester = open_signer(f"file:{secrets}/attester.key")  # type: ignore[assignment]  # likewise
        self.principal = None
        self.identity = Identity(instance.settings.operator, Deployment.SINGLE_HOST, self.attester)


@pytest.mark.slow
def test_a_report_becomes_a_cosigned_entry_and_a_question_a_signed_decision() -> None:
    with temporary_home() as home:
        instance = make_instance(home, index_url="https://index.invalid/simple/")
        instance.start("witness", "sequencer", "attester")
        try:
            world = Joined(instance)
            story = world.story()
            rebuild_id = world.tell(story)
            _until(lambda: world.row(rebuild_id).state == "done", instance)
            row = world.row(rebuild_id)
            assert (row.outcome, row.level) == ("reproduced", "bitwise")
            *_, last = world.statements(rebuild_id)
            value = comparisons.read(common.decode(decode(last.envelope).payload))
            assert (value.outcome, value.operator, last.log_index) == (Outcome.REPRODUCED, instance.settings.operator, 1)
            note = (home / "log" / "checkpoint").read_text()
            assert log_trust(read_trust(instance.settings), instance.settings.origin).open(note).checkpoint.size == 2
            asked = world.ask("default", {"sha256": story.resolution.original.sha256}, checkpoint=note)
            _until(lambda: world.decision(asked).state == "done", instance)
            assert world.decision(asked).verdict == "allow"
            world.database.close()
            assert instance.terminate("attester", 10) == 0
        finally:
            instance.stop()


def _until(condition: Callable[[], bool], instance: Instance, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, instance.logs()
        time.sleep(0.05)
