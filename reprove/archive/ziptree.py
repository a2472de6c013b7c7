"""A zip archive as a tree: members, the facts of the archive, and which package format it is (docs/comparison.md, "What counts in an archive")."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reprove.archive import zipfields
from reprove.archive.limits import CHUNK, DEFAULT, ArchiveError, Limits
from reprove.archive.model import Code, Entry, Violation
from reprove.archive.tree import Content, Field, Kind, Member, Profile, Stored, Weight
from reprove.archive.zipfiles import OpenZip, open_zips
from reprove.core.digests import Sha256

_MANIFEST = "META-INF/MANIFEST.MF"
_SIGNATURES = (".SF", ".RSA", ".DSA", ".EC")
_MAX_KEPT = 32 * 1024**2
_MAX_TARGET = 4095
"""Bytes of a link's target: PATH_MAX of Linux without its end."""


@dataclass(slots=True)
class Kept:
    """The content that was read whole last: who asks for one asks again, and inflating costs more than a copy."""

    entry: Entry | None = None
    data: bytes = b""


@dataclass(slots=True)
class ZipContent:
    """A :class:`~reprove.archive.tree.Content` of one member, inflated each time but the last one that was read whole."""

    archive: OpenZip
    entry: Entry
    size: int
    kept: Kept

    def chunks(self) -> Iterator[bytes]:
        """The content in chunks."""
        if self.kept.entry is not self.entry:
            return self.archive.content(self.entry)
        data = self.kept.data
        return (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))

    def read(self) -> bytes:
        """All of it."""
        if self.kept.entry is self.entry:
            return self.kept.data
        self.kept.entry, self.kept.data = None, b""
        data = self.archive.whole(self.entry)
        if len(data) <= _MAX_KEPT:
            self.kept.entry, self.kept.data = self.entry, data
        return data


@dataclass(slots=True)
class ZipTree:
    """A :class:`~reprove.archive.tree.Tree` over an open zip. ``entries`` gives the place of each path among the archive's entries."""

    archive: OpenZip
    profile: Profile
    size: int
    sha256: Sha256
    members: tuple[Member, ...]
    violations: tuple[Violation, ...]
    fields: tuple[Field, ...]
    entries: Mapping[str, int]
    ordered: frozenset[str] = frozenset()
    md5: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)

    def details(self, member: Member) -> tuple[Field, ...]:
        """The fields of both headers, and the target of a link."""
        index = self.entries[member.path]
        entry = self.archive.zip.entries[index]
        marked = self.profile is Profile.JAR and entry.local.offset == 0
        found = zipfields.details(entry, self.archive.zip.prints[index], marked=marked)
        if member.kind is Kind.SYMLINK:
            found.append(Field("target", self._target(entry, member), Weight.DATA, entry.data))
        return tuple(found)

    def _target(self, entry: Entry, member: Member) -> str:
        target = _read_target(self.archive, entry)
        return f"{member.size} bytes, sha256 {member.sha256}" if target is None else zipfields.text_of(target)

    @contextmanager
    def contents(self, paths: Collection[str], budget: int) -> Iterator[Mapping[str, Content]]:
        """Contents are inflated when they are read, so each one's size is what has to fit. One that could not be read is absent."""
        read, found, kept = self.archive.zip, {}, Kept()
        for path in paths:
            index = self.entries.get(path)
            if index is not None and read.digests[index] is not None and read.entries[index].central.size <= budget:
                entry = read.entries[index]
                found[path] = ZipContent(self.archive, entry, entry.central.size, kept)
        try:
            yield found
        finally:
            kept.entry, kept.data = None, b""


@contextmanager
def open_zip_trees(paths: Sequence[Path], *, names: Sequence[str], limits: Limits = DEFAULT) -> Iterator[tuple[ZipTree, ...]]:
    """Read one zip, or two that are to be compared, as trees. Raises as :func:`~reprove.archive.zipfiles.open_zip` does."""
    with open_zips(paths, limits) as archives:
        yield tuple(_tree(archive, name) for archive, name in zip(archives, names, strict=True))


def _tree(archive: OpenZip, name: str) -> ZipTree:
    read = archive.zip
    paths = [entry.name.removesuffix("/") for entry in read.entries]
    entries = {path: index for index, path in enumerate(paths)}
    profile = _profile(name, entries)
    links = profile is Profile.ZIP
    members = tuple(
        _member(path, entry, digest, print_, links=links)
        for path, entry, digest, print_ in zip(paths, read.entries, read.digests, read.prints, strict=True)
    )
    violations = read.violations
    if links:
        violations = tuple(found for found in violations if found.code is not Code.SYMLINK)
        violations += tuple(_odd_links(archive, members))
    return ZipTree(archive, profile, read.size, read.sha256, members, violations, tuple(_facts(archive, profile)), entries)


def _facts(archive: OpenZip, profile: Profile) -> Iterator[Field]:
    read = archive.zip
    if read.comment:
        yield Field("comment", zipfields.text_of(read.comment), Weight.DATA, read.size - len(read.comment))
    if read.wide:
        yield Field("zip64-versions", read.wide.hex(), Weight.NOISE)
    if profile is Profile.JAR:
        names = [entry.name for entry in sorted(read.entries, key=lambda entry: entry.local.offset)]
        yield Field("manifest-first", "yes" if _manifest_leads(names) else "no", Weight.DATA, 0)
        yield Field("signatures-first", "yes" if _signatures_lead(names) else "no", Weight.DATA, 0)  # yes where there are none


def _profile(name: str, entries: Collection[str]) -> Profile:
    if name.lower().endswith(".whl") or any(path.endswith(".dist-info/WHEEL") and path.count("/") == 1 for path in entries):
        return Profile.WHEEL
    return Profile.JAR if _MANIFEST in entries else Profile.ZIP


def _manifest_leads(names: Sequence[str]) -> bool:
    """Whether a stream reader finds the manifest: first, or second after ``META-INF/`` (``java.util.jar.JarInputStream``)."""
    return names[:1] == [_MANIFEST] or names[:2] == ["META-INF/", _MANIFEST]


def _signs(name: str) -> bool:
    return name.startswith("META-INF/") and name.count("/") == 1 and name.endswith(_SIGNATURES)


def _signatures_lead(names: Sequence[str]) -> bool:
    """Whether a stream reader checks what is signed: it looks for signatures only up to the first other member (``java.util.jar.JarVerifier``)."""
    rest = [name for name in names if name not in ("META-INF/", _MANIFEST)]
    return all(_signs(name) for name in rest[: sum(map(_signs, rest))])


def _member(path: str, entry: Entry, digest: Sha256 | None, stored: int, *, links: bool) -> Member:
    kind, raw = Kind.FILE, entry.raw + stored.to_bytes(4, "little")
    if entry.name[-1:] == "/":
        kind, digest = Kind.FOLDER, None
    elif links and stat.S_ISLNK(entry.external >> 16):
        kind, raw = Kind.SYMLINK, raw + (digest or "").encode()  # its content is a field
    return Member(path, kind, entry.central.size, digest, raw, entry.local.offset, entry.data)


def _read_target(archive: OpenZip, entry: Entry) -> bytes | None:
    """The target of a link, or None for one that no system call would take."""
    if not 0 < entry.central.size <= _MAX_TARGET:
        return None
    try:
        target = b"".join(archive.content(entry))
    except ArchiveError:
        return None
    return None if b"\0" in target else target


def _odd_links(archive: OpenZip, members: Sequence[Member]) -> Iterator[Violation]:
    """Links that one reader makes, another cuts, and a third refuses."""
    for member, entry in zip(members, archive.zip.entries, strict=True):
        if member.kind is Kind.SYMLINK and member.sha256 is not None and _read_target(archive, entry) is None:
            yield Violation(Code.SYMLINK, member.path, entry.central.offset, "a symbolic link whose target is empty, too long or holds a NUL")
