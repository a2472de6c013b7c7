"""What every reader makes of an artifact: one flat list of members, with fields that say whether an extractor acts on them.

A format that holds archives by its own definition (a tar in gzip, the tars of a deb or gem) is one tree: the outer member is a
:data:`Kind.CONTAINER` and the inner members follow it under ``outer!/inner``. An archive that is payload stays a file (docs/comparison.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from reprove.archive.model import Violation
from reprove.core.digests import Sha256

NEST = "!/"
"""Stands between a container and what it holds."""


class Kind(StrEnum):
    """What a member is, for every extractor."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHARACTER = "character-device"
    BLOCK = "block-device"
    FIFO = "fifo"
    CONTAINER = "container"


class Profile(StrEnum):
    """Which package format an archive is; decides which fields are data and which members are refused."""

    WHEEL = "wheel"
    SDIST = "sdist"
    NPM = "npm"
    CRATE = "crate"
    GEM = "gem"
    JAR = "jar"
    DEB = "deb"
    ZIP = "zip"
    TAR = "tar"
    AR = "ar"
    STREAM = "stream"
    """One compressed file that is no tar."""
    BYTES = "bytes"
    """No archive that is known: one file."""


class Weight(StrEnum):
    """Whether a field counts below ``bitwise``."""

    DATA = "data"
    """Some mainstream extractor acts on it: compared at every level."""
    NOISE = "noise"
    """No mainstream extractor hands it on, or only as a time or packing choice: compared bitwise only."""


class Field(NamedTuple):
    """One field of a member or an archive. ``offset`` counts bytes in the archive that holds the header (decompressed), where it has one place."""

    name: str
    value: str | int
    weight: Weight
    offset: int | None = None


class Member(NamedTuple):
    """One member. ``path`` has no leading ``./`` and no trailing slash; containers nest with ``!/``.

    ``sha256`` and ``size`` are of the content of a file (``sha256`` None for anything else and for content that could not be read);
    of a container, of its stored bytes. ``raw`` holds every header byte of the member but positions: equal ``raw`` means equal fields.
    ``offset`` is where the header starts, ``data`` where the content starts, both in the archive that holds it.
    """

    path: str
    kind: Kind
    size: int
    sha256: Sha256 | None
    raw: bytes
    offset: int
    data: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Digests of a member as it is stored, compressed, for lists inside the artifact that name those."""

    sha256: Sha256
    sha512: str


class Content(Protocol):
    """The content of one file, as often as wanted."""

    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in chunks of at most :data:`reprove.archive.limits.CHUNK` bytes."""

    def read(self) -> bytes:
        """The whole content; the caller has looked at ``size``."""


class Tree(Protocol):
    """An artifact as read. Not empty ``violations`` mean that it can mean two things, or hides bytes: never equal, unless bitwise."""

    profile: Profile
    size: int
    sha256: Sha256
    """Of the whole file."""
    members: tuple[Member, ...]
    """In archive order, containers before what they hold."""
    violations: tuple[Violation, ...]
    fields: tuple[Field, ...]
    """Of the archive as a whole: comment, compressor parameters, dialect."""
    ordered: frozenset[str]
    """The containers (``""`` is the outermost) in which the order of members is data."""
    md5: Mapping[str, str]
    """MD5 of file contents by path: only of a deb, whose own list uses it."""
    stored: Mapping[str, Stored]
    """Stored members by the archive's own name: only of a gem, whose own list names those."""

    def details(self, member: Member) -> tuple[Field, ...]:
        """Every field of a member but its path, kind, size and content: the same names in the same order for every member of a kind."""

    def contents(self, paths: Collection[str], budget: int) -> AbstractContextManager[Mapping[str, Content]]:
        """The content of files by path, while the context lasts; those that do not fit into ``budget`` bytes together are absent."""
