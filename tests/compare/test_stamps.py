"""Times of generated members may be stamped, and nothing else may: not payload, not the source's times, not a message."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from reprove.archive.dostime import dos_seconds
from reprove.archive.structure import Notes
from reprove.core.outcomes import Finding, Level, Outcome
from tests.archive.zips import LATER, MTIME, TIME, UPLOADED, Part, sdist, wheel, wheel_parts, zip_bytes
from tests.compare.pairs import apply, judge

BUILD_DAY = struct.pack("<HH", 9 << 11, (2026 - 1980) << 9 | 11 << 5 | 24)


def dos(seconds_later: int) -> bytes:
    total = 3 * 3600 + 4 * 60 + 4 + seconds_later
    return struct.pack("<HH", total // 3600 << 11 | total // 60 % 60 << 5 | total % 60 // 2, (2024 - 1980) << 9 | 1 << 5 | 2)


def test_equal_bytes_are_bitwise_and_nothing_is_stamped(tmp_path: Path) -> None:
    result = judge(tmp_path, wheel(), wheel())
    assert (result.outcome, result.level, result.stamps, result.findings) == (Outcome.REPRODUCED, Level.BITWISE, (), ())


def test_times_of_generated_members_are_stamped_and_the_list_gives_the_original(tmp_path: Path) -> None:
    original, rebuilt = wheel(info_time=LATER), wheel(info_time=BUILD_DAY)
    result = judge(tmp_path, original, rebuilt)
    assert (result.outcome, result.level) == (Outcome.REPRODUCED, Level.TIMES_STAMPED)
    assert len(result.stamps) == 6
    assert {stamp.member.partition("/")[0] for stamp in result.stamps} == {"demo-1.0.dist-info"}
    assert apply(rebuilt, result) == original


def test_a_sourced_member_keeps_the_sources_time(tmp_path: Path) -> None:
    original = wheel(time=LATER, info_time=LATER)
    result = judge(tmp_path, original, wheel(info_time=LATER))
    assert (result.outcome, result.level, result.stamps) == (Outcome.REPRODUCED, Level.CANONICAL, ())
    assert "demo/__init__.py" in result.unstamped


def test_a_source_file_that_the_build_wrote_again_counts_as_generated(tmp_path: Path) -> None:
    result = judge(tmp_path, wheel(time=LATER, info_time=LATER), wheel(time=BUILD_DAY, info_time=BUILD_DAY))
    assert result.level is Level.TIMES_STAMPED


def test_a_file_that_the_build_generated_is_stamped(tmp_path: Path) -> None:
    files = {"demo/__init__.py": b"x = 1\n", "demo/_version.py": b"version = '1.0'\n"}
    result = judge(tmp_path, wheel(files, info_time=LATER), wheel(files, info_time=BUILD_DAY), sdist({"demo/__init__.py": b"x = 1\n"}))
    assert result.level is Level.TIMES_STAMPED


def with_times(times: list[bytes]) -> bytes:
    parts = wheel_parts(info_time=times[0])
    generated = [part for part in parts if "dist-info" in part.name]
    for part, time in zip(generated, times, strict=False):
        part.time = time
    if len(times) > len(generated):
        generated[0].local = {"time": times[3]}
    return zip_bytes(parts)


def test_three_distinct_times_are_stamped_and_a_fourth_is_refused(tmp_path: Path) -> None:
    rebuilt = wheel(info_time=BUILD_DAY)
    assert judge(tmp_path, with_times([dos(60), dos(62), dos(64)]), rebuilt).level is Level.TIMES_STAMPED
    result = judge(tmp_path, with_times([dos(60), dos(62), dos(64), dos(66)]), rebuilt)
    assert (result.level, result.stamps) == (Level.CANONICAL, ())
    assert "4 distinct values" in result.unstamped


OUT_OF_RANGE = {
    "before the source": struct.pack("<HH", 0, (2023 - 1980) << 9 | 12 << 5 | 1),
    "long after the upload": struct.pack("<HH", 0, (2024 - 1980) << 9 | 1 << 5 | 9),
    "no date at all": struct.pack("<HH", 0xFFFF, 0xFFFF),
    "month 0": struct.pack("<HH", 0, (2024 - 1980) << 9 | 2),
    "zero": bytes(4),
}


@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_a_time_out_of_range_is_refused(tmp_path: Path, what: str) -> None:
    result = judge(tmp_path, wheel(info_time=OUT_OF_RANGE[what]), wheel(info_time=BUILD_DAY))
    assert (result.level, result.stamps) == (Level.CANONICAL, ())
    assert "not between the source and the upload" in result.unstamped


def test_a_local_time_may_differ_from_the_central_one_and_both_are_listed(tmp_path: Path) -> None:
    parts = wheel_parts(info_time=LATER)
    parts[-1].local = {"time": dos(8)}
    rebuilt = wheel(info_time=BUILD_DAY)
    result = judge(tmp_path, zip_bytes(parts), rebuilt)
    assert result.level is Level.TIMES_STAMPED
    assert apply(rebuilt, result) == zip_bytes(parts)


def overlapping(time: bytes) -> bytes:
    """A wheel whose ``demo/core.py`` holds another member's whole local header: the header's time field is payload.

    The CRC in the headers is the same constant for every ``time``, so that the payload is the only difference.
    """
    hidden = zip_bytes([Part("demo-1.0.dist-info/x.txt", b"", method=0, time=time)])[: 30 + len("demo-1.0.dist-info/x.txt")]
    fixed = {"crc": 1}
    outer = Part("demo/core.py", b"run('" + hidden + b"')\n", method=0, local=fixed, central=fixed)
    return zip_bytes([outer, Part("demo-1.0.dist-info/x.txt", b"", method=0, time=time, at=30 + len("demo/core.py") + 5, central={"time": TIME})])


def test_an_overlapping_member_cannot_make_payload_a_time_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, rebuilt = overlapping(dos(100)), overlapping(dos(200))
    assert judge(tmp_path, original, rebuilt).outcome is Outcome.AMBIGUOUS_ARCHIVE
    # without lint the attack works: four bytes of demo/core.py would be stamped
    monkeypatch.setattr(Notes, "add", lambda *_arguments: None)
    assert judge(tmp_path, original, rebuilt).level is Level.TIMES_STAMPED


@pytest.mark.parametrize("side", ["original", "rebuilt"])
def test_an_ambiguous_archive_on_either_side_is_never_equal(tmp_path: Path, side: str) -> None:
    clean, odd = wheel(info_time=LATER), zip_bytes(wheel_parts(info_time=LATER), suffix=b"x")
    result = judge(tmp_path, odd if side == "original" else clean, clean if side == "original" else odd)
    assert result.outcome is Outcome.AMBIGUOUS_ARCHIVE
    assert result.cause is not None
    assert "suffix" in result.cause.detail


def test_an_ambiguous_archive_is_a_finding_when_the_bytes_are_equal(tmp_path: Path) -> None:
    odd = zip_bytes(wheel_parts(), suffix=b"x")
    result = judge(tmp_path, odd, odd)
    assert (result.level, [row.code for row in result.findings]) == (Level.BITWISE, [Finding.AMBIGUOUS_ARCHIVE])


@pytest.mark.parametrize("broken", [b"", b"hello", wheel()[:-30]])
def test_an_unreadable_archive_is_an_outcome_and_not_a_fault(tmp_path: Path, broken: bytes) -> None:
    assert judge(tmp_path, broken, wheel()).outcome is Outcome.AMBIGUOUS_ARCHIVE
    assert judge(tmp_path, wheel(), broken).outcome is Outcome.AMBIGUOUS_ARCHIVE
    assert judge(tmp_path, broken, broken).level is Level.BITWISE


def test_equal_bytes_are_bitwise_also_beyond_a_limit_and_what_was_not_read_is_a_finding(tmp_path: Path) -> None:
    from reprove.archive.limits import LimitError, Limits
    from reprove.compare.engine import compare_files

    for name, data in (("a", wheel()), ("b", wheel()), ("c", wheel(info_time=LATER))):
        (tmp_path / name).write_bytes(data)
    small = Limits(entries=2)
    result = compare_files(tmp_path / "a", tmp_path / "b", limits=small)
    assert (result.level, [row.code for row in result.findings]) == (Level.BITWISE, [Finding.AMBIGUOUS_ARCHIVE])
    with pytest.raises(LimitError):
        compare_files(tmp_path / "a", tmp_path / "c", limits=small)


def test_nothing_is_stamped_without_a_source(tmp_path: Path) -> None:
    from reprove.compare.engine import compare_files

    for name, data in (("a", wheel(info_time=LATER)), ("b", wheel(info_time=BUILD_DAY))):
        (tmp_path / name).write_bytes(data)
    result = compare_files(tmp_path / "a", tmp_path / "b")
    assert (result.level, result.stamps) == (Level.CANONICAL, ())


def test_the_constants_of_these_tests_are_what_they_say() -> None:
    assert dos_seconds(TIME) == MTIME
    assert MTIME < dos_seconds(LATER) < UPLOADED + 3600
