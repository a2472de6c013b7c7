"""Tile paths and bundles: one canonical form each, everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core import merkle, tiles
from reprove.core.errors import ProblemError, Slug
from tests.core.vectors import VECTORS, log_checkpoint, log_tile


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (tiles.tile_path(0, 0), "tile/0/000"),
        (tiles.tile_path(0, 5, 112), "tile/0/005.p/112"),
        (tiles.tile_path(1, 999), "tile/1/999"),
        (tiles.tile_path(1, 1000), "tile/1/x001/000"),
        (tiles.tile_path(63, 1_234_067, 1), "tile/63/x001/x234/067.p/1"),
        (tiles.entries_path(1_234_067), "tile/entries/x001/x234/067"),
        (tiles.envelopes_path(1, 44), "tile/envelopes/001.p/44"),
        (tiles.tile_path(0, 2**63 - 1), "tile/0/x009/x223/x372/x036/x854/x775/807"),
    ],
)
def test_paths_are_those_of_the_specification(made: str, path: str) -> None:
    assert made == path


@given(st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_a_path_reads_back(level: int, n: int, width: int) -> None:
    assert tiles.parse_tile_path(tiles.tile_path(level, n, width)) == tiles.TilePath(level, n, width)
    assert tiles.parse_entries_path(tiles.entries_path(n, width)) == tiles.TilePath(None, n, width)
    assert tiles.parse_envelopes_path(tiles.envelopes_path(n, width)) == tiles.TilePath(None, n, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/005",
        "tile/0/001/005",
        "tile/0/x001/x005",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/300",
        "tile/entries/000",
        "tile/0/000\n",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/../../etc/passwd",
        "tile/\u0660/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/X001/000",
        "tile/data/000",
    ],
)
def test_other_forms_of_a_path_are_not_found(path: str) -> None:
    with pytest.raises(ProblemError) as caught:
        tiles.parse_tile_path(path)
    assert caught.value.problem.slug is Slug.NOT_FOUND


@given(st.text(max_size=60))
def test_any_text_is_read_as_what_it_names_or_refused(path: str) -> None:
    for text in (path, f"tile/{path}", f"tile/0/{path}", f"tile/0/000{path}"):
        try:
            found = tiles.parse_tile_path(text)
        except ProblemError:
            continue
        assert found.level is not None
        assert tiles.tile_path(found.level, found.n, found.width) == text


def test_impossible_paths_are_the_callers_fault() -> None:
    for level, n, width in ((64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**63, 1)):
        with pytest.raises(ValueError, match="tile"):
            tiles.tile_path(level, n, width)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert tiles.decode_bundle(tiles.encode_bundle(entries), len(entries)) == tuple(entries)


@given(st.binary(max_size=2000))
def test_any_bytes_are_the_one_encoding_of_their_entries_or_refused(data: bytes) -> None:
    try:
        entries = tiles.decode_bundle(data)
    except ProblemError:
        return
    assert tiles.encode_bundle(entries) == data


def test_entries_of_65535_bytes_fit_and_longer_ones_do_not() -> None:
    largest = b"x" * 65_535
    assert tiles.decode_bundle(tiles.encode_bundle([largest])) == (largest,)
    for size in (65_536, 65_537):
        with pytest.raises(ProblemError) as caught:
            tiles.encode_bundle([b"x" * size])
        assert caught.value.problem.slug is Slug.TOO_LARGE


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x05abc", b"\x00\x00" * 257])
def test_a_bundle_cut_short_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(ProblemError):
        tiles.decode_bundle(data)
    with pytest.raises(ProblemError):
        tiles.encode_bundle([b""] * 257)
    with pytest.raises(ProblemError):
        tiles.decode_bundle(tiles.encode_bundle([b"a"]), 2)


def test_partial_tiles_are_those_of_the_specifications_example() -> None:
    assert tiles.partial_widths(70_000) == ((0, 273, 112), (1, 1, 17), (2, 0, 1))
    assert tiles.partial_widths(256) == ((1, 0, 1),)
    assert tiles.partial_widths(0) == ()


@given(st.integers(0, 2**40))
def test_partial_widths_and_tile_widths_agree(size: int) -> None:
    for level, n, width in tiles.partial_widths(size):
        assert tiles.tile_width(level, n, size) == width
        assert tiles.tile_width(level, n + 1, size) == 0
        assert n == 0 or tiles.tile_width(level, n - 1, size) == 256


def test_the_vectors_log_leads_from_entries_to_its_root() -> None:
    checkpoint = log_checkpoint()
    reader = tiles.node_from_tiles(lambda level, n: log_tile(level, n, checkpoint.size))
    tree = merkle.Compact()
    for n, width in ((0, 256), (1, 44)):
        for entry in tiles.decode_bundle((VECTORS / "log" / tiles.entries_path(n, width)).read_bytes(), width):
            assert reader(0, tree.size) == merkle.leaf_hash(entry)
            tree.append(merkle.leaf_hash(entry))
    assert tree.root() == merkle.root_of(reader, checkpoint.size) == checkpoint.root
    for old in (1, 44, 255, 256, 257, 299):
        merkle.verify_consistency(old, 300, merkle.root_of(reader, old), checkpoint.root, merkle.consistency_path(reader, old, 300))


def test_a_tile_that_is_too_short_is_refused() -> None:
    reader = tiles.node_from_tiles(lambda _level, _n: bytes(64))
    assert reader(1, 0) == merkle.node_hash(bytes(32), bytes(32))
    with pytest.raises(ProblemError):
        reader(0, 2)
    with pytest.raises(ProblemError):
        reader(2, 0)
