"""Reports made to hurt the attester: they cost their own rebuild its outcome, and nobody else anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from reprove.core.outcomes import Outcome
from reprove.core.statements import report as reports
from reprove.core.statements.codec import Hex4
from reprove.core.statements.common import MAX_PAYLOAD_BYTES
from reprove.core.statements.parts import Cause, Input, Stamp
from reprove.core.statements.report import RebuiltFile
from reprove.core.states import RebuildState
from service.attester import rebuilding
from service.attester.attest import Attestation
from service.attester.stored import Stored
from service.records.rebuilds import RebuildRow
from tests.service.attester.rig import WHEEL, Story, World, changed
from tests.service.attester.test_reports import _id, comparison_of


def _input(world: World, name: str) -> Story:
    story, blob = world.story(), world.blob(b"an input")
    story.report = changed(story.report, inputs=(Input(name, "https://files.invalid/x", blob.sha256, blob.size),))
    return story


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("a build number that int() refuses", f"demo-1.0-{'1' * 5000}-py3-none-any.whl"),
        ("a version that int() refuses", f"demo-{'1' * 5000}.tar.gz"),
        ("tags that multiply", f"a-1-{'-'.join('.'.join(f'{set_}{number}' for number in range(150)) for set_ in 'abc')}.whl"),
        ("no name at all", "-.whl"),
    ],
)
def test_an_inputs_name_cannot_stop_or_stall_the_attester(world: World, what: str, name: str) -> None:
    begun = time.monotonic()
    row = world.attest(_input(world, name))
    assert (row.state, row.outcome) == (RebuildState.DONE, "reproduced"), what
    assert time.monotonic() - begun < 2, what


def _too_large_for_provenance(world: World) -> Story:
    """A row of the provenance's dependencies takes some bytes more than the report's row of the same input."""
    story, blob = world.story(), world.blob(b"an input")
    rows = tuple(Input(f"{number:05}{'n' * 155}", "u", blob.sha256, blob.size) for number in range(46_000))
    report = changed(story.report, inputs=rows)
    spare = MAX_PAYLOAD_BYTES - 20_000 - len(reports.build(WHEEL, report).encode())
    assert spare > 0
    story.report = changed(report, inputs=(*rows, *(Input("n" * 8000, f"{number}", blob.sha256, blob.size) for number in range(spare // 8150))))
    return story


def _named(name: str) -> Callable[[World], Story]:
    def make(world: World) -> Story:
        story = world.story()
        assert story.report is not None
        assert story.report.rebuilt is not None
        story.report = changed(story.report, rebuilt=RebuiltFile(name, story.report.rebuilt.sha256, story.report.rebuilt.size))
        return story

    return make


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("a rebuilt file called like a terminal command", _named("\x1b]0;owned\x07.whl")),
        ("a rebuilt file called like somebody else's wheel", _named("cryptography-46.0.0-py3-none-any.whl")),
        pytest.param("inputs that fit into the report and not into the provenance", _too_large_for_provenance, marks=pytest.mark.slow),
    ],
)
def test_a_report_of_which_no_statement_can_be_made_is_inconclusive(world: World, what: str, make: Callable[[World], Story]) -> None:
    row = world.attest(make(world))
    assert (row.state, row.outcome, row.cause_class) == (RebuildState.DONE, "inconclusive", "infrastructure"), what
    value = comparison_of(world, row.id)
    assert (value.rebuilt, value.inputs, value.provenance) == (None, None, None)


def test_a_resolution_of_which_no_statement_can_be_made_ends_rejected(world: World) -> None:
    story = world.story()
    story.resolution = replace(story.resolution, original=replace(story.resolution.original, name="../demo-1.0-py3-none-any.whl"))
    story.original_name = "../demo-1.0-py3-none-any.whl"
    story.report = changed(story.report, resolution=_id(world, story))
    row = world.attest(story)
    assert (row.state, row.outcome) == (RebuildState.REJECTED, None)
    assert world.log.leaves == []


def test_rebuilds_that_cannot_be_prepared_do_not_keep_the_queue_from_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that nobody thought of, for the oldest rebuilds, as many as one round takes."""
    monkeypatch.setattr(rebuilding, "MAX_BATCH", 4)
    bad = [world.tell(world.story()) for _ in range(2)]
    good = world.tell(world.story())
    prepare = Attestation.prepare

    def failing(self: Attestation, row: RebuildRow, now: object) -> object:
        if row.id in bad:
            raise ZeroDivisionError
        return prepare(self, row, now)  # type: ignore[arg-type]

    monkeypatch.setattr(Attestation, "prepare", failing)
    world.rebuilds.round()
    world.rebuilds.round()
    assert world.row(good).outcome == "reproduced"
    monkeypatch.setattr(world.rebuilds, "_held", {})
    monkeypatch.setattr(Attestation, "prepare", prepare)
    world.rebuilds.round()
    assert [world.row(each).outcome for each in bad] == ["reproduced"] * 2


def test_large_statements_are_submitted_in_frames_that_the_sequencer_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the cut, some packages with thousands of differences at the same time make a frame that is refused for ever."""
    monkeypatch.setattr(rebuilding, "MAX_BATCH_BYTES", 20_000)
    told = []
    for _ in range(5):
        story = world.story(outcome=Outcome.BUILD_FAILED, cause=Cause("backend-failed", "x" * 8000), rebuilt=b"x", log=None)
        story.report = changed(story.report, rebuilt=None)
        told.append(world.tell(story))
    world.rebuilds.round()
    assert [world.row(each).outcome for each in told] == ["build-failed"] * 5
    assert world.log.batches == [2, 2, 1]


def test_stamps_are_applied_to_the_bytes_that_were_hashed_and_to_no_others(world: World) -> None:
    """Whoever may write blobs swaps one between the check of its digest and the check of its stamps."""
    rebuilt, original = b"PK the evil \x01\x02\x03\x04", b"PK the wheel\x05\x06\x07\x08"
    digest = world.blob(rebuilt).sha256
    path = world.blobs.path(digest)
    stored = Stored(world.blobs)
    assert stored.fault(digest) is None
    path.chmod(0o600)
    path.write_bytes(original[:-4] + b"\x01\x02\x03\x04")
    stamp = Stamp("demo/x.py", 12, Hex4("01020304"), Hex4("05060708"))
    assert stored.stamped(digest, [stamp]) is None
