"""Inflate and hash the members of one zip, or of two that are to be compared: what both hold in the same compressed bytes is inflated once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from reprove.archive.limits import CHUNK, ArchiveError, LimitError, Limits
from reprove.archive.model import Code, Entry
from reprove.archive.spans import allowance
from reprove.archive.structure import Notes
from reprove.archive.view import View
from reprove.core.digests import Sha256

STORED, DEFLATED = 0, 8
_THREADS = 2
_LARGE = 512 * 1024
"""Members above this many bytes are inflated in two threads; below, handing over the interpreter's lock costs more than it gives."""


class Digested(NamedTuple):
    """What inflating one member came to: its SHA-256, or None, and what is wrong with it.

    Each wrong is (code, place, detail); ``place`` counts from where the member's data starts, None is its central header.
    """

    sha256: Sha256 | None
    wrong: tuple[tuple[Code, int | None, str], ...] = ()


class Side(NamedTuple):
    """The members of one archive, its bytes, and where violations go."""

    view: View
    entries: tuple[Entry, ...]
    notes: Notes


def digest_sides(sides: Sequence[Side], limits: Limits) -> list[tuple[Sha256 | None, ...]]:
    """The digests of every member of one archive or two, in the order of their entries.

    Overlapping members are not inflated at all: that is how a small file costs petabytes. Raises :class:`LimitError` before inflating when the
    members say that they are larger than allowed together; none is inflated beyond what it says.
    """
    results: list[list[Digested]] = [[Digested(None)] * len(side.entries) for side in sides]
    copies = _twins(sides) if len(sides) == 2 else {}
    large: list[tuple[int, int]] = []
    for number, side in enumerate(sides):
        if any(found.code is Code.OVERLAP for found in side.notes.found):
            continue
        allowed = allowance(len(side.view), limits)
        if sum(entry.central.size for entry in side.entries) > allowed:
            raise LimitError(f"the members inflate to more than {allowed} bytes")
        for index, entry in enumerate(side.entries):
            if number and index in copies:
                continue
            if entry.central.size > _LARGE:
                large.append((number, index))
            else:
                results[number][index] = _digest(side.view, entry)
    large.sort(key=lambda job: sides[job[0]].entries[job[1]].central.size, reverse=True)
    if large:
        with ThreadPoolExecutor(_THREADS) as pool:
            work = [pool.submit(_digest, sides[number].view, sides[number].entries[index]) for number, index in large]
        for (number, index), job in zip(large, work, strict=True):
            results[number][index] = job.result()
    for index, other in copies.items():
        results[1][index] = results[0][other]
    return [_noted(side, rows) for side, rows in zip(sides, results, strict=True)]


def _twins(sides: Sequence[Side]) -> dict[int, int]:
    """The members of the second archive whose compressed bytes the first has under the same name: index to index."""
    first, second = sides
    if any(found.code is Code.OVERLAP for side in sides for found in side.notes.found):
        return {}
    named = {entry.name: index for index, entry in enumerate(first.entries)}
    return {
        index: named[entry.name]
        for index, entry in enumerate(second.entries)
        if entry.name in named and _same(first.view, first.entries[named[entry.name]], second.view, entry)
    }


def _same(old_view: View, old: Entry, new_view: View, new: Entry) -> bool:
    mine, theirs = old.central, new.central
    if (mine.method, mine.flags, mine.crc, mine.stored, mine.size) != (theirs.method, theirs.flags, theirs.crc, theirs.stored, theirs.size):
        return False
    return all(
        old_view[old.data + at : old.data + min(at + CHUNK, mine.stored)] == new_view[new.data + at : new.data + min(at + CHUNK, mine.stored)]
        for at in range(0, mine.stored, CHUNK)
    )


def _noted(side: Side, rows: list[Digested]) -> tuple[Sha256 | None, ...]:
    for entry, row in zip(side.entries, rows, strict=True):
        for code, place, detail in row.wrong:
            side.notes.add(code, entry.name, entry.central.offset if place is None else entry.data + place, detail)
    return tuple(row.sha256 for row in rows)


def _digest(view: View, entry: Entry) -> Digested:
    """Inflate one member once, up to what it says that it holds."""
    declared = entry.central.size
    digest, crc, size = hashlib.sha256(), 0, 0
    try:
        for chunk in inflate(view, entry):
            size += len(chunk)
            if size > declared:
                return Digested(None, ((Code.SIZE, None, f"declares {declared} bytes and holds more"),))
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
    except ArchiveError as error:
        return Digested(None, ((Code.DEFLATE, max(0, (error.offset or 0) - entry.data), error.detail),))
    wrong: list[tuple[Code, int | None, str]] = []
    if size != declared:
        wrong.append((Code.SIZE, None, f"declares {declared} bytes and holds {size}"))
    if crc != entry.central.crc:
        wrong.append((Code.CRC, None, f"declares CRC {entry.central.crc:08x} and has {crc:08x}"))
    return Digested(Sha256(digest.hexdigest()), tuple(wrong))


def inflate(view: View, entry: Entry) -> Iterator[bytes]:
    """Yield the inflated content of a member in bounded chunks; raises :class:`ArchiveError` where the data is malformed."""
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
