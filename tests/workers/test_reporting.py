"""What the comparer's document becomes: a level only where every part of it is one of ours, else a difference; the best candidate speaks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.compare.passes.registry import PASSES
from reprove.core.canonical import parse
from reprove.core.digests import sha256
from reprove.core.outcomes import Finding, Level, Outcome
from reprove.core.statements import report as reports
from reprove.core.statements.common import decode
from reprove.core.statements.parts import Cause, CauseHint, FindingRow, Pass
from reprove.core.statements.report import LogBlob
from tests.core.world import FILE, World, p256
from workers import rebuild, reporting
from workers.rebuild import Attempt
from workers.reporting import Tried
from workers.sandbox import Collected
from workers.steps import Ending, Output

RESOLUTION = World().context().resolution
OTHER = Collected("dist/demo.whl", sha256(b"other"), 5, Path("nowhere"))
SAME = Collected("dist/demo.whl", sha256(FILE), len(FILE), Path("nowhere"))
HOSTILE = "\x1b[2K\rEQUAL\u202e\n"
BY = {level: next(one for one in PASSES if one.level is level) for level in (Level.NORMALIZED, Level.SEMANTIC)}
ROW = {"path": "demo/x.py", "field": "time", "old": "2020-01-01 00:00:00", "new": "2021-01-01 00:00:00", "offset": 10}
CAUSE = {"id": "archive-times", "certainty": "proved", "fix": "set SOURCE_DATE_EPOCH", "detail": "demo/x.py", "count": 3}


def used(level: Level) -> dict[str, Any]:
    return {"id": BY[level].id, "version": BY[level].version, "count": 1}


def document(level: str | None = "canonical", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"outcome": "reproduced", "differences": [ROW], "count": 3, "findings": [], "causes": [CAUSE]}
    return {**found, **({"level": level} if level else {}), **more}


def read(value: Mapping[str, Any], rebuilt: Collected = OTHER, **tried: Any) -> Tried:
    return reporting.read_comparison(Output(value, {}, cast(Any, None)), RESOLUTION, Tried(n=1, rebuilt=rebuilt, **tried))


def test_canonical_is_read_with_what_it_leaves_out_and_why() -> None:
    tried = read(document())
    assert (tried.outcome, tried.level, tried.cause, tried.passes, tried.stamps) == (Outcome.REPRODUCED, Level.CANONICAL, None, None, None)
    assert (len(tried.differences), tried.difference_count) == (1, 3)
    assert tried.causes == (CauseHint("archive-times", "proved", "set SOURCE_DATE_EPOCH", "demo/x.py", 3),)  # type: ignore[arg-type]
    assert reporting.describe(tried) == "equal, canonical"
    assert tried.unstamped is None
    assert read(document(unstamped=f"demo/x.py: {HOSTILE}")).unstamped == "demo/x.py:  [2K EQUAL  "


@pytest.mark.parametrize("level", BY)
def test_levels_that_rest_on_passes_are_read_with_them(level: Level) -> None:
    tried = read(document(level.value, passes=[used(level)]))
    assert (tried.level, tried.passes) == (level, (Pass(BY[level].id, str(BY[level].version)),))  # type: ignore[arg-type]
    assert reporting.describe(tried) == f"equal, {level} by {BY[level].id} {BY[level].version}"


def test_semantic_may_rest_on_passes_of_both_levels() -> None:
    assert read(document("semantic", passes=[used(level) for level in BY])).level is Level.SEMANTIC


STAMP = {"member": "demo/RECORD", "offset": 4, "old": "00000000", "new": "01020304"}
TIMES = {"outcome": "reproduced", "level": "times-stamped", "stamps": [STAMP], "differences": [], "count": 0, "findings": [], "causes": []}


def test_times_stamped_is_what_it_was() -> None:
    tried = read({**TIMES, "unstamped": "x"})
    assert tried.unstamped is None
    assert (tried.level, tried.passes, tried.causes, tried.differences, tried.difference_list) == (Level.TIMES_STAMPED, None, (), (), None)
    assert [(one.member, one.offset, one.old, one.new) for one in tried.stamps or ()] == [("demo/RECORD", 4, "00000000", "01020304")]
    assert reporting.describe(tried) == "equal, times-stamped"


NEVER_EQUAL: dict[str, dict[str, Any]] = {
    "bitwise with other bytes": document("bitwise"),
    "no level": document(None),
    "a level of another name": document("identical"),
    "a level that is no text": document(cast(Any, ["canonical"])),
    "an outcome of another name": document(outcome="equal"),
    "an outcome that comparing never has": document(None, outcome="build-failed", cause={"class": "backend-failed", "detail": "x"}),
    "canonical with passes": document(passes=[used(Level.NORMALIZED)]),
    "canonical with stamps": document(stamps=[STAMP]),
    "times-stamped without a list of stamps": document("times-stamped"),
    "times-stamped with passes": {**TIMES, "passes": [used(Level.NORMALIZED)]},
    "times-stamped without stamps": {**TIMES, "stamps": []},
    "times-stamped with a stamp of three bytes": {**TIMES, "stamps": [{**STAMP, "new": "010203"}]},
    "times-stamped with a stamp that is no object": {**TIMES, "stamps": [STAMP, "x"]},
    "normalized without passes": document("normalized"),
    "normalized with no pass in the list": document("normalized", passes=[]),
    "normalized by a pass that nobody has": document("normalized", passes=[{"id": "ignore-everything", "version": 1}]),
    "normalized by one pass of ours and one of nobody's": document("normalized", passes=[used(Level.NORMALIZED), {"id": "x", "version": 1}]),
    "normalized by another version": document("normalized", passes=[{**used(Level.NORMALIZED), "version": 99}]),
    "normalized by a version that is true": document("normalized", passes=[{**used(Level.NORMALIZED), "version": True}]),
    "normalized by a version in words": document("normalized", passes=[{**used(Level.NORMALIZED), "version": "1"}]),
    "normalized by the same pass twice": document("normalized", passes=[used(Level.NORMALIZED)] * 2),
    "normalized by a semantic pass": document("normalized", passes=[used(Level.SEMANTIC)]),
    "semantic by a normalized pass": document("semantic", passes=[used(Level.NORMALIZED)]),
    "passes that are no list": document("normalized", passes=used(Level.NORMALIZED)),
    "a pass that is no object": document("normalized", passes=[BY[Level.NORMALIZED].id]),
    "a pass whose name is a list": document("normalized", passes=[{"id": [], "version": 1}]),
    "a pass whose name writes to the terminal": document("normalized", passes=[{"id": HOSTILE, "version": 1}]),
    "a cause without a certainty": document(causes=[{"id": "umask"}]),
    "a cause of another certainty": document(causes=[{**CAUSE, "certainty": "surely"}]),
    "a cause whose name writes to the terminal": document(causes=[{**CAUSE, "id": HOSTILE}]),
    "a cause that explains minus one": document(causes=[{**CAUSE, "count": -1}]),
    "causes that are no list": document(causes={"id": "umask"}),
    "a finding that rules it out": document(findings=[{"code": "false-manifest", "path": "RECORD", "detail": "a wrong hash"}]),
    "an archive that means two things": document(findings=[{"code": "ambiguous-archive", "path": "", "detail": "gap"}]),
    "nothing at all": {},
}


@pytest.mark.parametrize("name", NEVER_EQUAL)
def test_never_equal(name: str) -> None:
    tried = read(NEVER_EQUAL[name])
    assert (tried.outcome, tried.level, tried.passes, tried.stamps) == (Outcome.DIFFERS, None, None, None)
    assert tried.cause is not None
    assert tried.cause.class_ == "container"
    assert tried.cause.detail.isprintable()
    assert tried.cause.detail.startswith("the comparison could not be read: ")


@given(st.sampled_from([*BY, Level.CANONICAL]), st.data())
def test_one_member_of_a_good_document_changed_never_makes_another_level(level: Level, data: st.DataObject) -> None:
    good = document(level.value, **({"passes": [used(level)]} if level in BY else {}))
    key = data.draw(st.sampled_from(sorted(good)))
    odd = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=5), st.sampled_from(list(Level)), st.just([]), st.just([{}]))
    tried = read({**good, key: data.draw(odd)})
    assert tried.level in (None, level)
    assert (tried.passes is not None) == (tried.level in BY)


def test_equal_bytes_are_bitwise_whatever_the_driver_says() -> None:
    for value in (document(), document("normalized"), {}, document(None, outcome="differs", cause={"class": "payload", "detail": "x"})):
        tried = read(value, SAME)
        assert (tried.level, tried.passes, tried.causes, tried.difference_count) == (Level.BITWISE, None, (), 0)
    ended = reporting.read_comparison(Ending(Outcome.LIMIT_EXCEEDED, Cause("memory", "x")), RESOLUTION, Tried(n=1, rebuilt=SAME))
    assert ended.level is Level.BITWISE
    odd = read(document(findings=[{"code": "false-manifest", "path": "RECORD", "detail": "x"}]), SAME)
    assert (odd.level, odd.findings) == (Level.BITWISE, (FindingRow(Finding.FALSE_MANIFEST, "RECORD", "x"),))


def differing(**more: Any) -> dict[str, Any]:
    return document(None, outcome="differs", cause={"class": "payload", "detail": "demo/x.py"}, **more)


def test_a_difference_keeps_its_causes() -> None:
    tried = read(differing())
    assert (tried.outcome, tried.cause, [one.id for one in tried.causes]) == (Outcome.DIFFERS, Cause("payload", "demo/x.py"), ["archive-times"])


def test_a_difference_whose_class_nobody_knows_is_still_a_difference() -> None:
    for cause in ({"class": HOSTILE, "detail": HOSTILE}, {}, None, "payload"):
        tried = read(differing() | {"cause": cause})
        assert tried.cause is not None
        assert (tried.outcome, tried.cause.class_) == (Outcome.DIFFERS, "container")


def test_text_is_one_bounded_printable_line_and_numbers_are_what_signed_json_holds() -> None:
    row = {"path": HOSTILE * 200, "field": HOSTILE, "old": HOSTILE * 200, "new": 2**70, "offset": 2**70}
    tried = read(differing(causes=[{**CAUSE, "fix": HOSTILE * 100, "detail": HOSTILE}] * 50, differences=[row], count=2**70))
    assert (len(tried.causes), tried.difference_count) == (20, 1)
    (shown,) = tried.differences
    texts = [shown.path, shown.field, str(shown.old), *(text for one in tried.causes for text in (one.fix or "", one.detail or ""))]
    assert all(text.isprintable() and len(text) <= 400 for text in texts)
    assert (shown.new, shown.offset) == (None, None)


def candidates(**levels: Level | Outcome | None) -> list[Tried]:
    made = []
    for number, what in enumerate(levels.values(), 1):
        if isinstance(what, Level):
            passes = (Pass(BY[what].id, "1"),) if what in BY else None  # type: ignore[arg-type]
            made.append(Tried(n=number, level=what, passes=passes))
        else:
            made.append(Tried(n=number, ending=Ending(what or Outcome.DIFFERS, Cause("payload", ""))))
    return made


LADDER = [Level.BITWISE, Level.TIMES_STAMPED, Level.CANONICAL, Level.NORMALIZED, Level.SEMANTIC, Outcome.DIFFERS, Outcome.BUILD_FAILED]


@pytest.mark.parametrize(("higher", "lower"), list(itertools.combinations(LADDER, 2)))
def test_the_candidate_that_came_closer_speaks_whenever_it_was_built(higher: Level | Outcome, lower: Level | Outcome) -> None:
    for pair in ({"a": higher, "b": lower}, {"a": lower, "b": higher}):
        best = min(candidates(**pair), key=reporting.order)
        assert higher in (best.level, best.outcome)


def test_fewer_passes_speak_before_more_and_the_latest_of_equals() -> None:
    one = Tried(n=1, level=Level.NORMALIZED, passes=(Pass("wheel-record", "1"),))  # type: ignore[arg-type]
    two = Tried(n=2, level=Level.NORMALIZED, passes=(Pass("wheel-record", "1"), Pass("wheel-generator", "1")))  # type: ignore[arg-type]
    assert min([one, two], key=reporting.order) is one
    assert min([one, replace(one, n=3), two], key=reporting.order).n == 3


@pytest.mark.parametrize(
    ("levels", "built", "best"),
    [
        ([Level.BITWISE, Level.BITWISE], 1, Level.BITWISE),
        ([Level.TIMES_STAMPED, Level.BITWISE], 1, Level.TIMES_STAMPED),
        ([Level.CANONICAL, Level.BITWISE], 2, Level.BITWISE),
        ([Level.NORMALIZED, Level.CANONICAL, Level.SEMANTIC, None], 4, Level.CANONICAL),
        ([None, Level.SEMANTIC, None, None, Level.BITWISE], 4, Level.SEMANTIC),
        ([Level.CANONICAL], 1, Level.CANONICAL),
    ],
)
def test_the_search_ends_at_times_stamped_or_with_the_drafts_or_the_budget(
    levels: list[Level | None], built: int, best: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = candidates(**{str(number): level for number, level in enumerate(levels)})
    monkeypatch.setattr(rebuild, "materials", lambda _attempt: (Path(), Path()))
    monkeypatch.setattr(rebuild, "infer", lambda *_: reporting.Inferred({}, ()))
    monkeypatch.setattr(rebuild, "candidate", lambda attempt, *_: results[len(attempt.tried)])
    monkeypatch.setattr(rebuild.pypi, "candidates", lambda *_: results[len(attempt.tried) :])
    context = SimpleNamespace(settings=SimpleNamespace(candidates=4), heartbeat=SimpleNamespace(check=lambda: None))
    attempt = cast(Attempt, SimpleNamespace(context=context, tried=[], resolution=RESOLUTION))
    final = rebuild.choose(attempt)
    assert (len(attempt.tried), final.level) == (built, best)


def test_the_report_carries_level_passes_causes_and_every_candidates_level() -> None:
    tried = read(document("normalized", passes=[used(Level.NORMALIZED)], unstamped="RECORD: too late"), recipe=b"{}", environment=_environment())
    attempt = SimpleNamespace(
        claim=SimpleNamespace(rebuild="rb-1", attempt="at-1", lease="x", request_sha256=sha256(b"request"), resolution_id=sha256(b"resolution")),
        settings=SimpleNamespace(arch="amd64", deployment="single-host"),
        signer=p256("worker"),
    )
    now = datetime.now(UTC)
    statement = reporting.build_report(
        cast(Any, attempt),
        RESOLUTION,
        tried,
        candidates=(rebuild._row(tried),),
        log=LogBlob(sha256(b""), 0),
        timings={},
        started=now,
        sandbox={},
    )
    value = reports.read(decode(statement.encode()))
    assert (value.level, value.passes, value.unstamped) == (Level.NORMALIZED, tried.passes, "RECORD: too late")
    assert [(one.id, one.detail, one.count) for one in value.causes] == [("archive-times", "demo/x.py", 3)]
    assert value.differences is not None
    assert (value.differences.count, len(value.differences.shown)) == (3, 1)
    assert tried.difference_list is not None
    assert value.differences.blob is not None
    assert value.differences.blob.sha256 == sha256(tried.difference_list)
    assert parse(tried.difference_list, max_bytes=1000, what="x") == [ROW]
    assert [(one.outcome, one.level, one.passes) for one in value.candidates] == [(Outcome.REPRODUCED, Level.NORMALIZED, tried.passes)]


def _environment() -> Any:
    return SimpleNamespace(lock_sha256=sha256(b"lock"), name="bookworm-python")
