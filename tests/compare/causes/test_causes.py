"""Each cause is named where it was injected, no difference is claimed twice, and nothing that an attacker did is ever proved to be harmless."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.archive.tree import Profile
from reprove.compare.causes import catalogue
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.catalogue import BY_ID, BY_PASS, ROWS, UNEXPLAINED
from reprove.compare.causes.explain import explain
from reprove.compare.causes.model import Case, Sides
from reprove.compare.causes.texts import text_causes
from reprove.compare.engine import compare_files
from reprove.compare.passes.registry import PASSES
from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty
from tests.bench import cause_bench
from tests.compare.injected import Pair, pairs


@pytest.mark.slow
def test_the_injected_cause_is_named_first_and_no_tampering_is_proved_harmless() -> None:
    seed = random.SystemRandom().randrange(2**32)
    result = cause_bench.run(seed, 1)
    print(f"seed {seed}: {result['misses']}")
    assert result["false_proofs"] == 0
    assert result["tampered_unexplained"] == result["tampered"]
    assert float(str(result["top1"])) >= 0.9
    assert float(str(result["mixture_recall"])) >= 0.9


@pytest.mark.slow
def test_every_difference_of_a_real_pair_is_claimed_once(tmp_path: Path) -> None:
    for pair in pairs(7, 1):
        comparison = compared(tmp_path, pair)
        assert sum(one.count for one in comparison.causes) == comparison.count, pair.name


def compared(folder: Path, pair: Pair):  # type: ignore[no-untyped-def]  # noqa: ANN201
    (folder / "a").write_bytes(pair.old)
    (folder / "b").write_bytes(pair.new)
    return compare_files(folder / "a", folder / "b", names=(pair.file, pair.file))


FIELDS = [
    "content",
    "size",
    "member",
    "mode",
    "executable",
    "time",
    "uid",
    "order",
    "comment",
    "method",
    "deflate",
    "packed",
    "extra:9999",
    "kind",
    "pax:x",
]
VALUES = st.one_of(
    st.none(), st.integers(0, 0o777), st.sampled_from(["100644", "100664", "yes", "no", "2024-01-02 03:04:05", "folder", "\x1b[2J", ""])
)
ROW = st.builds(
    Difference,
    path=st.sampled_from(["", "a", "b/c", "x.zip", "x.zip!/a", "data.tar!/b", "demo-1.0.dist-info/RECORD"]),
    field=st.sampled_from(FIELDS),
    old=VALUES,
    new=VALUES,
)


@given(st.lists(ROW, max_size=12), st.sampled_from(Profile), st.binary(max_size=60), st.binary(max_size=60), st.booleans())
def test_whatever_differs_is_claimed_exactly_once(rows: list[Difference], profile: Profile, old: bytes, new: bytes, lying: bool) -> None:
    contents = {row.path: Sides(row.path, old, new) for row in rows if row.field == "content"}
    found = explain(Case(profile, tuple(rows), contents, lying))
    claimed = [index for one in found for index in one.claims]
    assert sorted(claimed) == list(range(len(rows)))
    assert len({one.id for one in found}) == len(found)
    assert all(one.id in BY_ID for one in found)


TIMES = {
    "one constant": ([("2024-01-02 03:04:05", "2024-03-02 03:04:05")] * 3, "build-time", Certainty.PROVED),
    "one zone": (
        [
            ("2024-01-02 03:04:04", "2024-01-02 08:34:04"),
            ("2024-01-05 03:04:04", "2024-01-05 08:34:04"),
            ("2023-01-05 01:00:00", "2023-01-05 06:30:00"),
        ],
        "time-zone",
        Certainty.PROVED,
    ),
    "the source's against one": (
        [
            ("2023-01-02 03:04:04", "2024-01-02 00:00:00"),
            ("2022-01-05 03:04:04", "2024-01-02 00:00:00"),
            ("2021-01-05 01:00:00", "2024-01-02 00:00:00"),
        ],
        "source-times",
        Certainty.LIKELY,
    ),
    "no dates": ([("x", "y")], "build-time", Certainty.PROVED),
}


@pytest.mark.parametrize("story", TIMES)
def test_times_are_judged_together(story: str) -> None:
    sides, cause, certainty = TIMES[story]
    rows = tuple(Difference(f"m{number}", "time", old, new) for number, (old, new) in enumerate(sides))
    (found,) = explain(Case(Profile.WHEEL, rows, {}))
    assert (found.id, found.certainty, len(found.claims)) == (cause, certainty, len(rows))


def test_an_executable_bit_is_never_proved_harmless() -> None:
    rows = (Difference("a", "executable", "no", "yes"), Difference("a", "mode", "100644", "100755"))
    (found,) = explain(Case(Profile.WHEEL, rows, {}))
    assert (found.id, found.certainty, found.claims) == ("executable-bit", Certainty.LIKELY, (0, 1))


def test_a_file_that_moved_is_never_proved_harmless() -> None:
    what = "9 bytes, sha256 " + "ab" * 32
    rows = (Difference("demo/start.py", "member", what, None), Difference("demo_start.pth", "member", None, what))
    assert all(one.certainty is not Certainty.PROVED for one in explain(Case(Profile.WHEEL, rows, {})))


def test_a_record_that_lies_follows_from_nothing() -> None:
    path = "demo-1.0.dist-info/RECORD"
    sides = Sides(path, b"demo/a.py,sha256=AAAA,1\ndemo-1.0.dist-info/RECORD,,\n", b"demo/a.py,sha256=BBBB,1\ndemo-1.0.dist-info/RECORD,,\n")
    rows = (Difference(path, "content", "a", "b", 0),)
    assert [one.id for one in explain(Case(Profile.WHEEL, rows, {path: sides}))] == ["derived-record"]
    assert [one.id for one in explain(Case(Profile.WHEEL, rows, {path: sides}, lying=True))] == [UNEXPLAINED]


EXCHANGED = {
    "a pinned digest": (b"SHA = '" + b"a1" * 32 + b"'\n", b"SHA = '" + b"b2" * 32 + b"'\n"),
    "a path in a script": (b"#!/build/one/bin/python\n", b"#!/tmp/evil/bin/python\n"),
    "a date": (b"EXPIRES = '2024-01-02'\n", b"EXPIRES = '2034-01-02'\n"),
    "a commit": (b"PIN = 'gabcdef123'\n", b"PIN = 'gabcdef124'\n"),
}


@pytest.mark.parametrize("what", EXCHANGED)
def test_a_token_that_an_attacker_exchanged_is_at_most_likely(what: str) -> None:
    assert all(certainty is Certainty.LIKELY for _, certainty in text_causes("demo/a.py", *EXCHANGED[what], Budget()))


@pytest.mark.parametrize("path", ["/usr/bin/x", "/etc/passwd", "/bin/sh"])
def test_a_system_path_is_no_build_path(path: str) -> None:
    assert text_causes("demo/a.py", f"run {path} now\n".encode(), b"run /build/demo/x now\n", Budget()) == []


@pytest.mark.parametrize(
    "data", [b"a" * 2_000_000, b"0123456789abcdef" * 60_000, b"/x" * 500_000, b"2024-01-" * 100_000, b"A+/" * 300_000, b"@" * 1_000_000]
)
def test_hostile_text_takes_no_long_time(data: bytes) -> None:
    text_causes("demo/a.py", data + b"1", data + b"2", Budget())


def test_ids_are_unique_and_frozen_in_form() -> None:
    assert len(BY_ID) == len(ROWS)
    assert all(re.fullmatch(r"[a-z0-9-]{3,30}", row.id) for row in ROWS)
    assert set(BY_PASS.values()) <= set(BY_ID)
    assert set(BY_PASS) <= {one.id for one in PASSES}


def test_every_cause_is_told_on_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "comparison.md").read_text().splitlines()
    assert not [line for line in catalogue.table().splitlines() if line not in page]
