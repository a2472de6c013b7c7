"""The tree of what this package reads itself: everything but zip. Contents come from a second pass over just the archives that hold them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import IO

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.model import Violation
from reprove.archive.spans import Feed, Span
from reprove.archive.sparse import Sparse, expanded
from reprove.archive.streams import Packing, Stream
from reprove.archive.structure import Notes
from reprove.archive.tree import NEST, Content, Field, Kind, Member, Profile, Stored
from reprove.core.digests import Sha256

_IN_A_THREAD = 1024**2


@dataclass(frozen=True, slots=True)
class Part:
    """Stored bytes that hold members: the whole file, or one container in it. ``fields`` tells of a member from its raw header."""

    span: Span
    packing: Packing
    fields: Callable[[Member], tuple[Field, ...]]
    sparse: Mapping[str, Sparse] = field(default_factory=dict)


@dataclass(slots=True)
class SpanContent:
    """A :class:`~reprove.archive.tree.Content` over bytes that stand plain in some file."""

    span: Span
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes in chunks."""
        return self.span.chunks()

    def read(self) -> bytes:
        """All of them."""
        return self.span.read(0, self.span.size)


@dataclass(slots=True, kw_only=True)
class PartsTree:
    """A :class:`~reprove.archive.tree.Tree`. ``parts`` by the container's path (``""``: the file itself), ``packed`` by the path of one packed file.

    ``extra`` are the fields of a member that come from its stream and not from its header.
    """

    profile: Profile
    size: int
    sha256: Sha256
    members: tuple[Member, ...]
    violations: tuple[Violation, ...]
    fields: tuple[Field, ...] = ()
    ordered: frozenset[str] = frozenset()
    md5: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)
    parts: Mapping[str, Part]
    packed: Mapping[str, Part] = field(default_factory=dict)
    extra: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    limits: Limits

    def _home(self, path: str) -> Part:
        return self.packed.get(path) or self.parts.get(path.partition(NEST)[0] if NEST in path else "") or self.parts[""]

    def details(self, member: Member) -> tuple[Field, ...]:
        """Every field of a member, from its header and its stream."""
        home = self.parts[""] if member.path in self.packed else self._home(member.path)
        return home.fields(member) + self.extra.get(member.path, ())

    @contextmanager
    def contents(self, paths: Collection[str], budget: int) -> Iterator[Mapping[str, Content]]:
        """The content of files by path; what is packed is spooled to one temporary file, in archive order, as far as ``budget`` bytes go.

        Large parts are read in a thread of their own, so that both sides of a pair are read at once; looking anything up waits for it.
        """
        wanted: dict[int, tuple[Part, list[Member]]] = {}
        found: dict[str, Content] = {}
        for member in self.members:
            if member.path not in paths or member.kind is not Kind.FILE or member.sha256 is None or member.size > budget:
                continue
            budget -= member.size
            part = self._home(member.path)
            if part.packing is Packing.NONE and member.path not in part.sparse:
                found[member.path] = SpanContent(part.span.part(member.data, member.size), member.size)
            else:
                wanted.setdefault(id(part), (part, []))[1].append(member)
        with ExitStack() as stack:
            if not wanted:
                yield found
                return
            spool = Spool(stack.enter_context(tempfile.TemporaryFile()), list(wanted.values()), found, self.limits)
            if sum(part.span.size for part, _ in wanted.values()) <= _IN_A_THREAD:
                yield spool.run()
                return
            pool = stack.enter_context(ThreadPoolExecutor(1))
            stack.callback(spool.stop.set)
            yield Later(pool.submit(spool.run))


@dataclass(slots=True)
class Later(Mapping[str, Content]):
    """A mapping that somebody is still making."""

    made: Future[dict[str, Content]]

    def __getitem__(self, path: str) -> Content:
        return self.made.result()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.made.result())

    def __len__(self) -> int:
        return len(self.made.result())


@dataclass(slots=True)
class Spool:
    """The second pass: writes the wanted members of each part to ``file`` and tells of them in ``found``. ``stop`` ends it early."""

    file: IO[bytes]
    wanted: list[tuple[Part, list[Member]]]
    found: dict[str, Content]
    limits: Limits
    stop: Event = field(default_factory=Event)

    def run(self) -> dict[str, Content]:
        """Read every part up to its last wanted member. What comes before damage is found, what comes after is not."""
        for part, members in self.wanted:
            try:
                self._part(part, members)
            except OSError as error:
                raise LimitError(f"no room to keep contents at hand: {error.strerror}") from None
            except LimitError:
                raise
            except ArchiveError:
                continue
        return self.found

    def _part(self, part: Part, members: list[Member]) -> None:
        feed = Feed(Stream(part.span, part.packing, Notes(0), self.limits).chunks())
        for member in sorted(members, key=lambda item: item.data):
            for _ in feed.pieces(member.data - feed.offset):
                if self.stop.is_set():
                    return
            start, sparse = self.file.tell(), part.sparse.get(member.path)
            pieces = feed.pieces(member.size) if sparse is None else expanded(sparse, feed.pieces(sparse.stored))
            for piece in pieces:
                self.file.write(piece)
                if self.stop.is_set():
                    return
            self.file.flush()
            if self.file.tell() - start == member.size:
                self.found[member.path] = SpanContent(Span(self.file.fileno(), start, member.size), member.size)
