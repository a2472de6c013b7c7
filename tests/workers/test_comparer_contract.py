"""The comparer's own documents, byte for byte as its container leaves them, through the worker's reading into the statements that are signed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reprove.archive.sources import read_source
from reprove.compare.engine import compare_files
from reprove.compare.stamping import Origin, stamp_window
from reprove.core.canonical import canonical, parse
from reprove.core.digests import sha256
from reprove.core.outcomes import Finding, Level, Outcome
from reprove.core.statements import comparison, report
from reprove.core.statements.common import decode
from reprove.core.statements.comparison import Comparison
from reprove.core.statements.parts import Claimant
from reprove.core.statements.report import LogBlob, Report
from reprove.core.statements.resolution import Resolution
from tests.archive.zips import LATER, UPLOADED, sdist, wheel, zip_bytes
from tests.compare.passes.test_whole_artifacts import SIGNED, a_jar, a_wheel
from tests.core.world import NAME, World, p256
from workers import reporting
from workers.reporting import Tried
from workers.sandbox import Collected
from workers.steps import MAX_RESULT, Output

CONTEXT = World().context()
DIGEST = "Name: demo/A.class\r\nSHA-256-Digest: AzRvDnmQ3iQjo7ylM1v5LNwL0UvvIga4fGPxih6ZbFI=\r\n\r\n"
FOUND: dict[str, Any] = {"demo/__init__.py": b"x = 1\n"}
TOOLS = a_wheel(), a_wheel(tool=b"0.41.0")


@dataclass(frozen=True)
class Pair:
    original: bytes
    rebuilt: bytes
    level: Level | None
    name: str = NAME
    source: bytes | None = None
    outcome: Outcome = Outcome.REPRODUCED


LIE = wheel(FOUND, record=b"demo-1.0.dist-info/RECORD,,\n")
PAIRS = {
    "the same bytes": Pair(wheel(), wheel(), Level.BITWISE),
    "the same bytes that mean two things": Pair(zip_bytes(a_wheel(), suffix=b"x"), zip_bytes(a_wheel(), suffix=b"x"), Level.BITWISE),
    "other times of generated members": Pair(wheel(info_time=LATER), wheel(), Level.TIMES_STAMPED, source=sdist()),
    "other times and nothing to stamp them by": Pair(wheel(info_time=LATER), wheel(), Level.CANONICAL),
    "another order": Pair(zip_bytes(a_wheel()[::-1]), zip_bytes(a_wheel()), Level.CANONICAL, source=sdist()),
    "another tool": Pair(zip_bytes(TOOLS[0]), zip_bytes(TOOLS[1]), Level.NORMALIZED, source=sdist()),
    "a signed jar": Pair(zip_bytes(a_jar(extra=SIGNED, section=DIGEST)), zip_bytes(a_jar()), Level.SEMANTIC, name="demo.jar"),
    "another payload": Pair(wheel(), wheel(FOUND | {"demo/core.py": b"evil\n"}), None, outcome=Outcome.DIFFERS, source=sdist()),
    "a false list in the original": Pair(LIE, wheel(FOUND), None, outcome=Outcome.DIFFERS),
    "a gap": Pair(zip_bytes(a_wheel(), suffix=b"x"), zip_bytes(a_wheel()), None, outcome=Outcome.AMBIGUOUS_ARCHIVE),
    "no archive": Pair(b"no archive" * 9, wheel(), None, outcome=Outcome.AMBIGUOUS_ARCHIVE),
    "more than is listed": Pair(wheel({f"demo/{n}.py": b"" for n in range(2500)}), wheel(), None, outcome=Outcome.DIFFERS),
}


@pytest.fixture(params=PAIRS)
def judged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Pair, dict[str, Any], Tried]:
    """A pair, the comparer's document of it, and what the worker read out of that document's bytes."""
    pair = PAIRS[request.param]
    document = compared(tmp_path, pair)
    made = canonical(document)
    assert len(made) < MAX_RESULT
    read = cast("dict[str, Any]", parse(made, max_bytes=MAX_RESULT, what="the document"))
    base = Tried(
        n=1,
        recipe=b"{}",
        environment=cast(Any, SimpleNamespace(lock_sha256=sha256(b"lock"), name="bookworm-python")),
        rebuilt=Collected(f"dist/{NAME}", sha256(pair.rebuilt), len(pair.rebuilt), Path("nowhere")),
    )
    return pair, read, reporting.read_comparison(Output(read, {}, cast(Any, None)), resolution(pair), base)


def compared(tmp_path: Path, pair: Pair) -> dict[str, Any]:
    for name, data in (("original", pair.original), ("rebuilt", pair.rebuilt), ("source", pair.source or b"")):
        (tmp_path / name).write_bytes(data)
    source = read_source(tmp_path / "source") if pair.source is not None else None
    origin = Origin(source, stamp_window(source, UPLOADED)) if source is not None else None
    names = (pair.name, pair.name)
    return compare_files(tmp_path / "original", tmp_path / "rebuilt", names=names, origin=origin).as_json()


def resolution(pair: Pair) -> Resolution:
    known = CONTEXT.resolution
    assert known.original is not None
    return replace(known, original=replace(known.original, sha256=sha256(pair.original), size=len(pair.original)))


def test_the_worker_signs_the_verdict_that_the_comparer_gave(judged: tuple[Pair, dict[str, Any], Tried]) -> None:
    pair, document, tried = judged
    assert (document["outcome"], document.get("level")) == (pair.outcome, pair.level)
    assert (tried.outcome, tried.level) == (pair.outcome, pair.level)
    if tried.cause is not None:
        assert {"class": tried.cause.class_, "detail": tried.cause.detail} == document["cause"]
    assert [(one.id, str(one.version)) for one in tried.passes or ()] == [(one["id"], str(one["version"])) for one in document.get("passes", ())]
    rows = [(one.code, one.path or "", one.detail or "") for one in tried.findings]
    assert rows == list(dict.fromkeys((one["code"], one["path"], one["detail"]) for one in document["findings"]))


def test_causes_and_differences_arrive_whole_where_bytes_differ(judged: tuple[Pair, dict[str, Any], Tried]) -> None:
    pair, document, tried = judged
    if pair.level is Level.BITWISE:
        assert (tried.causes, tried.difference_count) == ((), 0)
        return
    shown = [{"id": one.id, "certainty": one.certainty, "fix": one.fix or "", "detail": one.detail or "", "count": one.count} for one in tried.causes]
    assert shown == document["causes"]
    assert (tried.difference_count, len(tried.differences)) == (document["count"], min(len(document["differences"]), reporting.MAX_SHOWN))
    if document["differences"]:
        assert tried.difference_list == canonical(document["differences"])


def test_report_and_comparison_say_the_same_and_in_whose_name(judged: tuple[Pair, dict[str, Any], Tried]) -> None:
    pair, _, tried = judged
    reported, value = statements(pair, tried)
    for one in (reported, value):
        assert (one.outcome, one.level, one.passes, one.causes, one.unstamped) == (
            pair.outcome,
            pair.level,
            tried.passes,
            tried.causes,
            tried.unstamped,
        )
    arithmetic = pair.level in (Level.BITWISE, Level.TIMES_STAMPED)
    assert value.claimed_by["outcome"] is (Claimant.ATTESTER if arithmetic else Claimant.WORKER)
    if pair.level is not None and not arithmetic:
        assert value.rebuilt is not None
        assert value.rebuilt.sha256 != value.original.sha256
        assert value.claimed_by["level"] is Claimant.WORKER
        assert not {Finding.AMBIGUOUS_ARCHIVE, Finding.FALSE_MANIFEST} & {one.code for one in value.findings}


def statements(pair: Pair, tried: Tried) -> tuple[Report, Comparison]:
    """The report and the comparison, decoded from the bytes that would be signed."""
    claim = SimpleNamespace(rebuild="rb-1", attempt="at-1", lease="x", request_sha256=sha256(b"request"), resolution_id=sha256(b"none"))
    worker = SimpleNamespace(claim=claim, settings=SimpleNamespace(arch="amd64", deployment="single-host"), signer=p256("worker"))
    resolved = resolution(pair)
    made = reporting.build_report(
        cast(Any, worker),
        resolved,
        tried,
        candidates=(),
        log=LogBlob(sha256(b""), 0),
        timings={},
        started=datetime.now(UTC),
        sandbox={},
    )
    reported = report.read(decode(made.encode()))
    context = replace(CONTEXT, resolution=resolved, report=reported)
    return reported, comparison.read(decode(comparison.build_comparison(context, provenance=sha256(b"provenance")).encode()))  # type: ignore[arg-type]


def test_the_pairs_reach_every_level_and_every_way_that_comparing_ends() -> None:
    assert {pair.level for pair in PAIRS.values()} == {None, *Level}
    assert {pair.outcome for pair in PAIRS.values()} == {Outcome.REPRODUCED, Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE}
