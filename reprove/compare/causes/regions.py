"""Where two contents differ, as pairs of short texts with everything else equal: lines of a text, printable runs of binary content."""

from __future__ import annotations

from typing import NamedTuple

from reprove.compare.content import common_prefix

MAX_REGIONS = 2000
_MAX_RUN = 4096
"""Bytes on either side of a difference that a printable run may reach."""
_PRINTABLE = bytes(range(32, 127))
_STEP = 1 << 16


class Region(NamedTuple):
    """What stands on both sides where they differ, with the rest of its line or run around it."""

    old: bytes
    new: bytes


def regions(old: bytes, new: bytes) -> list[Region] | None:
    """The differing regions of two contents; None where they are too many, or differ in what cannot be read as text.

    Two contents are equal when the old sides of all their regions are replaced by the new ones, so a mask that makes every region equal makes the
    contents equal.
    """
    if b"\0" not in old and b"\0" not in new:
        return _lines(old, new)
    return _runs(old, new) if len(old) == len(new) else _strings(old, new)


def _lines(old: bytes, new: bytes) -> list[Region] | None:
    before, after = old.split(b"\n"), new.split(b"\n")
    if len(before) == len(after):
        found = [Region(left, right) for left, right in zip(before, after, strict=True) if left != right]
        return found if len(found) <= MAX_REGIONS else None
    start = _same(before, after)
    end = _same(before[start:][::-1], after[start:][::-1])
    return [Region(b"\n".join(before[start : len(before) - end]), b"\n".join(after[start : len(after) - end]))]


def _same(before: list[bytes], after: list[bytes]) -> int:
    """How many of the first lines are the same."""
    return next((at for at, (left, right) in enumerate(zip(before, after, strict=False)) if left != right), min(len(before), len(after)))


def _runs(old: bytes, new: bytes) -> list[Region] | None:
    """Printable runs around the differing bytes of contents of one length."""
    found: list[Region] = []
    at = 0
    while at < len(old):
        same = common_prefix(old[at : at + _STEP], new[at : at + _STEP])
        at += same
        if at >= len(old) or same == _STEP:
            continue
        start, end = _bounds(old, new, at)
        if start >= end or len(found) >= MAX_REGIONS:
            return None
        found.append(Region(old[start:end], new[start:end]))
        at = end
    return found


def _bounds(old: bytes, new: bytes, at: int) -> tuple[int, int]:
    """The run around a place that is printable on both sides; empty where the place itself is not."""
    start, end = at, at
    low, high = max(0, at - _MAX_RUN), min(len(old), at + _MAX_RUN)
    while start > low and old[start - 1] in _PRINTABLE and new[start - 1] in _PRINTABLE:
        start -= 1
    while end < high and old[end] in _PRINTABLE and new[end] in _PRINTABLE:
        end += 1
    return (start, end) if end > at else (at, at)


def _strings(old: bytes, new: bytes) -> list[Region] | None:
    """Strings ended by NUL, in the same number and order: a section of strings of which some have another length."""
    before, after = old.split(b"\0"), new.split(b"\0")
    if len(before) != len(after):
        return None
    found = [Region(left, right) for left, right in zip(before, after, strict=True) if left != right]
    return found if len(found) <= MAX_REGIONS and all(is_text(side) for region in found for side in region) else None


def is_text(data: bytes) -> bool:
    """Whether there is nothing but printable ASCII and white space."""
    return not data.translate(None, _PRINTABLE + b"\t\n\r")
