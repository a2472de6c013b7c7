"""Where two contents part, and what stands there on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprove.compare.result import cut

_LINE = 1024
"""Bytes around the first difference that a shown line may take."""
_BINARY = 32
"""Bytes of binary content that are shown from the first difference on."""


@dataclass(frozen=True, slots=True)
class Parting:
    """The first difference: its offset in bytes, and what stands there, as text that is safe to show (None: that side has ended)."""

    offset: int
    old: str | None
    new: str | None


def parting(old: Iterator[bytes], new: Iterator[bytes]) -> Parting:
    """Find the first difference of two contents given in chunks; each is read only as far as that."""
    offset, before, after = _first(old, new)
    return Parting(offset, _shown(before), _shown(after))


def _first(old: Iterator[bytes], new: Iterator[bytes]) -> tuple[int, bytes, bytes]:
    at, before, after, tail = 0, b"", b"", b""
    while True:
        before = before or next(old, b"")
        after = after or next(new, b"")
        size = min(len(before), len(after))
        if size == 0 or before[:size] != after[:size]:
            break
        tail = (tail + before[:size])[-_LINE:]
        at, before, after = at + size, before[size:], after[size:]
    same = common_prefix(before, after)
    line = (tail + before[:same])[-_LINE:].rpartition(b"\n")[2]
    rest_old, rest_new = before[same : same + _LINE], after[same : same + _LINE]
    left, right = rest_old or next(old, b"")[:_LINE], rest_new or next(new, b"")[:_LINE]
    if not _is_text(line + left) or not _is_text(line + right):
        line = b""  # binary content: what counts starts at the difference
    return at + same, line + left, line + right


def common_prefix(first: bytes, second: bytes) -> int:
    """Length of the common prefix, by halving: comparing slices is fast, comparing bytes one by one is not."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end >= len(data) - 3 > 0  # a character cut by the window's end
    return True


def _shown(around: bytes) -> str | None:
    if not around:
        return None
    line = around.partition(b"\n")[0] if _is_text(around) else around
    if not _is_text(line):
        return "hex " + around[:_BINARY].hex()
    text = line.decode("utf-8", "replace")
    return cut(text if text.isprintable() else repr(text)[1:-1])
