"""Read a zip file strictly: lint its structure, inflate and check every member, account for every byte (DESIGN section 6, "Stamping").

Reading never believes one header over another: where two places say the same thing, they must agree, or it is a :class:`Violation`.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from reprove.archive import lint
from reprove.archive.limits import CHUNK, DEFAULT, ArchiveError, LimitError, Limits
from reprove.archive.model import Code, Entry, Zip
from reprove.archive.names import decode
from reprove.archive.structure import Notes, Record, central_records, local_header, read_directory
from reprove.core.digests import Sha256

STORED, DEFLATED = 0, 8
_DESCRIPTOR_FLAG = 0x0008
_DESCRIPTORS = {12: "<LLL", 16: "<4xLLL", 20: "<LQQ", 24: "<4xLQQ"}


@dataclass(frozen=True, slots=True)
class OpenZip:
    """A read archive together with its bytes, for whoever compares or stamps."""

    zip: Zip
    view: mmap.mmap

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield the inflated content of a member in bounded chunks; raises :class:`ArchiveError` where the data is malformed."""
        return _inflate(self.view, entry)


@contextmanager
def open_zip(path: Path, limits: Limits = DEFAULT) -> Iterator[OpenZip]:
    """Read the archive at ``path``; its file stays mapped inside the ``with``.

    Raises :class:`ArchiveError` when it is no zip at all, :class:`LimitError` when reading it costs more than ``limits``.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.archive:
            raise LimitError(f"an archive of {size} bytes is beyond the limit of {limits.archive}")
        if size == 0:
            raise ArchiveError("not a zip archive: empty", offset=0)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            yield OpenZip(_read(view, limits), view)


def _read(view: mmap.mmap, limits: Limits) -> Zip:
    notes = Notes(limits.violations)
    try:
        directory = read_directory(view, notes, limits)
        entries = tuple(_entries(view, directory.offset, list(central_records(view, directory, notes)), notes))
    except struct.error as error:
        raise ArchiveError(f"a header is cut short: {error}") from None
    lint.check_layout(entries, directory.offset, notes)
    lint.check_names(entries, limits, notes)
    for entry in entries:
        lint.check_entry(entry, notes)
    _check_descriptors(view, entries, notes)
    whole = hashlib.sha256()
    for at in range(0, len(view), CHUNK):
        whole.update(view[at : at + CHUNK])
    digests = _digests(view, entries, limits, notes)
    named = {entry.name: index for index, entry in enumerate(entries)}
    return Zip(len(view), Sha256(whole.hexdigest()), entries, digests, tuple(notes.found), directory.comment, named)


def _entries(view: mmap.mmap, directory: int, records: list[Record], notes: Notes) -> Iterator[Entry]:
    """Join central and local headers. ``end`` is where the next local header (or the directory) starts: what lies between is data or descriptor."""
    starts = sorted({record.local_offset for record in records}) + [directory]
    following = dict(pairwise(starts))
    for record in records:
        local, data = local_header(view, record.local_offset, notes)
        name, wrong = decode(record.header.raw_name, record.header.flags)
        if wrong:
            notes.add(Code.NAME_ENCODING, name, record.header.offset, wrong)
        end = following.get(record.local_offset, directory)
        yield Entry(name, record.header, local, data, end, record.made_by, record.internal, record.external, record.comment)


def _check_descriptors(view: mmap.mmap, entries: tuple[Entry, ...], notes: Notes) -> None:
    """What follows a member's data must be nothing, or exactly the data descriptor that its flag announces (APPNOTE 4.3.9)."""
    for entry in entries:
        at = entry.data + entry.central.stored
        rest = entry.end - at
        if not entry.central.flags & _DESCRIPTOR_FLAG:
            if rest > 0:
                notes.add(Code.GAP, entry.name, at, f"{rest} bytes after the member belong to nothing")
            continue
        form = _DESCRIPTORS.get(rest)
        expected = (entry.central.crc, entry.central.stored, entry.central.size)
        if form is None or struct.unpack(form, view[at : at + rest]) != expected:
            notes.add(Code.DESCRIPTOR, entry.name, at, "the data descriptor disagrees with the central directory or is not alone")
        elif rest in (16, 24) and view[at : at + 4] != b"PK\x07\x08":
            notes.add(Code.DESCRIPTOR, entry.name, at, "the data descriptor has a wrong signature")
        if entry.central.method == STORED and entry.central.size:
            notes.add(Code.DESCRIPTOR, entry.name, at, "a stored member with a data descriptor has no end that a stream reader can find")


def _digests(view: mmap.mmap, entries: tuple[Entry, ...], limits: Limits, notes: Notes) -> tuple[Sha256 | None, ...]:
    """Inflate every member once. Overlapping members are not inflated at all: that is how a small file costs petabytes."""
    if any(found.code is Code.OVERLAP for found in notes.found):
        return (None,) * len(entries)
    spent = 0
    allowed = min(limits.total, max(limits.ratio_free, limits.ratio * len(view)))
    result: list[Sha256 | None] = []
    for entry in entries:
        digest, crc, size = hashlib.sha256(), 0, 0
        try:
            for chunk in _inflate(view, entry):
                size += len(chunk)
                if spent + size > allowed:
                    raise LimitError(f"the members inflate to more than {allowed} bytes", offset=entry.data)
                digest.update(chunk)
                crc = zlib.crc32(chunk, crc)
        except LimitError:
            raise
        except ArchiveError as error:
            notes.add(Code.DEFLATE, entry.name, entry.data if error.offset is None else error.offset, error.detail)
            result.append(None)
            continue
        spent += size
        if size != entry.central.size:
            notes.add(Code.SIZE, entry.name, entry.central.offset, f"declares {entry.central.size} bytes and holds {size}")
        if crc != entry.central.crc:
            notes.add(Code.CRC, entry.name, entry.central.offset, f"declares CRC {entry.central.crc:08x} and has {crc:08x}")
        result.append(Sha256(digest.hexdigest()))
    return tuple(result)


def _inflate(view: mmap.mmap, entry: Entry) -> Iterator[bytes]:
    start, stop = entry.data, min(entry.data + entry.central.stored, len(view))
    if entry.central.method == STORED:
        for at in range(start, stop, CHUNK):
            yield view[at : min(at + CHUNK, stop)]
        return
    if entry.central.method != DEFLATED:
        raise ArchiveError(f"method {entry.central.method} is not read", offset=start)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    at, pending = start, b""
    try:
        while not stream.eof:
            if not pending:
                pending = view[at : min(at + CHUNK, stop)]
                at += len(pending)
            chunk = stream.decompress(pending, CHUNK)
            starved = not pending and not chunk
            pending = stream.unconsumed_tail
            if chunk:
                yield chunk
            if starved:
                raise ArchiveError("the deflate stream has no end", offset=stop)
    except zlib.error as error:
        raise ArchiveError(f"malformed deflate stream: {error}", offset=start) from None
    left = (stop - at) + len(stream.unused_data)
    if left:
        raise ArchiveError(f"{left} bytes after the end of the deflate stream", offset=stop - left)
