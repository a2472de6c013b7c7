"""Notes of ELF files (System V ABI, "Note Section"): where the build id stands."""

from __future__ import annotations

import struct

_BUILD_ID = 3
_OWNER = b"GNU\0"
_SIZES = range(8, 65)
"""A build id is a hash of 8 to 32 bytes, or set by hand; a longer one is taken for content."""
_MAX_NOTES = 1000


def build_id(content: bytes, order: str) -> slice | None:
    """The place of the only build id in a section of notes; None where there is none, or more than one, or the notes cannot be read."""
    at, found = 0, None
    for _ in range(_MAX_NOTES):
        if at >= len(content):
            return found
        if at + 12 > len(content):
            return None
        name_size, size, kind = struct.unpack_from(order + "III", content, at)
        start = at + 12 + (name_size + 3) // 4 * 4
        if start + size > len(content):
            return None
        if kind == _BUILD_ID and content[at + 12 : at + 12 + name_size] == _OWNER:
            if found is not None or size not in _SIZES:
                return None
            found = slice(start, start + size)
        at = start + (size + 3) // 4 * 4
    return None
