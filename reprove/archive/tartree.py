"""Walk a tar from its first block to its last byte: members with their digests, and what makes it mean two things (docs/comparison.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from reprove.archive import pax
from reprove.archive.limits import CHUNK, LimitError, Limits
from reprove.archive.model import Code, Violation
from reprove.archive.spans import Feed
from reprove.archive.sparse import Sparse, expanded
from reprove.archive.structure import Notes
from reprove.archive.tarblocks import BLOCK, ZERO, TarError
from reprove.archive.tarentry import Entry, Extension, read_entry
from reprove.archive.tarnames import ROOT, Names
from reprove.archive.tree import NEST, Field, Kind, Member, Weight
from reprove.core.digests import Sha256

KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.FOLDER,
    b"6": Kind.FIFO,
    b"S": Kind.FILE,
}
_SET_ID = 0o7000
_EMPTY = Sha256(hashlib.sha256().hexdigest())


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar as read. ``strict`` are violations in package formats that never have such members; ``sparse`` maps of members by path."""

    members: tuple[Member, ...]
    violations: tuple[Violation, ...]
    strict: tuple[Violation, ...]
    fields: tuple[Field, ...]
    md5: Mapping[str, str]
    sparse: Mapping[str, Sparse]


@dataclass(slots=True)
class Walk:
    """One walk over a tar that ``feed`` gives. ``container`` is the path of the member that holds it, ``""`` for the outermost.

    ``deb`` keeps folders' own entries, allows what only Linux takes, and hashes with MD5 too. ``allowed`` caps what sparse files grow to.
    """

    feed: Feed
    limits: Limits
    allowed: int
    container: str = ""
    deb: bool = False
    members: list[Member] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    md5: dict[str, str] = field(default_factory=dict)
    sparse: dict[str, Sparse] = field(default_factory=dict)
    _notes: Notes = field(init=False)
    _strict: Notes = field(init=False)
    _names: Names = field(init=False)
    _prefix: str = field(init=False)
    _acted: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _current: str = ""
    _headers: int = 0
    _records: int = 0

    def __post_init__(self) -> None:
        self._notes, self._strict = Notes(self.limits.violations), Notes(self.limits.violations)
        self._prefix = self.container + NEST if self.container else ""
        self._names = Names(self.limits, self._notes, self._strict, self._prefix, linux=self.deb)

    def run(self) -> Tar:
        """Read everything. Raises :class:`~reprove.archive.limits.ArchiveError` when the first header makes no sense or the stream is damaged."""
        try:
            while (entry := self._next()) is not None:
                self._member(entry)
            self._end()
        except TarError as error:
            if not self.members and error.code is Code.CHECKSUM:
                raise
            self._notes.add(error.code, self._current, error.offset or 0, error.detail)
            for _ in self.feed.rest():
                pass  # the compressed stream has checks at its end
        self._names.finish()
        violations, strict = tuple(self._notes.found), tuple(self._strict.found)
        return Tar(tuple(self.members), violations, strict, tuple(self.fields), self.md5, self.sparse)

    def _complain(self, code: Code, offset: int, detail: str) -> None:
        self._notes.add(code, self._current, offset, detail)

    def _next(self) -> Entry | None:
        self._current = self._prefix
        entry, globals_ = read_entry(self.feed, self.limits, self._complain)
        for extension in globals_:
            self._global(extension)
        if entry is not None and entry.extensions:
            self._spend(entry.extensions)
        return entry

    def _spend(self, extensions: tuple[Extension, ...]) -> None:
        """What extension headers cost is bounded over the whole archive: many large ones would be slow to take apart."""
        self._headers += sum(len(extension.payload) for extension in extensions)
        self._records += sum(extension.payload.count(b"\n") for extension in extensions)
        if self._headers > self.limits.directory or self._records > self.limits.records:
            raise LimitError(f"extension headers of {self._headers} bytes and {self._records} records", offset=extensions[0].offset)

    def _global(self, extension: Extension) -> None:
        """A global header says something of every later member; only a comment (git's commit id) is harmless, since no reader acts on it."""
        found = pax.records(extension.payload, extension.offset + BLOCK, self._complain)
        self._spend((extension,))
        if any(existing.name == "pax:global" for existing in self.fields):
            self._complain(Code.PAX, extension.offset, "more than one global header")
            return
        for key in found:
            if key != b"comment":
                self._complain(Code.PAX, extension.offset, f"a global {key[:80]!r}")
        place = f"before member {len(self.members)}, sha256 {hashlib.sha256(extension.raw).hexdigest()}"
        self.fields.append(Field("pax:global", place, Weight.NOISE, extension.offset))
        comment = found.get(b"comment", b"").decode("utf-8", "backslashreplace")
        self.fields.append(Field("pax:comment", comment, Weight.NOISE, extension.offset))

    def _member(self, entry: Entry) -> None:
        header, offset = entry.header, entry.extensions[0].offset if entry.extensions else entry.header.offset
        path = self._names.path(entry.path, offset)
        self._current = self._prefix + path
        if len(self.members) >= self.limits.entries:
            raise LimitError(f"the tar has more than {self.limits.entries} members", offset=offset)
        kind = self._kind(entry, path)
        data = self.feed.offset
        digest = None
        if kind is Kind.FILE:
            digest = self._content(entry)
        elif kind is Kind.HARDLINK:
            target = self._names.target(entry.link, offset)
            self._names.link(path, target, offset)
            if self._acted.get(target.removeprefix("./"), self._acts(entry)) != self._acts(entry):
                self._complain(Code.HARD_LINK, offset, "a hard link of another mode than its file's: some readers set it, so the last one wins")
        elif kind is Kind.SYMLINK:
            self._names.target(entry.link, offset)
        if header.mode & _SET_ID:
            self._strict.add(Code.SET_ID, self._current, offset, f"mode {header.mode:o} has a set-id or sticky bit")
        if entry.records:
            self._check_attributes(entry)
        self._names.add(path, kind, offset)
        self._acted[path] = self._acts(entry)
        if path == ROOT and kind is Kind.FOLDER and not self.deb and not entry.records and header.mode & _SET_ID == 0 and header.mode & 0o111:
            told = f"mode {header.mode:o}, before member {len(self.members)}, sha256 {hashlib.sha256(entry.raw).hexdigest()}"
            self.fields.append(Field("root-folder", told, Weight.NOISE, offset))
            return
        size = entry.size if kind is Kind.FILE else 0
        self.members.append(Member(self._current, kind, size, digest, entry.raw, offset, data))

    def _acts(self, entry: Entry) -> tuple[int, ...]:
        """What readers set on a file, so on all its links at once; what is noise elsewhere counts in a deb."""
        mode = entry.header.mode
        return (mode & 0o7777, entry.uid, entry.gid) if self.deb else (mode & _SET_ID, mode & 0o111 != 0)

    def _check_attributes(self, entry: Entry) -> None:
        found, wrong = pax.attributes(entry.records)
        if wrong:
            self._complain(Code.XATTR, entry.header.offset, wrong)
        if found:
            self._strict.add(Code.XATTR, self._current, entry.header.offset, f"the extended attribute, ACL or flag {next(iter(found))}")

    def _kind(self, entry: Entry, path: str) -> Kind:
        """What the member is; readers differ on unknown types, on folders spelled as files, and on links with a size."""
        header = entry.header
        kind = KINDS.get(header.kind)
        if kind is None:
            self._complain(Code.KIND, header.offset + 156, f"a member of unknown type {header.kind!r}")
            return Kind.FILE
        slash = entry.path.endswith(b"/") or path == ROOT
        if kind is Kind.FILE and slash:
            if header.kind != b"\0" or entry.stored or not header.name.endswith(b"/"):
                self._complain(Code.KIND, header.offset + 156, "a file whose name ends in a slash")
                return Kind.FILE
            kind = Kind.FOLDER  # how the old format spells it
        elif header.kind == b"\0" and header.name.endswith(b"/"):
            self._complain(Code.KIND, header.offset + 156, "an old file whose short name ends in a slash, so that some readers make it a folder")
        elif slash and kind is not Kind.FOLDER:
            self._complain(Code.KIND, header.offset + 156, f"a {kind} whose name ends in a slash")
        if kind is not Kind.FILE and entry.stored:
            self._complain(Code.SIZE, header.offset + 124, f"a {kind} of {entry.stored} bytes: readers differ on whether content follows")
        if kind in (Kind.CHARACTER, Kind.BLOCK, Kind.FIFO):
            self._strict.add(Code.SPECIAL, self._current, header.offset, f"a {kind}")
        if entry.sparse is not None:
            if kind is not Kind.FILE or header.kind == b"\0":
                self._complain(Code.SPARSE, header.offset, f"a sparse {kind}")
            self._strict.add(Code.SPARSE, self._current, header.offset, "a sparse file, which some readers do not expand")
        if entry.link and kind not in (Kind.HARDLINK, Kind.SYMLINK):
            self._complain(Code.SLACK, header.offset + 157, f"a link target on a {kind}")
        return kind

    def _content(self, entry: Entry) -> Sha256:
        size, feed = entry.stored, self.feed
        if entry.sparse is None and size <= CHUNK:
            if size == 0:
                if self.deb:
                    self.md5[self._current] = hashlib.md5(b"", usedforsecurity=False).hexdigest()
                return _EMPTY
            data = feed.take(size)
            if len(data) < size:
                raise TarError(Code.TRUNCATED, "the content of a member is cut short", feed.offset)
            self._padding(size)
            if self.deb:
                self.md5[self._current] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return Sha256(hashlib.sha256(data).hexdigest())
        return self._long_content(entry)

    def _long_content(self, entry: Entry) -> Sha256:
        feed, digest = self.feed, hashlib.sha256()
        old = hashlib.md5(usedforsecurity=False) if self.deb else None
        start = feed.offset
        pieces = feed.pieces(entry.stored)
        if entry.sparse is not None:
            self.allowed -= entry.size
            if self.allowed < 0:
                raise LimitError(f"a sparse file of {entry.size} bytes is beyond the limit", offset=entry.header.offset)
            self.sparse[self._current] = entry.sparse
            pieces = expanded(entry.sparse, pieces)
        for piece in pieces:
            digest.update(piece)
            if old is not None:
                old.update(piece)
        left = entry.stored - (feed.offset - start)
        if left and (entry.sparse is None or not self._skip(left)):
            raise TarError(Code.TRUNCATED, "the content of a member is cut short", feed.offset)
        self._padding(entry.stored)
        if old is not None:
            self.md5[self._current] = old.hexdigest()
        return Sha256(digest.hexdigest())

    def _skip(self, size: int) -> bool:
        """Take what a false map leaves of the content (a violation by now)."""
        return sum(len(piece) for piece in self.feed.pieces(size)) == size

    def _padding(self, size: int) -> None:
        room = -size % BLOCK
        if not room:
            return
        at = self.feed.offset
        padding = self.feed.take(room)
        if len(padding) < room:
            raise TarError(Code.TRUNCATED, "the padding of a member is cut short", at)
        if padding.strip(b"\0"):
            self._complain(Code.PADDING, at, "bytes in the padding behind a member")

    def _end(self) -> None:
        """Behind the first zero block: a second one, and then zeros only, as many as the writer's record asks for."""
        at = self.feed.offset - BLOCK
        block = self.feed.take(BLOCK)
        if block != ZERO:
            what = "one zero block" if len(block) < BLOCK and not block.strip(b"\0") else "bytes behind a lone zero block"
            self._notes.add(Code.SUFFIX if block.strip(b"\0") else Code.TRUNCATED, "", at, f"the archive ends with {what}")
        for piece in self.feed.rest():
            if piece.strip(b"\0"):
                self._notes.add(Code.SUFFIX, "", at, "bytes behind the end of the archive that are not zero")
                break
        for _ in self.feed.rest():
            pass
        size = self.feed.offset - at
        if size % BLOCK:
            self._notes.add(Code.TRUNCATED, "", at, "the archive ends inside a block")
        self.fields.append(Field("padding", size, Weight.NOISE, at))
