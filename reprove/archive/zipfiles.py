"""Read a zip file strictly: lint its structure, inflate and check every member, account for every byte (DESIGN section 6, "Stamping").

Reading never believes one header over another: where two places say the same thing, they must agree, or it is a :class:`Violation`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from reprove.archive import lint
from reprove.archive.limits import DEFAULT, ArchiveError, Limits
from reprove.archive.model import Code, Entry, Zip
from reprove.archive.names import decode
from reprove.archive.spans import open_span
from reprove.archive.structure import Directory, Notes, Record, central_records, local_header, read_directory
from reprove.archive.view import View
from reprove.archive.zipdigests import STORED, Side, digest_sides, inflate, inflate_whole

_DESCRIPTOR_FLAG = 0x0008
_DESCRIPTORS = {12: "<LLL", 16: "<4xLLL", 20: "<LQQ", 24: "<4xLQQ"}


@dataclass(frozen=True, slots=True)
class OpenZip:
    """A read archive together with its bytes, for whoever compares or stamps."""

    zip: Zip
    view: View

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield the inflated content of a member in bounded chunks; raises :class:`ArchiveError` where the data is malformed."""
        return inflate(self.view, entry)

    def whole(self, entry: Entry) -> bytes:
        """The inflated content of a member that :attr:`zip` has a digest of; raises :class:`ArchiveError` when it has changed since."""
        return inflate_whole(self.view, entry)


@contextmanager
def open_zip(path: Path, limits: Limits = DEFAULT) -> Iterator[OpenZip]:
    """Read the archive at ``path``; its file stays open inside the ``with``.

    Raises :class:`ArchiveError` when it is no zip at all, :class:`LimitError` when reading it costs more than ``limits``.
    """
    with open_zips((path,), limits) as (archive,):
        yield archive


@contextmanager
def open_zips(paths: Sequence[Path], limits: Limits = DEFAULT) -> Iterator[tuple[OpenZip, ...]]:
    """Read one archive, or two that are to be compared: what both hold in the same compressed bytes is inflated once."""
    with ExitStack() as stack:
        layouts = [_layout(View(stack.enter_context(open_span(path, limits))), limits) for path in paths]
        digests = digest_sides([Side(view, entries, notes) for view, _, entries, notes in layouts], limits)
        found = []
        for (view, directory, entries, notes), rows in zip(layouts, digests, strict=True):
            named = {entry.name: index for index, entry in enumerate(entries)}
            sha256s, prints = tuple(row.sha256 for row in rows), tuple(row.stored for row in rows)
            whole = view.span.sha256()
            read = Zip(len(view), whole, entries, sha256s, tuple(notes.found), directory.comment, named, prints, directory.wide)
            found.append(OpenZip(read, view))
        yield tuple(found)


def _layout(view: View, limits: Limits) -> tuple[View, Directory, tuple[Entry, ...], Notes]:
    """Everything but contents."""
    notes = Notes(limits.violations)
    if not len(view):
        raise ArchiveError("not a zip archive: empty", offset=0)
    try:
        directory = read_directory(view, notes, limits)
        entries = tuple(_entries(view, directory.offset, central_records(view, directory, notes), notes))
    except struct.error as error:
        raise ArchiveError(f"a header is cut short: {error}") from None
    lint.check_layout(entries, directory.offset, notes)
    lint.check_names(entries, limits, notes)
    for entry in entries:
        lint.check_entry(entry, notes)
    _check_descriptors(view, entries, notes)
    return view, directory, entries, notes


def _entries(view: View, directory: int, records: list[Record], notes: Notes) -> Iterator[Entry]:
    """Join central and local headers. ``end`` is where the next local header (or the directory) starts: what lies between is data or descriptor."""
    starts = sorted({record.local_offset for record in records}) + [directory]
    following = dict(pairwise(starts))
    for record in records:
        local, data, raw = local_header(view, record.local_offset, notes)
        name, wrong = decode(record.header.raw_name, record.header.flags)
        if wrong:
            notes.add(Code.NAME_ENCODING, name, record.header.offset, wrong)
        end = following.get(record.local_offset, directory)
        raw += record.raw + b"%d" % (end - data - record.header.stored)
        yield Entry(name, record.header, local, data, end, record.made_by, record.internal, record.external, record.comment, raw)


def _check_descriptors(view: View, entries: tuple[Entry, ...], notes: Notes) -> None:
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
