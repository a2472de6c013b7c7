"""What a strict reader says about a zip archive: entries with their offsets, and the violations of structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from reprove.core.digests import Sha256

DOS_TIME_SIZE = 4
"""Time and date words of a zip header, the only bytes that a stamp may touch (APPNOTE 4.4.6)."""


class Code(StrEnum):
    """Structural violations: the archive can mean two things, or hides bytes (ADR on lint; closed, only grows)."""

    GAP = "gap"
    OVERLAP = "overlap"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    DUPLICATE = "duplicate-name"
    FOLDED = "folded-name"
    UNDER_FILE = "name-under-file"
    BAD_NAME = "bad-name"
    NAME_ENCODING = "name-encoding"
    UNICODE_PATH = "unicode-path"
    EXTRA = "malformed-extra"
    LOCAL = "local-differs"
    FLAGS = "flags"
    ENCRYPTED = "encrypted"
    METHOD = "method"
    SYMLINK = "symlink"
    SPECIAL = "special-file"
    KIND = "kind-differs"
    SET_ID = "set-id"
    SIZE = "size-differs"
    CRC = "crc-differs"
    DEFLATE = "malformed-deflate"
    DESCRIPTOR = "descriptor"
    END_RECORD = "end-record"
    ZIP64 = "zip64"
    DISK = "disk"
    COMMENT = "comment"
    STREAMS = "more-streams"
    STREAM_HEADER = "stream-header"
    PADDING = "padding"
    SLACK = "header-slack"
    CHECKSUM = "checksum"
    PAX = "pax"
    LONG_NAME = "long-name"
    HARD_LINK = "hard-link"
    XATTR = "xattr"
    LAYOUT = "layout"
    NUMBER = "malformed-number"
    TRUNCATED = "truncated"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: where (member and byte offset in the archive) and what is there."""

    code: Code
    path: str
    offset: int
    detail: str

    def as_json(self) -> dict[str, object]:
        """The violation as JSON."""
        return {"code": self.code.value, "path": self.path, "offset": self.offset, "detail": self.detail}


class Header(NamedTuple):
    """The fields that a local and a central header share, as they stand in the bytes (zip64 already applied)."""

    offset: int
    raw_name: bytes
    version: int
    flags: int
    method: int
    time: bytes
    crc: int
    stored: int
    size: int
    extra: bytes


class Entry(NamedTuple):
    """One member. ``central.time`` and ``local.time`` are the 4 raw bytes of the DOS time and date words.

    ``raw`` holds every byte of both headers but name and position, and the length of the data descriptor.
    """

    name: str
    central: Header
    local: Header
    data: int
    end: int
    made_by: int
    internal: int
    external: int
    comment: bytes
    raw: bytes

    @property
    def descriptor(self) -> int:
        """Length of what follows the data, in bytes: a data descriptor, or nothing."""
        return self.end - self.data - self.central.stored

    @property
    def system(self) -> int:
        """``create_system``: 3 is Unix, 0 is DOS (APPNOTE 4.4.2)."""
        return self.made_by >> 8

    @property
    def mode(self) -> int:
        """The Unix mode of the external attributes, with its type bits."""
        return self.external >> 16

    @property
    def is_dir(self) -> bool:
        """Whether the name says directory."""
        return self.name[-1:] == "/"

    @property
    def central_time_offset(self) -> int:
        """Where the central DOS time field starts, in bytes from the start of the archive."""
        return self.central.offset + 12

    @property
    def local_time_offset(self) -> int:
        """Where the local DOS time field starts, in bytes from the start of the archive."""
        return self.local.offset + 10


@dataclass(frozen=True, slots=True)
class Zip:
    """A zip archive as read: ``entries`` in the order of the central directory; ``digests`` are of the inflated content.

    ``prints`` are CRC-32s of the stored bytes: how a content was compressed, down to the bits that fill its last byte. ``wide`` are the versions of
    the zip64 end record.

    ``violations`` empty means: every byte of the archive belongs to exactly one known field and mainstream readers agree on all of them.
    """

    size: int
    sha256: Sha256
    entries: tuple[Entry, ...]
    digests: tuple[Sha256 | None, ...]
    violations: tuple[Violation, ...]
    comment: bytes = b""
    named: dict[str, int] = field(default_factory=dict)
    prints: tuple[int, ...] = ()
    wide: bytes = b""

    def digest(self, name: str) -> Sha256 | None:
        """The content's SHA-256 of the member called ``name``, or None."""
        index = self.named.get(name)
        return None if index is None else self.digests[index]

    def entry(self, name: str) -> Entry | None:
        """The member called ``name``, or None."""
        index = self.named.get(name)
        return None if index is None else self.entries[index]
