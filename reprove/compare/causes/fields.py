"""Causes of differences in header fields: each is a typed rule over the two values, so that masking the field is its proof."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty

Guess = tuple[str, Certainty]

_TIMES = frozenset({"time", "local-time", "access-time", "change-time"})
_OWNERS = frozenset({"uid", "gid", "user", "group"})
_PACKER = frozenset(
    ["create-system", "create-version", "extract-version", "flags", "internal-attributes", "dos-attributes", "root-folder", "header", "device-noise"]
)
_COMPRESSOR = frozenset(["method", "deflate", "packed", "compression", "gzip:effort", "gzip:deflate", "xz:stream", "xz:check", "bzip2:level"])
_QUARTER = 900
_WIDEST = 14 * 3600
_MANY_TIMES = 3
_SAME_BUILD = 3600
_EXTRA = re.compile(r"(?:local-)?extra:[0-9a-f]{4}")
_TIME_EXTRAS = ("000a", "5455", "5855")


def field_cause(row: Difference) -> Guess | None:
    """The cause of one field's difference, or None where the field alone tells none. Times are judged together (:func:`time_cause`)."""
    name = row.field
    if name == "mode":
        return _mode(row)
    if name == "executable":
        return "executable-bit", Certainty.LIKELY
    if name in _OWNERS:
        return "owners", Certainty.PROVED
    if name == "order":
        return "file-order", Certainty.PROVED
    if name == "comment":
        return "archive-comment", Certainty.PROVED
    if name == "xz:blocks":
        return "threads", Certainty.PROVED
    if name in ("gzip:time", "gzip:name", "gzip:os", "gzip:flags"):
        return "gzip-header", Certainty.PROVED
    if name in _COMPRESSOR or name.startswith(("bzip2:", "zstd:")):
        return "compressor", Certainty.PROVED
    if name in ("dialect", "header-form", "padding") or name.startswith("pax:"):
        return "tar-dialect", Certainty.LIKELY if name.startswith("pax:") else Certainty.PROVED
    return _packing(row)


def _mode(row: Difference) -> Guess | None:
    try:
        changed = int(str(row.old), 8) ^ int(str(row.new), 8)
    except ValueError:
        return None
    if changed & 0o111:
        return "executable-bit", Certainty.LIKELY
    if changed & ~0o177777:
        return None
    return ("umask", Certainty.PROVED) if changed & ~0o170000 and not changed & 0o7000 else ("packer", Certainty.PROVED)


def _packing(row: Difference) -> Guess | None:
    if _EXTRA.fullmatch(row.field):
        return "packer", Certainty.PROVED if row.field.endswith((*_TIME_EXTRAS, "7855", "7875", "0001", "0000", "d935")) else Certainty.LIKELY
    if row.field in _PACKER or row.field.startswith("header"):
        return "packer", Certainty.PROVED
    if row.field == "member" and {row.old, row.new} == {"folder", None}:
        return "packer", Certainty.LIKELY
    return None


def is_time(row: Difference) -> bool:
    """Whether a row is about a time in a header."""
    return row.field in _TIMES


def time_cause(rows: Sequence[Difference]) -> Guess:
    """One cause for all times: a constant offset is a time zone; many times against few are kept source times; else it is the build's time."""
    pairs = [(_seconds(row.old), _seconds(row.new)) for row in rows]
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not known:
        return "build-time", Certainty.PROVED
    offsets = {new - old for old, new in known}
    if len(known) == len(pairs) and len(offsets) == 1:
        (offset,) = offsets
        if 0 < abs(offset) <= _WIDEST and offset % _QUARTER == 0 and _spread(old for old, _ in known) > _SAME_BUILD:
            return "time-zone", Certainty.PROVED
    counts = [len(set(sides)) for sides in zip(*known, strict=True)]
    if (
        max(counts) >= _MANY_TIMES
        and min(counts) < _MANY_TIMES
        and _spread(max(zip(*known, strict=True), key=lambda side: len(set(side)))) > _SAME_BUILD
    ):
        return "source-times", Certainty.LIKELY
    if len(known) == len(pairs) and len(offsets) == 1 and 0 < abs(next(iter(offsets))) <= _WIDEST and next(iter(offsets)) % _QUARTER == 0:
        return "time-zone", Certainty.LIKELY
    return "build-time", Certainty.PROVED


def _spread(times: Iterable[int]) -> int:
    listed = list(times)
    return max(listed) - min(listed)


def _seconds(value: str | int | None) -> int | None:
    try:
        return int((datetime.fromisoformat(str(value).partition(".")[0]) - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001  # times without a zone
    except ValueError:
        return None
