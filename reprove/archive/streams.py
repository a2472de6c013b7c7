"""Read one compressed stream strictly: exactly one member, stream or frame, its header known, nothing behind it (docs/comparison.md).

Common readers stop at different places after the first member and skip different fields, so anything else is a :class:`Violation`.
The libraries decompress; who reads the headers is named here: RFC 1952 (gzip), the .xz file format 1.2.1, RFC 8878 (zstd).
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reprove.archive import gzipstream, xzstream, zstdstream
from reprove.archive.limits import CHUNK, ArchiveError, LimitError, Limits
from reprove.archive.model import Code
from reprove.archive.spans import Span, allowance
from reprove.archive.structure import Notes
from reprove.archive.tree import Field, Weight


class Packing(StrEnum):
    """How a stream is compressed."""

    NONE = "none"
    GZIP = "gzip"
    XZ = "xz"
    BZIP2 = "bzip2"
    ZSTD = "zstd"


_MAGIC = {
    Packing.GZIP: (gzipstream.MAGIC,),
    Packing.XZ: (xzstream.MAGIC,),
    Packing.BZIP2: tuple(b"BZh%d" % level for level in range(1, 10)),
    Packing.ZSTD: (zstdstream.MAGIC, *zstdstream.SKIPPABLE),
}


def packing_of(head: bytes) -> Packing:
    """What the first bytes of a file say."""
    return next((packing for packing, magic in _MAGIC.items() if head.startswith(magic)), Packing.NONE)


@dataclass(slots=True)
class Stream:
    """One stream in ``span``. ``fields`` are complete once :meth:`chunks` has been read to its end; violations go to ``notes`` under ``path``."""

    span: Span
    packing: Packing
    notes: Notes
    limits: Limits
    path: str = ""
    fields: list[Field] = field(default_factory=list)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content. Raises :class:`ArchiveError` where it is damaged, :class:`LimitError` when it grows beyond its allowance."""
        self.fields[:] = [Field("compression", self.packing.value, Weight.NOISE)]
        allowed, spent = allowance(self.span.size, self.limits), 0
        for chunk in _CODECS[self.packing](self):
            spent += len(chunk)
            if spent > allowed:
                raise LimitError(f"{self.span.size} compressed bytes become more than {allowed}", offset=spent)
            yield chunk

    def note(self, code: Code, offset: int, detail: str) -> None:
        """Keep a violation of the stream."""
        self.notes.add(code, self.path, offset, detail)

    def fact(self, name: str, value: str | int, offset: int | None = None) -> None:
        """Keep a field of the stream: none of them reaches what an extractor writes."""
        self.fields.append(Field(name, value, Weight.NOISE, offset))

    def body(self, name: str, start: int, stop: int) -> None:
        """Keep which compressed bytes stand for the content: other compressors give others."""
        self.fact(name, f"{stop - start} bytes, sha256 {self.span.sha256(start, stop)}", start)

    def end(self, at: int) -> None:
        """Note what follows the stream."""
        rest = self.span.size - at
        if not rest:
            return
        again = packing_of(self.span.read(at, 8)) is self.packing
        what = "another one begins" if again else f"{rest} bytes follow"
        self.note(Code.STREAMS if again else Code.SUFFIX, at, f"after the end of the {self.packing} stream {what}")


class Decompressor(Protocol):
    """What :mod:`bz2`, :mod:`lzma` and zstd have in common."""

    @property
    def eof(self) -> bool: ...  # noqa: D102
    @property
    def needs_input(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...  # noqa: D102


def pull(span: Span, machine: Decompressor, faults: tuple[type[Exception], ...], ends: list[int]) -> Iterator[bytes]:
    """Yield what ``machine`` makes of ``span``, and append to ``ends`` where its stream ends."""
    at = 0
    while not machine.eof:
        data = b""
        if machine.needs_input:
            data = span.read(at, CHUNK)
            at += len(data)
            if not data:
                raise ArchiveError("the compressed stream has no end", offset=at)
        try:
            chunk = machine.decompress(data, CHUNK)
        except faults as error:
            if isinstance(error, MemoryError) or "emory" in str(error):
                raise LimitError(f"the compressed stream needs too much memory: {error}", offset=at) from None
            raise ArchiveError(f"malformed compressed stream: {error}", offset=at) from None
        if chunk:
            yield chunk
    ends.append(at - len(machine.unused_data))


def _gzip(stream: Stream) -> Iterator[bytes]:
    header = gzipstream.read_header(stream.span, stream.limits)
    for code, offset, detail in header.complaints:
        stream.note(code, offset, detail)
    for name, value, offset in header.facts:
        stream.fact(name, value, offset)
    ends: list[int] = []
    yield from gzipstream.inflate(stream.span, header.size, ends)
    stop = ends[0]
    for code, offset, detail in gzipstream.trailer_complaints(stream.span, stop, *ends[1:]):
        stream.note(code, offset, detail)
    stream.body("gzip:deflate", header.size, stop)
    stream.end(stop + gzipstream.TRAILER)


def _xz(stream: Stream) -> Iterator[bytes]:
    ends: list[int] = []
    machine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=stream.limits.window)
    yield from pull(stream.span, machine, (lzma.LZMAError, MemoryError), ends)
    facts = xzstream.read_facts(stream.span.part(0, ends[0]), stream.limits)
    if facts.check is None:
        stream.note(Code.STREAM_HEADER, 6, "an integrity check that is not known, so nothing was checked")
    stream.fact("xz:check", facts.check or "unknown", 6)
    stream.fact("xz:blocks", facts.blocks, facts.index)
    stream.body("xz:stream", 0, ends[0])
    stream.end(ends[0])


def _bzip2(stream: Stream) -> Iterator[bytes]:
    ends: list[int] = []
    yield from pull(stream.span, bz2.BZ2Decompressor(), (OSError, ValueError, MemoryError), ends)
    stream.fact("bzip2:level", chr(stream.span.read(3, 1)[0]), 3)
    stream.body("bzip2:stream", 0, ends[0])
    stream.end(ends[0])


def _zstd(stream: Stream) -> Iterator[bytes]:
    frame = zstdstream.read_frame(stream.span, stream.limits)
    for offset, detail in frame.complaints:
        stream.note(Code.STREAM_HEADER, offset, detail)
    ends: list[int] = []
    machine, fault = zstdstream.decompressor()
    yield from pull(stream.span, machine, (fault, MemoryError), ends)
    stream.fact("zstd:frame", frame.text, 4)
    stream.body("zstd:stream", 0, ends[0])
    if stream.span.read(ends[0], 4) in zstdstream.SKIPPABLE:
        stream.note(Code.STREAMS, ends[0], "a skippable frame follows the frame")
    else:
        stream.end(ends[0])


def _plain(stream: Stream) -> Iterator[bytes]:
    yield from stream.span.chunks()


_CODECS: dict[Packing, Callable[[Stream], Iterator[bytes]]] = {
    Packing.NONE: _plain,
    Packing.GZIP: _gzip,
    Packing.XZ: _xz,
    Packing.BZIP2: _bzip2,
    Packing.ZSTD: _zstd,
}
