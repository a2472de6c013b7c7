"""Trees of single files, tars, debs, gems and ar archives: what holds what, and which layouts leave no doubt (deb(5), RubyGems' package format)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import NamedTuple

from reprove.archive import artree, profiles, tarfields
from reprove.archive.limits import ArchiveError, Limits
from reprove.archive.model import Code, Violation
from reprove.archive.parts import Part, PartsTree
from reprove.archive.spans import Feed, Span, allowance
from reprove.archive.streams import Packing, Stream, packing_of
from reprove.archive.structure import Notes
from reprove.archive.tarblocks import BLOCK, ZERO, has_checksum
from reprove.archive.tartree import Tar, Walk
from reprove.archive.tree import Field, Kind, Member, Profile, Stored
from reprove.core.digests import Sha256

_DEB_BINARY, _DEB_CONTROL, _DEB_DATA = "debian-binary", "control.tar", "data.tar"
_DEB_VERSION = b"2.0\n"
_DEB_PACKINGS = {"": Packing.NONE, ".gz": Packing.GZIP, ".xz": Packing.XZ, ".bz2": Packing.BZIP2, ".zst": Packing.ZSTD}
_GEM_DATA = "data.tar.gz"
_GEM_FILES = ("metadata.gz", "checksums.yaml.gz")
_GEM_NAMES = frozenset(name + suffix for name in (_GEM_DATA, *_GEM_FILES) for suffix in ("", ".sig"))


class Inner(NamedTuple):
    """A container's tar as read, with the facts and violations of its stream."""

    tar: Tar
    facts: tuple[Field, ...]
    violations: tuple[Violation, ...]


@dataclass(slots=True)
class Shared:
    """What two sides read in common: the container of one side whose stored bytes are also the other's is read once."""

    _lock: Lock = field(default_factory=Lock)
    _found: dict[tuple[str, Packing, Sha256], Future[Inner]] = field(default_factory=dict)

    def get(self, key: tuple[str, Packing, Sha256], make: Callable[[], Inner]) -> Inner:
        """What ``make`` gave for ``key`` to whoever came first; it fails for both if it fails."""
        with self._lock:
            future = self._found.get(key)
            first = future is None
            if future is None:
                future = self._found[key] = Future()
        if first:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001  # the other thread waits for an answer, whatever it is
                future.set_exception(error)
        return future.result()


@dataclass(slots=True)
class Reader:
    """Reads one file. ``name`` is what the file is called, if anything."""

    span: Span
    name: str
    limits: Limits
    shared: Shared
    notes: Notes = field(init=False)

    def __post_init__(self) -> None:
        self.notes = Notes(self.limits.violations)

    def read(self, head: bytes) -> PartsTree:
        """Read the file whose first bytes are ``head``."""
        if head.startswith(artree.MAGIC):
            return self._ar()
        packing = packing_of(head)
        if packing is not Packing.NONE or self._is_tar(head):
            return self._stream(packing)
        return self._tree(Profile.BYTES, members=(self._whole(self.span.sha256(), self.span.size),), part=Part(self.span, packing, _nothing))

    def _is_tar(self, head: bytes) -> bool:
        """A header with its checksum, a magic (then a false checksum is damage), or an empty tar that only its name tells from zeros."""
        return has_checksum(head[:BLOCK]) or head[257:262] == b"ustar" or (head[:BLOCK] == ZERO and profiles.named_tar(self.name))

    def _whole(self, digest: Sha256, size: int) -> Member:
        return Member("", Kind.FILE, size, digest, b"", 0, 0)

    def _tree(self, profile: Profile, *, members: tuple[Member, ...], part: Part, fields: tuple[Field, ...] = ()) -> PartsTree:
        return PartsTree(
            profile=profile,
            size=self.span.size,
            sha256=self.span.sha256(),
            members=members,
            violations=tuple(self.notes.found),
            fields=fields,
            parts={"": part},
            limits=self.limits,
        )

    def _stream(self, packing: Packing) -> PartsTree:
        """A compressed file: a tar in it is part of the format, anything else is one file."""
        stream = Stream(self.span, packing, self.notes, self.limits)
        feed = Feed(stream.chunks())
        if not self._is_tar(feed.peek(BLOCK)):
            digest = hashlib.sha256()
            for piece in feed.rest():
                digest.update(piece)
            members = (self._whole(Sha256(digest.hexdigest()), feed.offset),)
            return self._tree(Profile.STREAM, members=members, part=Part(self.span, packing, _nothing), fields=tuple(stream.fields))
        tar = Walk(feed, self.limits, allowance(self.span.size, self.limits)).run()
        profile = profiles.of_tar([member.path for member in tar.members], self.name, packed=packing is not Packing.NONE)
        self.notes.found += tar.violations
        if profile in profiles.STRICT:
            self.notes.found += tar.strict
        part = Part(self.span, packing, partial(tarfields.details, limits=self.limits, deb=False), tar.sparse)
        tree = self._tree(profile, members=tar.members, part=part, fields=(*stream.fields, *tar.fields))
        return self._gem(tree) if profile is Profile.GEM else tree

    def _inner(self, span: Span, packing: Packing, container: str, stored: Sha256, *, deb: bool) -> Inner:
        """Read the tar in a container, or take it from the other side when its stored bytes are the same."""

        def make() -> Inner:
            notes = Notes(self.limits.violations)
            stream = Stream(span, packing, notes, self.limits, container)
            try:
                tar = Walk(Feed(stream.chunks()), self.limits, allowance(span.size, self.limits), container, deb).run()
            except ArchiveError as error:
                error.detail = f"{container}: {error.detail}"
                raise
            return Inner(tar, tuple(stream.fields), tuple(notes.found))

        return self.shared.get((container, packing, stored), make)

    def _gem(self, tree: PartsTree) -> PartsTree:
        """Open what a gem holds: ``data.tar.gz`` becomes a container, the gzipped texts become files."""
        members: list[Member] = []
        stored: dict[str, Stored] = {}
        for member in tree.members:
            span = self.span.part(member.data, member.size)
            if member.path not in _GEM_NAMES or member.kind is not Kind.FILE or member.sha256 is None:
                self.notes.add(Code.LAYOUT, member.path, member.offset, "a member that a gem does not have")
            if member.path in (_GEM_DATA, *_GEM_FILES) and member.kind is Kind.FILE and member.sha256 is not None and member.path not in stored:
                stored[member.path] = Stored(member.sha256, _sha512(span))
                members += self._gem_member(tree, member, span, member.sha256)
            else:
                members.append(member)
        for name in (_GEM_DATA, _GEM_FILES[0]):
            if name not in stored:
                self.notes.add(Code.LAYOUT, name, 0, "a gem without it")
        return replace(tree, members=tuple(members), violations=tuple(self.notes.found), stored=stored)

    def _gem_member(self, tree: PartsTree, member: Member, span: Span, stored: Sha256) -> list[Member]:
        plain = member.path.removesuffix(".gz")
        if member.path == _GEM_DATA:
            inner = self._inner(span, Packing.GZIP, plain, stored, deb=False)
            self.notes.found += (*inner.violations, *inner.tar.violations, *inner.tar.strict)
            tree.parts = {**tree.parts, plain: Part(span, Packing.GZIP, tree.parts[""].fields, inner.tar.sparse)}
            return [self._container(tree, member, plain, inner), *inner.tar.members]
        stream = Stream(span, Packing.GZIP, self.notes, self.limits, plain)
        digest, size = hashlib.sha256(), 0
        for chunk in stream.chunks():
            digest.update(chunk)
            size += len(chunk)
        tree.packed = {**tree.packed, plain: Part(span, Packing.GZIP, _nothing)}
        tree.extra = {**tree.extra, plain: tuple(stream.fields)}
        return [Member(plain, Kind.FILE, size, Sha256(digest.hexdigest()), member.raw + _packed(stream.fields), member.offset, 0)]

    def _container(self, tree: PartsTree, member: Member, path: str, inner: Inner) -> Member:
        facts = (*inner.facts, *inner.tar.fields)
        tree.extra = {**tree.extra, path: facts}
        return Member(path, Kind.CONTAINER, member.size, member.sha256, member.raw + _packed(facts), member.offset, member.data)

    def _ar(self) -> PartsTree:
        found = artree.read_ar(self.span, self.limits, self.notes)
        part = Part(self.span, Packing.NONE, artree.details)
        if profiles.is_deb([item.name for item in found.parts], self.name):
            return self._deb(found, part)
        tree = self._tree(Profile.AR, members=artree.library(self.span, found, self.notes), part=part, fields=tuple(found.fields))
        return replace(tree, violations=tuple(self.notes.found), ordered=frozenset({""}))

    def _deb(self, found: artree.Ar, part: Part) -> PartsTree:
        """A binary package: exactly three members in this order (deb(5)). dpkg skips others whose name begins with ``_``, other readers take them."""
        tree = self._tree(Profile.DEB, members=(), part=part, fields=tuple(found.fields))
        members: list[Member] = []
        expected = [_DEB_BINARY, _DEB_CONTROL, _DEB_DATA]
        for item in found.parts:
            stem, dot, suffix = item.name.partition(".tar")
            path = stem + dot if dot and suffix in _DEB_PACKINGS else item.name
            if not expected or path != expected.pop(0) or not item.plain:
                expected = []
                self.notes.add(Code.LAYOUT, item.name, item.offset, "not debian-binary, control.tar and data.tar in this order, and nothing else")
            span = self.span.part(item.data, item.size)
            digest = span.sha256()
            member = Member(item.name, Kind.FILE, item.size, digest, item.header, item.offset, item.data)
            if path in (_DEB_CONTROL, _DEB_DATA) and path not in tree.parts:
                packing = _DEB_PACKINGS[suffix]
                if packing is Packing.NONE and packing_of(span.read(0, 8)) is not Packing.NONE:
                    raise ArchiveError(f"{item.name} is compressed", offset=item.data)
                inner = self._inner(span, packing, path, digest, deb=True)
                self.notes.found += (*inner.violations, *inner.tar.violations)
                tree.parts = {**tree.parts, path: Part(span, packing, partial(tarfields.details, limits=self.limits, deb=True), inner.tar.sparse)}
                tree.md5 = {**tree.md5, **inner.tar.md5}
                members += [self._container(tree, member, path, inner), *inner.tar.members]
            else:
                if item.name == _DEB_BINARY and span.read(0, len(_DEB_VERSION) + 1) != _DEB_VERSION:
                    self.notes.add(Code.LAYOUT, item.name, item.data, "a format version other than 2.0")
                members.append(member)
        if expected:
            self.notes.add(Code.LAYOUT, expected[0], self.span.size, f"a deb without {expected[0]}")
        return replace(tree, members=tuple(members), violations=tuple(self.notes.found), ordered=frozenset({""}))


def _nothing(_member: Member) -> tuple[Field, ...]:
    return ()


def _packed(facts: tuple[Field, ...] | list[Field]) -> bytes:
    """Facts of a stream as bytes of its member's raw header, so that equal raw means equal fields."""
    return repr([(fact.name, fact.value) for fact in facts]).encode()


def _sha512(span: Span) -> str:
    digest = hashlib.sha512()
    for chunk in span.chunks():
        digest.update(chunk)
    return digest.hexdigest()
