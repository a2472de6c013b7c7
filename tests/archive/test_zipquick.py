"""A quick look shows what differs, and never that nothing does."""

from __future__ import annotations

import typing
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive import zipquick
from reprove.archive.limits import ArchiveError
from reprove.archive.zipquick import QuickLook, structural
from reprove.compare.engine import compare_files
from reprove.core.outcomes import Level
from tests.archive.zips import LATER, Part, deflate, zip_bytes

TEXT = b"".join(b"line %d of a text\n" % number for number in range(30_000))
CHANGED = TEXT[:400_000] + b"#" + TEXT[400_001:]
BASE = [Part("a.txt", b"alpha" * 40), Part("big.txt", TEXT), Part("d/", b"", mode=0o040755, method=0)]


def look(tmp_path: Path, original: bytes, rebuilt: bytes) -> QuickLook:
    (tmp_path / "original").write_bytes(original)
    (tmp_path / "rebuilt").write_bytes(rebuilt)
    return structural(tmp_path / "original", tmp_path / "rebuilt")


def rows(seen: QuickLook) -> set[tuple[str, str]]:
    return {(row.path, row.field) for row in seen.rows}


def other(part: Part) -> bytes:
    return zip_bytes([part if one.name == part.name else one for one in BASE])


SIZES = {"stored": len(TEXT), "method": 0}
DIFFERING = {
    "a byte of a content": (other(Part("big.txt", CHANGED)), {("big.txt", "crc"), ("big.txt", "content"), ("big.txt", "local-header")}, True),
    "an executable bit": (other(Part("a.txt", b"alpha" * 40, mode=0o100755)), {("a.txt", "mode"), ("a.txt", "executable")}, True),
    "a link": (other(Part("a.txt", b"alpha" * 40, mode=0o120644)), {("a.txt", "mode"), ("a.txt", "kind")}, True),
    "a comment": (zip_bytes(BASE, comment=b"hello"), {("", "comment")}, True),
    "a comment of a member": (other(Part("a.txt", b"alpha" * 40, comment=b"hello")), {("a.txt", "comment")}, True),
    "a member more": (zip_bytes([*BASE, Part("b.txt")]), {("b.txt", "member")}, True),
    "a member less": (zip_bytes(BASE[1:]), {("a.txt", "member")}, True),
    "a umask": (other(Part("a.txt", b"alpha" * 40, mode=0o100664)), {("a.txt", "mode")}, None),
    "a time": (other(Part("a.txt", b"alpha" * 40, time=LATER)), {("a.txt", "time"), ("a.txt", "local-header")}, None),
    "a folder less": (zip_bytes(BASE[:2]), {("d/", "member")}, None),
    "another compressor": (
        other(Part("big.txt", TEXT, method=0)),
        {("big.txt", "method"), ("big.txt", "local-header"), ("big.txt", "deflate")},
        None,
    ),
    "a local header alone": (other(Part("a.txt", b"alpha" * 40, local={"time": LATER})), {("a.txt", "local-header")}, None),
    "nothing": (zip_bytes(BASE), set(), None),
    "the order": (zip_bytes(BASE[::-1]), set(), None),
}


@pytest.mark.parametrize("what", DIFFERING)
def test_what_differs_is_named(tmp_path: Path, what: str) -> None:
    rebuilt, expected, differs = DIFFERING[what]
    seen = look(tmp_path, zip_bytes(BASE), rebuilt)
    assert (rows(seen), seen.differs) == (expected, differs)


@pytest.mark.parametrize("method", [0, 8])
def test_the_first_different_byte_of_a_content_is_found(tmp_path: Path, method: int) -> None:
    seen = look(tmp_path, zip_bytes([Part("big.txt", TEXT, method=method)]), zip_bytes([Part("big.txt", CHANGED, method=method)]))
    (row,) = [row for row in seen.rows if row.field == "content"]
    assert (row.old, row.new, row.offset) == (TEXT[400_000:400_016].hex(), CHANGED[400_000:400_016].hex(), 400_000)


@pytest.mark.parametrize("method", [0, 8])
def test_a_content_that_ends_earlier_differs_where_it_ends(tmp_path: Path, method: int) -> None:
    seen = look(tmp_path, zip_bytes([Part("big.txt", TEXT, method=method)]), zip_bytes([Part("big.txt", TEXT[:-3], method=method)]))
    (row,) = [row for row in seen.rows if row.field == "content"]
    assert (row.new, row.offset) == ("", len(TEXT) - 3)


def test_a_false_crc_claims_a_difference_that_inflating_does_not_find(tmp_path: Path) -> None:
    seen = look(tmp_path, zip_bytes(BASE), other(Part("a.txt", b"alpha" * 40, central={"crc": 1})))
    assert rows(seen) == {("a.txt", "crc")}
    assert seen.differs is True  # a sound reading calls it ambiguous, and not equal


def test_inflating_ends_with_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipquick, "_MAX_INFLATED", 1000)
    seen = look(tmp_path, zip_bytes(BASE), other(Part("big.txt", CHANGED)))
    assert "content" not in {row.field for row in seen.rows}
    assert seen.differs is True  # the CRC says so


def test_damaged_deflate_data_is_no_crash(tmp_path: Path) -> None:
    damaged = Part("big.txt", b"\xff" * len(deflate(TEXT)), method=0, local={"method": 8}, central={"method": 8})
    assert ("big.txt", "crc") in rows(look(tmp_path, zip_bytes(BASE), other(damaged)))


@pytest.mark.parametrize("data", [b"", b"PK", zip_bytes(BASE)[:-30], zip_bytes(BASE, end={"offset": 10**6})])
def test_what_has_no_directory_is_a_plain_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArchiveError):
        look(tmp_path, zip_bytes(BASE), data)


def test_no_value_of_its_type_says_equal() -> None:
    assert typing.get_type_hints(QuickLook)["differs"] == typing.Literal[True] | None


SMALL = [Part("a.txt", b"alpha" * 40), Part("b.txt", b"beta"), Part("x", b"run", mode=0o100755, method=0)]
PLAIN = zip_bytes(SMALL)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_a_difference_that_is_seen_is_one_that_a_sound_reading_has(tmp_path: Path, at: int, change: int) -> None:
    rebuilt = bytearray(PLAIN)
    rebuilt[at] ^= change
    with suppress(ArchiveError):  # unreadable, or a size that is beyond the limit
        seen = look(tmp_path, PLAIN, bytes(rebuilt))
        result = compare_files(tmp_path / "original", tmp_path / "rebuilt")
        assert not seen.differs or result.level not in (Level.BITWISE, Level.TIMES_STAMPED, Level.CANONICAL)
