"""Trees made by hand: what the comparer sees, without an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from reprove.archive.model import Violation
from reprove.archive.tree import Content, Field, Kind, Member, Profile, Stored, Weight
from reprove.core.digests import Sha256, sha256


@dataclass
class FakeContent:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), 1000):
            yield self.data[at : at + 1000]

    def read(self) -> bytes:
        return self.data


@dataclass
class FakeTree:
    """``files`` by path: bytes are a file, None is a folder; ``extra`` gives fields of members, ``fields`` those of the archive."""

    files: Mapping[str, bytes | None]
    extra: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    fields: tuple[Field, ...] = ()
    profile: Profile = Profile.TAR
    ordered: frozenset[str] = frozenset()
    violations: tuple[Violation, ...] = ()
    md5: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)
    size: int = 0

    @property
    def sha256(self) -> Sha256:
        return sha256(repr((self.files, self.extra, self.fields)).encode())

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._member(path, data) for path, data in self.files.items())

    def _member(self, path: str, data: bytes | None) -> Member:
        kind = Kind.FOLDER if data is None else Kind.FILE
        digest = None if data is None else Sha256(hashlib.sha256(data).hexdigest())
        return Member(path, kind, len(data or b""), digest, repr(self.extra.get(path)).encode(), 0, 0)

    def details(self, member: Member) -> tuple[Field, ...]:
        return self.extra.get(member.path, ())

    @contextmanager
    def contents(self, paths: Collection[str], budget: int) -> Iterator[Mapping[str, Content]]:
        yield {path: FakeContent(data) for path, data in self.files.items() if data is not None and path in paths and len(data) <= budget}


def data(name: str, value: str | int) -> Field:
    return Field(name, value, Weight.DATA)


def noise(name: str, value: str | int) -> Field:
    return Field(name, value, Weight.NOISE)
