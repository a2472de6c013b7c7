"""Merkle tree of RFC 6962 section 2.1 over SHA-256: hashes, an append-only accumulator, proofs made and proofs checked.

Hashes are 32 raw bytes. Sizes and indexes are plain integers below 2^63. Node ``(level, index)`` is the root of the complete
subtree over the leaves ``[index * 2**level, (index + 1) * 2**level)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from reprove.core.errors import VerificationError, VerificationReason

_sha256 = hashlib.sha256

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
MAX_PROOF_HASHES = 63
"""A tree of fewer than 2^63 leaves has no longer inclusion proof."""

EMPTY_ROOT = _sha256(b"").digest()
"""The root of the tree without leaves."""

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of the complete node ``(level, index)``."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry as a leaf: SHA-256 of 0x00 and the entry."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children: SHA-256 of 0x01, left and right."""
    return _sha256(b"\x01" + left + right).digest()


class Compact:
    """The right edge of a growing tree: O(log n) memory, O(1) amortised hashes per append.

    ``nodes`` are the roots of the maximal complete subtrees, largest first: one per set bit of ``size``. A sequencer keeps one and
    appends tens of thousands of leaves a second to it, hence the plain loop.
    """

    __slots__ = ("_nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._nodes = list(nodes)
        if len(self._nodes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees, not {len(self._nodes)}")

    @classmethod
    def load(cls, reader: NodeReader, size: int) -> Compact:
        """Resume at ``size`` from stored nodes; the caller compares :meth:`root` with a root that it trusts."""
        return cls(size, (reader(level, index) for level, index in _cover(0, size)))

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """The roots of the maximal complete subtrees, largest first."""
        return tuple(self._nodes)

    def copy(self) -> Compact:
        """Return an independent accumulator of the same tree."""
        return Compact(self.size, self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf (:func:`leaf_hash`)."""
        nodes = self._nodes
        carry = self.size
        while carry & 1:
            leaf = _sha256(b"\x01" + nodes.pop() + leaf).digest()
            carry >>= 1
        nodes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return _fold(self._nodes) if self._nodes else EMPTY_ROOT


def root_of(reader: NodeReader, size: int) -> bytes:
    """Compute the root of the first ``size`` leaves from stored nodes."""
    return _range(reader, 0, size) if size else EMPTY_ROOT


def inclusion_path(reader: NodeReader, index: int, size: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf ``index`` in the tree of ``size`` leaves, leaf to root (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return tuple(_path(reader, index, size, 0))


def consistency_path(reader: NodeReader, old: int, new: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``new`` leaves extends the one of ``old`` (RFC 6962 section 2.1.2); empty for 0 and for equal sizes."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        return ()
    level = (old & -old).bit_length() - 1
    head = [] if old == 1 << level else [reader(level, (old >> level) - 1)]
    return tuple(head + _path(reader, old - 1, new, level))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` (a leaf hash) is number ``index`` of the tree of ``size`` leaves with ``root``; raises VerificationError ``inclusion``."""
    if not 0 <= index < size <= MAX_SIZE:
        raise _not_included(f"index {index} is not in a tree of {size} leaves")
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        raise _not_included(f"a proof of leaf {index} in {size} does not have {len(proof)} hashes")
    if any(len(one) != HASH_BYTES for one in proof):
        raise _not_included("a hash of the proof does not have 32 bytes")
    value = leaf
    for level, sibling in enumerate(proof[:inner]):
        value = node_hash(sibling, value) if index >> level & 1 else node_hash(value, sibling)
    for sibling in proof[inner:]:
        value = node_hash(sibling, value)
    if value != root:
        raise _not_included(f"the proof of leaf {index} does not lead to the root of the {size} leaves")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``new`` leaves extends the one of ``old`` (RFC 9162 section 2.1.4.2); raises VerificationError ``checkpoint``."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise _inconsistent(f"a tree of {new} leaves cannot extend one of {old}")
    if old in (0, new):
        _verify_trivial(old, new, old_root, new_root, proof)
        return
    if any(len(one) != HASH_BYTES for one in proof):
        raise _inconsistent("a hash of the proof does not have 32 bytes")
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    if not path or len(path) > MAX_PROOF_HASHES + 1:
        raise _inconsistent(f"a proof from {old} to {new} does not have {len(proof)} hashes")
    old_value = new_value = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _inconsistent("the proof is too long")
        if first & 1 or first == last:
            old_value, new_value = node_hash(sibling, old_value), node_hash(sibling, new_value)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            new_value = node_hash(new_value, sibling)
        first, last = first >> 1, last >> 1
    if last or old_value != old_root or new_value != new_root:
        raise _inconsistent(f"the proof does not lead from the root of {old} leaves to the root of {new}")


def _verify_trivial(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise _inconsistent(f"the proof from {old} to {new} must be empty")
    if old == new and old_root != new_root:
        raise _inconsistent(f"two roots for one size, {old}")
    if (old == 0 and old_root != EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
        raise _inconsistent("size 0 with the root of a tree that is not empty")


def _cover(start: int, end: int) -> list[tuple[int, int]]:
    """Cut [start, end) into maximal complete nodes, left to right; ``start`` must be aligned to what follows it."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _fold(nodes: Sequence[bytes]) -> bytes:
    value = nodes[-1]
    for left in reversed(nodes[:-1]):
        value = _sha256(b"\x01" + left + value).digest()
    return value


def _range(reader: NodeReader, start: int, end: int) -> bytes:
    return _fold([reader(level, index) for level, index in _cover(start, end)])


def _path(reader: NodeReader, index: int, size: int, level: int) -> list[bytes]:
    """Siblings of the node of ``index`` at ``level`` up to the root of ``size`` leaves."""
    inner = (index ^ (size - 1)).bit_length()
    path = [reader(at, (index >> at) ^ 1) for at in range(level, inner - 1)]
    if inner > level:
        path.append(_range(reader, ((index >> (inner - 1)) ^ 1) << (inner - 1), size))
    above = max(inner, level)
    path.extend(reader(at, (index >> at) - 1) for at in range(above, index.bit_length()) if index >> at & 1)
    return path


def _not_included(detail: str) -> VerificationError:
    return VerificationError(VerificationReason.INCLUSION, detail)


def _inconsistent(detail: str) -> VerificationError:
    return VerificationError(VerificationReason.CHECKPOINT, detail)
