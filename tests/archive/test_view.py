"""A view says what slicing the whole file would say, and holds one block of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive import view as module
from reprove.archive.limits import DEFAULT, ArchiveError
from reprove.archive.spans import open_span
from reprove.archive.view import View

DATA = bytes(range(256)) * 8


@contextmanager
def viewed(folder: Path, data: bytes = DATA, *, block: int = 64) -> Iterator[View]:
    (folder / "x").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch, open_span(folder / "x", DEFAULT) as span:
        patch.setattr(module, "_BLOCK", block)
        yield View(span)


PLACES = st.integers(0, len(DATA) + 50)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(PLACES, PLACES, st.booleans()), max_size=12))
def test_it_is_the_file_whatever_is_asked_in_whatever_order(tmp_path: Path, asked: list[tuple[int, int, bool]]) -> None:
    with viewed(tmp_path) as view:
        assert len(view) == len(DATA)
        for start, other, whole in asked:
            if whole:
                assert view[start:other] == DATA[start:other]
            else:
                block, at = view.around(start, other)
                assert block[at : at + other] == DATA[start : start + other]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.integers(0, len(DATA)), st.binary(min_size=1, max_size=3))
def test_it_finds_what_the_file_holds_last(tmp_path: Path, start: int, needle: bytes) -> None:
    with viewed(tmp_path) as view:
        assert view.rfind(needle, start) == DATA.rfind(needle, start)


def test_neighbours_cost_one_read(tmp_path: Path) -> None:
    with viewed(tmp_path) as view:
        first, _ = view.around(10, 20)
        assert view.around(12, 20)[0] is first
        assert view.around(400, 4)[0] is not first


def test_a_long_slice_is_read_and_not_kept(tmp_path: Path) -> None:
    with viewed(tmp_path) as view:
        first, _ = view.around(0, 10)
        assert view[0:1000] == DATA[:1000]
        assert view.around(0, 10)[0] is first


def test_a_file_that_was_cut_is_an_archive_error(tmp_path: Path) -> None:
    with viewed(tmp_path) as view:
        with (tmp_path / "x").open("r+b") as stream:
            stream.truncate(100)
        assert view[0:90] == DATA[:90]
        with pytest.raises(ArchiveError, match="shorter"):
            view[50:200]
