"""Files and proofs of every growth, against the core's accumulator and an in-memory folder."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.core import merkle, tiles
from service.log.errors import FatalError
from service.log.tilewriter import Edge, extend, load_edge, stored_entry, stored_nodes


class Memory:
    """A folder in memory that refuses what the real one refuses."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.leaves: list[bytes] = []
        self.edge = Edge()

    def grow(self, count: int) -> bytes:
        new = [b"%d" % (len(self.leaves) + n) for n in range(count)]
        plan = extend(self.edge, new, self.files.get)
        for name, data in plan.files.items():
            assert self.files.setdefault(name, data) == data
        self.leaves += new
        self.edge = plan.edge
        tree = merkle.Compact()
        for leaf in self.leaves:
            tree.append(merkle.leaf_hash(leaf))
        assert plan.root == tree.root()
        for index in {plan.start, plan.size - 1, random.randrange(plan.start, plan.size)}:
            merkle.verify_inclusion(merkle.leaf_hash(self.leaves[index]), index, plan.size, plan.nodes.inclusion(index), plan.root)
        return plan.root


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_any_growth_gives_the_tree_of_rfc_6962(steps: list[int]) -> None:
    memory = Memory()
    for step in steps:
        root = memory.grow(step)
        size = len(memory.leaves)
        assert load_edge(memory.files.get, size, root) == memory.edge
        assert {path for path in memory.files if ".p/" in path} >= {tiles.tile_path(*one) for one in tiles.partial_widths(size)}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=5))
def test_every_older_size_stays_provable_from_files(steps: list[int]) -> None:
    memory = Memory()
    roots = {}
    for step in steps:
        root = memory.grow(step)
        roots[len(memory.leaves)] = root
    for size, root in roots.items():
        nodes = stored_nodes(memory.files.get, size)
        assert nodes.root() == root
        for index in {0, size - 1, random.randrange(size)}:
            assert tuple(nodes.inclusion(index)) == merkle.inclusion_path(nodes, index, size)
            assert stored_entry(memory.files.get, index, size) == memory.leaves[index]


def test_a_tree_beyond_one_tile_of_tiles_has_three_levels() -> None:
    memory = Memory()
    memory.grow(65_530)
    memory.grow(20)
    assert {"tile/1/000", "tile/2/000.p/1", "tile/0/256.p/14", "tile/1/000.p/255"} <= memory.files.keys()
    assert not [path for path in memory.files if path.startswith("tile/3")]


def test_the_same_batch_gives_the_same_files() -> None:
    leaves = [os.urandom(40) for _ in range(300)]
    assert extend(Edge(), leaves, {}.get).files == extend(Edge(), leaves, {}.get).files


def test_nothing_added_writes_nothing() -> None:
    memory = Memory()
    memory.grow(300)
    assert extend(memory.edge, (), memory.files.get).files == {}


def test_a_wrong_root_or_a_missing_tile_is_fatal() -> None:
    memory = Memory()
    root = memory.grow(300)
    with pytest.raises(FatalError):
        load_edge(memory.files.get, 300, b"x" * 32)
    for name in ("tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"):
        without = {path: data for path, data in memory.files.items() if path != name}
        with pytest.raises(FatalError):
            load_edge(without.get, 300, root)
    with pytest.raises(FatalError):
        stored_nodes({}.get, 300).inclusion(0)
    with pytest.raises(FatalError):
        stored_entry({}.get, 0, 300)
