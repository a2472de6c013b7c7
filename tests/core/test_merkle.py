"""Merkle proofs against an independent, recursive reading of RFC 6962."""

from __future__ import annotations

import functools
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.core import merkle
from reprove.core.errors import VerificationError, VerificationReason

LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(70_001)]


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@functools.cache
def mth(start: int, end: int) -> bytes:
    """RFC 6962 section 2.1, written from the text."""
    if end == start:
        return h(b"")
    if end - start == 1:
        return LEAVES[start]
    k = split(end - start)
    return h(b"\x01" + mth(start, start + k) + mth(start + k, end))


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, start: int, end: int) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    n = end - start
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, start, start + k), mth(start + k, end)]
    return [*path(m - k, start + k, end), mth(start, start + k)]


def proof(m: int, n: int) -> list[bytes]:
    """RFC 6962 section 2.1.2."""
    return subproof(m, 0, n, whole=True)


def subproof(m: int, start: int, end: int, *, whole: bool) -> list[bytes]:
    n = end - start
    if m == n:
        return [] if whole else [mth(start, end)]
    k = split(n)
    if m <= k:
        return [*subproof(m, start, start + k, whole=whole), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, whole=False), mth(start, start + k)]


def reader(level: int, index: int) -> bytes:
    return mth(index << level, (index + 1) << level)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.Compact().root() == merkle.EMPTY_ROOT == h(b"")
    assert merkle.root_of(reader, 0) == merkle.EMPTY_ROOT


def test_the_accumulator_has_the_recursive_root_at_every_size_and_resumes_at_each() -> None:
    tree = merkle.Compact()
    for size in range(1, 141):
        tree.append(LEAVES[size - 1])
        assert (tree.size, tree.root()) == (size, mth(0, size))
        assert merkle.Compact.load(reader, size).nodes == tree.nodes
        assert merkle.root_of(reader, size) == tree.root()


def test_every_proof_up_to_140_leaves_is_the_recursive_one_and_verifies() -> None:
    for size in range(1, 141):
        for index in range(size):
            made = merkle.inclusion_path(reader, index, size)
            assert list(made) == path(index, 0, size)
            merkle.verify_inclusion(LEAVES[index], index, size, made, mth(0, size))
        for old in range(1, size):
            steps = merkle.consistency_path(reader, old, size)
            assert list(steps) == proof(old, size)
            merkle.verify_consistency(old, size, mth(0, old), mth(0, size), steps)


@pytest.mark.slow
@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000])
def test_samples_around_powers_of_two_agree(size: int) -> None:
    for index in {0, 1, size // 3, size // 2, size - 2, size - 1}:
        made = merkle.inclusion_path(reader, index, size)
        assert list(made) == path(index, 0, size)
        merkle.verify_inclusion(LEAVES[index], index, size, made, mth(0, size))
        if index:
            assert list(merkle.consistency_path(reader, index, size)) == proof(index, size)
            merkle.verify_consistency(index, size, mth(0, index), mth(0, size), proof(index, size))


@given(st.data())
@settings(max_examples=150)
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 140))
    index = data.draw(st.integers(0, size - 1))
    good = list(path(index, 0, size))
    case = data.draw(st.sampled_from(["flip", "drop", "add", "index", "size", "leaf", "root"]))
    leaf, root, at, of = LEAVES[index], mth(0, size), index, size
    if case == "flip" and good:
        where = data.draw(st.integers(0, len(good) - 1))
        good[where] = bytes([good[where][0] ^ 1]) + good[where][1:]
    elif case == "drop" and good:
        good.pop(data.draw(st.integers(0, len(good) - 1)))
    elif case == "add":
        good.insert(data.draw(st.integers(0, len(good))), root)
    elif case == "index":
        at = data.draw(st.integers(0, 300).filter(lambda other: other != index))
    elif case == "size":
        of = data.draw(st.integers(0, 300).filter(lambda other: other != size and shape(index, other) != shape(index, size)))
    elif case == "leaf":
        leaf = LEAVES[200]
    else:
        root = LEAVES[200]
    with pytest.raises(VerificationError) as caught:
        merkle.verify_inclusion(leaf, at, of, good, root)
    assert caught.value.reason is VerificationReason.INCLUSION


def shape(index: int, size: int) -> tuple[int, int] | None:
    """Sizes of one shape share a path; the root, not the size, then tells them apart (the checkpoint signs both)."""
    if not 0 <= index < size:
        return None
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


@given(st.data())
@settings(max_examples=150)
def test_a_changed_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 140))
    old = data.draw(st.integers(1, new - 1))
    good = proof(old, new)
    case = data.draw(st.sampled_from(["flip", "drop", "add", "old-root", "new-root", "short"]))
    old_root, new_root = mth(0, old), mth(0, new)
    where = data.draw(st.integers(0, len(good) - 1))
    if case == "flip":
        good[where] = bytes([good[where][0] ^ 1]) + good[where][1:]
    elif case == "drop":
        good.pop(where)
    elif case == "add":
        good.insert(where, new_root)
    elif case == "short":
        good[where] = good[where][:31]
    elif case == "old-root":
        old_root = LEAVES[200]
    else:
        new_root = LEAVES[200]
    with pytest.raises(VerificationError) as caught:
        merkle.verify_consistency(old, new, old_root, new_root, good)
    assert caught.value.reason is VerificationReason.CHECKPOINT


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "steps"),
    [
        (3, 2, mth(0, 3), mth(0, 2), []),
        (3, 3, mth(0, 3), mth(0, 4), []),
        (3, 3, mth(0, 3), mth(0, 3), [mth(0, 3)]),
        (0, 3, merkle.EMPTY_ROOT, mth(0, 3), [mth(0, 3)]),
        (0, 3, mth(0, 1), mth(0, 3), []),
        (0, 0, mth(0, 1), mth(0, 1), []),
        (1, 2**63, mth(0, 1), mth(0, 2), [mth(1, 2)]),
        (-1, 2, mth(0, 1), mth(0, 2), []),
        (3, 7, mth(0, 3), mth(0, 7), []),
        (1, 2**62, mth(0, 1), mth(0, 2), [mth(0, 2)] * 64),
    ],
)
def test_degenerate_consistency_claims_are_refused(old: int, new: int, old_root: bytes, new_root: bytes, steps: list[bytes]) -> None:
    with pytest.raises(VerificationError):
        merkle.verify_consistency(old, new, old_root, new_root, steps)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (0, 2**63), (5, 2**63)])
def test_an_index_outside_the_tree_and_a_size_of_2_to_63_are_refused(index: int, size: int) -> None:
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


def test_a_proof_of_64_hashes_is_refused_for_every_size() -> None:
    for size in (2, 2**62, 2**63 - 1):
        with pytest.raises(VerificationError):
            merkle.verify_inclusion(LEAVES[0], 0, size, [LEAVES[0]] * 64, LEAVES[0])


def test_asking_for_a_proof_that_cannot_exist_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_path(reader, 3, 3)
    with pytest.raises(ValueError, match="cannot extend"):
        merkle.consistency_path(reader, 4, 3)
    with pytest.raises(ValueError, match="complete subtrees"):
        merkle.Compact(3, [LEAVES[0]])
