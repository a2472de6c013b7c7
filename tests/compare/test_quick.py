"""A quick look at two zips shows what differs in them, and never that nothing does."""

from __future__ import annotations

import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.limits import ArchiveError
from reprove.compare.engine import compare_files
from reprove.compare.quick import Decided, differs
from reprove.core.outcomes import Level
from tests.archive.zips import LATER, Part, zip_bytes

TEXT = b"".join(b"line %d of a text\n" % number for number in range(30_000))
CHANGED = TEXT[:400_003] + b"#" + TEXT[400_004:]
BASE = [Part("a.txt", b"alpha" * 40), Part("big.txt", TEXT), Part("d/", b"", mode=0o040755, method=0)]


def look(tmp_path: Path, original: bytes, rebuilt: bytes) -> Decided | None:
    (tmp_path / "original").write_bytes(original)
    (tmp_path / "rebuilt").write_bytes(rebuilt)
    return differs(tmp_path / "original", tmp_path / "rebuilt")


def other(part: Part) -> bytes:
    return zip_bytes([part if one.name == part.name else one for one in BASE])


DECIDED = {
    "a byte of a content": (other(Part("big.txt", CHANGED)), [("big.txt", "content")]),
    "two contents": (zip_bytes([Part("a.txt", b"beta"), Part("big.txt", CHANGED), BASE[2]]), [("a.txt", "content"), ("big.txt", "content")]),
    "a member more": (zip_bytes([*BASE, Part("b.txt")]), [("b.txt", "member")]),
    "a member less": (zip_bytes(BASE[1:]), [("a.txt", "member")]),
}
UNDECIDED = {
    "the same bytes": zip_bytes(BASE),
    "an executable bit": other(Part("a.txt", b"alpha" * 40, mode=0o100755)),
    "a time": other(Part("a.txt", b"alpha" * 40, time=LATER)),
    "a folder less": zip_bytes(BASE[:2]),
    "another compressor": other(Part("big.txt", TEXT, method=0)),
    "the order": zip_bytes(BASE[::-1]),
    "a name twice": zip_bytes([*BASE, Part("a.txt", b"other")]),
    "no directory": zip_bytes(BASE)[:-30],
    "no zip": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("what", DECIDED)
def test_members_and_contents_that_differ_are_named(tmp_path: Path, what: str) -> None:
    rebuilt, expected = DECIDED[what]
    seen = look(tmp_path, zip_bytes(BASE), rebuilt)
    assert seen is not None
    assert [(row.path, row.field) for row in seen.differences] == expected
    assert seen.total == len(expected)


@pytest.mark.parametrize("what", UNDECIDED)
def test_what_the_directories_do_not_decide_is_left_to_a_sound_reading(tmp_path: Path, what: str) -> None:
    assert look(tmp_path, zip_bytes(BASE), UNDECIDED[what]) is None


def test_the_first_different_byte_of_a_content_is_found(tmp_path: Path) -> None:
    seen = look(tmp_path, zip_bytes(BASE), other(Part("big.txt", CHANGED)))
    assert seen is not None
    assert seen.differences[0].offset == 400_003


def test_a_content_that_ends_earlier_differs_where_it_ends(tmp_path: Path) -> None:
    seen = look(tmp_path, zip_bytes(BASE), other(Part("big.txt", TEXT[:-3])))
    assert seen is not None
    assert seen.differences[0].offset == len(TEXT) - 3


def test_a_member_that_inflates_to_more_than_it_says_costs_no_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(96 * 1024**2)) + packer.flush()

    def lying(crc: int) -> bytes:
        facts = {"method": 8, "size": 8 * 1024**2, "crc": crc}
        return zip_bytes([Part("a", bomb + bytes([crc]), method=0, local=facts, central=facts)])

    tracemalloc.start()
    seen = look(tmp_path, lying(1), lying(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen is not None
    assert seen.differences[0].offset is None
    assert peak < 40 * 1024**2


SMALL = [Part("a.txt", b"alpha" * 40), Part("b.txt", b"beta"), Part("x", b"run", mode=0o100755, method=0)]
PLAIN = zip_bytes(SMALL)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_what_is_decided_is_never_equal_when_it_is_read_soundly(tmp_path: Path, at: int, change: int) -> None:
    rebuilt = bytearray(PLAIN)
    rebuilt[at] ^= change
    if look(tmp_path, PLAIN, bytes(rebuilt)):
        with suppress(ArchiveError):
            result = compare_files(tmp_path / "original", tmp_path / "rebuilt")
            assert result.level not in (Level.BITWISE, Level.TIMES_STAMPED, Level.CANONICAL)
