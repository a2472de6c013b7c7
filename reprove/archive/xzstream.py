"""What the header and the index of one .xz stream say (The .xz File Format 1.2.1, sections 2.1 and 4). liblzma has checked every bit of them."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.spans import Span

MAGIC = b"\xfd7zXZ\x00"
_HEADER = 12
_CHECKS = {0: "none", 1: "crc32", 4: "crc64", 10: "sha256"}
"""Section 2.1.1.2; the other ids are reserved, and liblzma then checks nothing."""


@dataclass(frozen=True, slots=True)
class Facts:
    """How the stream was made: the kind of check (None: unknown), the number of blocks, and where the index stands."""

    check: str | None
    blocks: int
    index: int


def read_facts(span: Span, limits: Limits) -> Facts:
    """Read them from a ``span`` that holds exactly one stream."""
    footer = span.read(span.size - _HEADER, _HEADER)
    if span.size < 2 * _HEADER or footer[10:] != b"YZ":
        raise ArchiveError("an xz stream without its footer", offset=span.size)
    size = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if size > limits.directory:
        raise LimitError(f"an xz index of {size} bytes is beyond the limit", offset=span.size)
    at = span.size - _HEADER - size
    index = span.read(at, 10)
    if at < _HEADER or index[:1] != b"\0":
        raise ArchiveError("an xz footer that points at no index", offset=span.size)
    blocks = shift = 0
    for byte in index[1:]:
        blocks |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return Facts(_CHECKS.get(span.read(7, 1)[0] & 0x0F), blocks, at)
