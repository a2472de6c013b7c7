"""The header of a zstd frame (RFC 8878 section 3.1.1.1), read before anything is allocated for it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.spans import Span

if TYPE_CHECKING:
    from reprove.archive.streams import Decompressor

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
_HEADER = 18
_DICTIONARY_ID = (0, 1, 2, 4)
_CONTENT_SIZE = (0, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Frame:
    """How the frame was made, as text, and what is wrong with its header: (offset, detail)."""

    text: str
    complaints: tuple[tuple[int, str], ...]


def read_frame(span: Span, limits: Limits) -> Frame:
    """Read the header at the start of ``span``; raises :class:`LimitError` when its window is too large, :class:`ArchiveError` when it is none."""
    header = span.read(0, _HEADER)
    if header[:4] in SKIPPABLE:
        raise ArchiveError("a skippable frame stands where the data should begin", offset=0)
    if header[:4] != MAGIC or len(header) < 6:
        raise ArchiveError("a zstd header is cut short", offset=len(header))
    descriptor, at = header[4], 5
    single = bool(descriptor & 0x20)
    complaints: list[tuple[int, str]] = []
    if descriptor & 0x08:
        complaints.append((4, "the reserved bit is set"))
    if descriptor & 0x10:
        complaints.append((4, "the unused bit is set"))
    window = 0
    if not single:
        exponent, mantissa = header[at] >> 3, header[at] & 7
        window = (1 << (10 + exponent)) // 8 * (8 + mantissa)
        at += 1
    width = _DICTIONARY_ID[descriptor & 3]
    if width:
        complaints.append((at, "the frame names a dictionary"))
        at += width
    width = _CONTENT_SIZE[descriptor >> 6] or (1 if single else 0)
    size = int.from_bytes(header[at : at + width], "little") + (256 if width == 2 else 0)
    needed = size if single else window
    if needed > limits.window:
        raise LimitError(f"a zstd window of {needed} bytes is beyond the limit", offset=5)
    sized = f"{size} bytes in {width}" if width else "size unknown"
    checked = "checksum" if descriptor & 0x04 else "no checksum"
    return Frame(f"{'single segment' if single else f'window {window}'}, {sized}, {checked}", tuple(complaints))


def decompressor() -> tuple[Decompressor, type[Exception]]:
    """One frame's decompressor, and what it raises on damage."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor(), zstd.ZstdError
