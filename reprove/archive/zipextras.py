"""Extra fields of a zip that no extractor hands on: a closed list, and each only in the form that it is defined in (docs/comparison.md)."""

from __future__ import annotations

from collections.abc import Callable

from reprove.archive.structure import PADDING_ID, UNICODE_COMMENT_ID, UNICODE_PATH_ID, ZIP64_ID

_JAR_MARK = 0xCAFE


def is_noise(ident: int, data: bytes, *, first: bool) -> bool:
    """Whether a field says nothing but times, Unix ids or alignment; ``first`` is the archive's first member. More bytes than that are data."""
    if ident == _JAR_MARK:
        return first and not data
    form = _FORMS.get(ident)
    return form is not None and form(data)


def _ntfs(data: bytes) -> bool:
    """Four reserved bytes, then tag 1 with three times (APPNOTE 4.5.5)."""
    return len(data) == 32 and data[:8] == b"\0\0\0\0\1\0\x18\0"


def _times(data: bytes) -> bool:
    """Bits that say which of three times follow; the central form has the first of them only, whatever the bits say."""
    return len(data) in (1, 5, 9, 13) and data[0] < 8


def _ids(data: bytes) -> bool:
    """Version 1, then a user's and a group's id, each behind its length; or nothing, in the central directory."""
    if not data:
        return True
    user = data[1] if len(data) > 2 else 0
    at = 2 + user
    return data[0] == 1 and len(data) > at and user <= 8 and data[at] <= 8 and len(data) == at + 1 + data[at]


def _checked(_data: bytes) -> bool:
    """Lint has found that it says what the header says."""
    return True


_FORMS: dict[int, Callable[[bytes], bool]] = {
    PADDING_ID: lambda data: not any(data),
    ZIP64_ID: _checked,
    UNICODE_PATH_ID: _checked,
    UNICODE_COMMENT_ID: _checked,
    0x000A: _ntfs,
    0x5455: _times,
    0x5855: lambda data: len(data) in (8, 12),  # two times, in the local header two ids too
    0x7855: lambda data: len(data) in (0, 4),  # two ids
    0x7875: _ids,
    0xD935: lambda data: len(data) >= 2 and not any(data[2:]),  # what to align to, then zeros
}
