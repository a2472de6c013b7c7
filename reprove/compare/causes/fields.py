"""Causes of differences in header fields: each is a typed rule over the two values, so that masking the field is its proof.

Where an installer acts on a field (modes, owners and order of a deb), no form of its values proves it harmless: *likely*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from reprove.archive.tree import NEST, Profile
from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty

Guess = tuple[str, Certainty]

_TIMES = frozenset({"time", "local-time", "access-time", "change-time", "creation-time"})
_OWNERS = frozenset({"uid", "gid", "user", "group"})
_PACKER = frozenset(
    [
        "create-system",
        "create-version",
        "extract-version",
        "flags",
        "internal-attributes",
        "dos-attributes",
        "root-folder",
        "header",
        "device-noise",
        "descriptor",
        "local-sizes",
    ]
)
_COMPRESSOR = frozenset(
    ["method", "deflate", "packed", "compression", "gzip:effort", "gzip:deflate", "xz:stream", "xz:check", "bzip2:level", "zstd:frame"]
)
_AR_HEADER = frozenset({"time", "uid", "gid", "mode", "header-form"})
_LIBRARY = (".a", ".lib", ".rlib")
_ZONED = frozenset({Profile.WHEEL, Profile.JAR, Profile.ZIP})
"""Formats whose times are local."""
_QUARTER = 900
_WIDEST = 14 * 3600
_MANY_TIMES = 3
_SAME_BUILD = 3600
_EXTRA = re.compile(r"(?:local-)?extra:([0-9a-f]{4})")
_TIME_EXTRAS, _OWNER_EXTRAS = frozenset({"000a", "5455", "5855"}), frozenset({"7855", "7875"})
_DULL_EXTRAS = _TIME_EXTRAS | _OWNER_EXTRAS | {"0001", "0000", "d935", "cafe"}


def field_cause(row: Difference, profile: Profile = Profile.ZIP) -> Guess | None:
    """The cause of one field's difference, or None where the field alone tells none. Times are judged together (:func:`time_cause`)."""
    name = row.field
    if in_library(row, profile) and name in _AR_HEADER:
        return "ar-header", Certainty.PROVED
    acted_on = Certainty.LIKELY if profile is Profile.DEB else Certainty.PROVED
    if name == "mode":
        return _mode(row, acted_on)
    if name == "executable":
        return "executable-bit", Certainty.LIKELY
    if name in _OWNERS:
        return "owners", acted_on
    if name == "order":
        ordered = profile in (Profile.DEB, Profile.AR) or row.path.endswith(_LIBRARY)
        return "file-order", Certainty.LIKELY if ordered else Certainty.PROVED
    if name == "manifest-first":
        return "file-order", Certainty.LIKELY
    if name == "comment":
        return "archive-comment", Certainty.PROVED
    if name == "xz:blocks":
        return "threads", Certainty.PROVED
    if name in ("gzip:time", "gzip:name", "gzip:os", "gzip:flags"):
        return "gzip-header", Certainty.PROVED
    if name == "flags" and _strength(row):
        return "compressor", Certainty.PROVED
    if name in _COMPRESSOR or name.startswith(("bzip2:", "zstd:")):
        return "compressor", Certainty.PROVED
    if name in ("dialect", "header-form", "padding") or (name in _TIMES and _is_form(row)) or name.startswith("pax:"):
        return "tar-dialect", Certainty.LIKELY if name.startswith("pax:") else Certainty.PROVED
    return _packing(row)


def in_library(row: Difference, profile: Profile) -> bool:
    """Whether a row is of a member of a static library."""
    outside, nested, _ = row.path.rpartition(NEST)
    return outside.endswith(_LIBRARY) if nested else profile is Profile.AR


def _strength(row: Difference) -> bool:
    """Whether a zip's flags differ only in how hard its packer says to have tried (APPNOTE 4.4.4, bits 1 and 2)."""
    try:
        return not (int(str(row.old), 16) ^ int(str(row.new), 16)) & ~0b110
    except ValueError:
        return False


def _mode(row: Difference, acted_on: Certainty) -> Guess | None:
    """A umask takes bits from group and others, and leaves the owner's; where a file runs for its owner, it may run for others or not."""
    try:
        old, new = int(str(row.old), 8), int(str(row.new), 8)
    except ValueError:
        return None
    changed = old ^ new
    if changed & ~0o177777 or changed & 0o7000:
        return None
    if bool(old & 0o111) != bool(new & 0o111) or (changed & 0o111 and not old & new & 0o100):
        return "executable-bit", Certainty.LIKELY
    if changed & 0o7777 == 0:
        return "packer", Certainty.PROVED
    if changed & 0o700:
        return ("packer", Certainty.LIKELY) if acted_on is Certainty.PROVED else None
    return "umask", acted_on


def _packing(row: Difference) -> Guess | None:
    extra = _EXTRA.fullmatch(row.field)
    if extra:
        if None not in (row.old, row.new) and extra[1] in _TIME_EXTRAS:
            return "build-time", Certainty.PROVED
        if None not in (row.old, row.new) and extra[1] in _OWNER_EXTRAS:
            return "owners", Certainty.PROVED
        return "packer", Certainty.PROVED if extra[1] in _DULL_EXTRAS else Certainty.LIKELY
    if row.field in _PACKER or row.field.startswith("header"):
        return "packer", Certainty.PROVED
    if row.field == "member" and {row.old, row.new} == {"folder", None}:
        return "packer", Certainty.LIKELY
    return None


def is_time(row: Difference) -> bool:
    """Whether a row is about a time in a header, and not only about how it is written: with a fraction, or at all."""
    return row.field in _TIMES and not _is_form(row)


def _is_form(row: Difference) -> bool:
    """Whether both sides name one second, or one side does not keep such a time: a tar's dialect decides that."""
    old, new = row.old, row.new
    return (row.field != "local-time" and None in (old, new)) or str(old).partition(".")[0] == str(new).partition(".")[0]


def time_cause(rows: Sequence[Difference], profile: Profile = Profile.ZIP) -> Guess:
    """One cause for all times: a constant offset is a time zone; many times against few are kept source times; else it is the build's time."""
    pairs = [(_seconds(row.old), _seconds(row.new)) for row in rows]
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not known:
        return "build-time", Certainty.PROVED
    zone = len(known) == len(pairs) and profile in _ZONED and _is_zone({new - old for old, new in known})
    sides = list(zip(*known, strict=True))
    if zone and _spread(sides[0]) > _SAME_BUILD:
        return "time-zone", Certainty.PROVED
    counts = [len(set(side)) for side in sides]
    if max(counts) >= _MANY_TIMES and min(counts) < _MANY_TIMES and _spread(max(sides, key=lambda side: len(set(side)))) > _SAME_BUILD:
        return "source-times", Certainty.LIKELY
    return ("time-zone", Certainty.LIKELY) if zone else ("build-time", Certainty.PROVED)


def _is_zone(offsets: set[int]) -> bool:
    """Whether there is one offset, of whole quarters of an hour."""
    offset = next(iter(offsets))
    return len(offsets) == 1 and 0 < abs(offset) <= _WIDEST and offset % _QUARTER == 0


def _spread(times: Iterable[int]) -> int:
    listed = list(times)
    return max(listed) - min(listed)


def _seconds(value: str | int | None) -> int | None:
    try:
        return int((datetime.fromisoformat(str(value).partition(".")[0]) - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001  # times without a zone
    except ValueError:
        return None
