"""A zip archive as a tree: which of its fields an extractor acts on (docs/comparison.md, "What counts in an archive")."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reprove.archive.limits import DEFAULT, ArchiveError, Limits
from reprove.archive.model import Code, Entry, Violation
from reprove.archive.structure import PADDING_ID, ZIP64_ID, extra_fields
from reprove.archive.tree import Content, Field, Kind, Member, Profile, Stored, Weight
from reprove.archive.zipfiles import OpenZip, open_zips
from reprove.core.digests import Sha256

_NOISE_EXTRAS = frozenset({PADDING_ID, ZIP64_ID, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xD935, 0x6375, 0x7075})
"""NTFS and Unix times, Unix ids, alignment, zip64, and the Unicode fields, which lint has found to say what the plain ones say."""
_JAR_MARK = 0xCAFE
_MANIFEST = "META-INF/MANIFEST.MF"
_MAX_TARGET = 4096


@dataclass(slots=True)
class ZipContent:
    """A :class:`~reprove.archive.tree.Content` of one member, inflated each time."""

    archive: OpenZip
    entry: Entry
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The content in chunks."""
        return self.archive.content(self.entry)

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self.chunks())


@dataclass(slots=True)
class ZipTree:
    """A :class:`~reprove.archive.tree.Tree` over an open zip."""

    archive: OpenZip
    profile: Profile
    size: int
    sha256: Sha256
    members: tuple[Member, ...]
    violations: tuple[Violation, ...]
    fields: tuple[Field, ...]
    entries: Mapping[str, Entry]
    ordered: frozenset[str] = frozenset()
    md5: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)

    def details(self, member: Member) -> tuple[Field, ...]:
        """The fields of both headers, and the target of a link."""
        entry = self.entries[member.path]
        found = _details(entry, first=entry.local.offset == 0)
        if member.kind is Kind.SYMLINK:
            found.append(Field("target", self._target(entry), Weight.DATA, entry.data))
        return tuple(found)

    def _target(self, entry: Entry) -> str:
        try:
            content = next(self.archive.content(entry), b"")
        except ArchiveError as error:
            return f"unreadable: {error.detail}"
        return content[:_MAX_TARGET].decode("utf-8", "backslashreplace")

    @contextmanager
    def contents(self, paths: Collection[str], budget: int) -> Iterator[Mapping[str, Content]]:
        """Contents are inflated when they are read, so each one's size is what has to fit."""
        listed = [(path, self.entries[path]) for path in paths if path in self.entries]
        yield {path: ZipContent(self.archive, entry, entry.central.size) for path, entry in listed if entry.central.size <= budget}


@contextmanager
def open_zip_trees(paths: Sequence[Path], *, names: Sequence[str], limits: Limits = DEFAULT) -> Iterator[tuple[ZipTree, ...]]:
    """Read one zip, or two that are to be compared, as trees. Raises as :func:`~reprove.archive.zipfiles.open_zip` does."""
    with open_zips(paths, limits) as archives:
        yield tuple(_tree(archive, name) for archive, name in zip(archives, names, strict=True))


def _tree(archive: OpenZip, name: str) -> ZipTree:
    read = archive.zip
    entries = {entry.name.removesuffix("/"): entry for entry in read.entries}
    profile = _profile(name, entries)
    links = profile is Profile.ZIP
    members = tuple(_member(entry, digest, links=links) for entry, digest in zip(read.entries, read.digests, strict=True))
    violations = tuple(found for found in read.violations if not (links and found.code is Code.SYMLINK))
    fields = []
    if read.comment:
        fields.append(Field("comment", read.comment.decode("utf-8", "backslashreplace"), Weight.DATA, read.size - len(read.comment)))
    if profile is Profile.JAR:
        fields.append(Field("manifest-first", "yes" if _manifest_leads(read.entries) else "no", Weight.DATA, 0))
    return ZipTree(archive, profile, read.size, read.sha256, members, violations, tuple(fields), entries)


def _profile(name: str, entries: Collection[str]) -> Profile:
    if name.lower().endswith(".whl") or any(path.endswith(".dist-info/WHEEL") and path.count("/") == 1 for path in entries):
        return Profile.WHEEL
    return Profile.JAR if _MANIFEST in entries else Profile.ZIP


def _manifest_leads(entries: Sequence[Entry]) -> bool:
    """Whether a stream reader finds the manifest: first, or second after ``META-INF/`` (``java.util.jar.JarInputStream``)."""
    names = [entry.name for entry in sorted(entries, key=lambda entry: entry.local.offset)[:2]]
    return names[:1] == [_MANIFEST] or names == ["META-INF/", _MANIFEST]


def _member(entry: Entry, digest: Sha256 | None, *, links: bool) -> Member:
    kind = Kind.FILE
    if entry.is_dir:
        kind, digest = Kind.FOLDER, None
    elif links and stat.S_ISLNK(entry.mode):
        kind = Kind.SYMLINK
    return Member(entry.name.removesuffix("/"), kind, entry.central.size, digest, _raw(entry), entry.local.offset, entry.data)


def _raw(entry: Entry) -> bytes:
    """Every header byte but names, positions, and what the content decides already."""
    central, local = entry.central, entry.local
    numbers = (central.version, central.flags, central.method, local.version, entry.made_by, entry.internal, entry.external, central.stored)
    return b"%d %d %d %d %d %d %d %d " % numbers + b"\0".join((central.time, local.time, central.extra, local.extra, entry.comment))


def _details(entry: Entry, *, first: bool) -> list[Field]:
    central, local, at = entry.central, entry.local, entry.central.offset
    noise = Weight.NOISE
    found = [
        Field("mode", f"{entry.mode:06o}", noise, at + 38),
        Field("executable", "yes" if entry.mode & 0o111 else "no", Weight.DATA, at + 38),
        Field("time", dos_text(central.time), noise, entry.central_time_offset),
        Field("method", central.method, noise, at + 10),
        Field("deflate", f"{central.stored} bytes", noise, entry.data),
        Field("create-system", entry.system, noise, at + 5),
        Field("create-version", entry.made_by & 255, noise, at + 4),
        Field("extract-version", f"{central.version}/{local.version}", noise, at + 6),
        Field("flags", f"{central.flags:04x}", noise, at + 8),
        Field("internal-attributes", entry.internal, noise, at + 36),
        Field("dos-attributes", entry.external & 0xFFFF, noise, at + 38),
    ]
    if local.time != central.time:
        found.append(Field("local-time", dos_text(local.time), noise, entry.local_time_offset))
    if entry.comment:
        found.append(Field("comment", entry.comment.decode("utf-8", "backslashreplace"), Weight.DATA, at))
    for place, header in (("", central), ("local-", local)):
        found += _extras(place, header.extra, header.offset, first=first)
    return found


def _extras(place: str, extra: bytes, offset: int, *, first: bool) -> Iterator[Field]:
    try:
        rows = list(extra_fields(extra))
    except ValueError:
        yield Field(f"{place}extra", extra.hex(), Weight.DATA, offset)
        return
    for ident, data in rows:
        known = (ident in _NOISE_EXTRAS and not (ident == 0xD935 and any(data[2:]))) or (ident == _JAR_MARK and first and not data)
        yield Field(f"{place}extra:{ident:04x}", data.hex(), Weight.NOISE if known else Weight.DATA, offset)


def dos_text(raw: bytes) -> str:
    """The 4 bytes of a DOS time field as a date and time; it has no zone. Out-of-range parts are shown as they stand."""
    time, date = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    day = f"{(date >> 9) + 1980:04d}-{date >> 5 & 15:02d}-{date & 31:02d}"
    return f"{day} {time >> 11:02d}:{time >> 5 & 63:02d}:{(time & 31) * 2:02d}"
