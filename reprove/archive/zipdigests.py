"""Inflate and hash the members of one zip, or of two that are to be compared: what both hold in the same compressed bytes is inflated once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """What inflating one member came to: its SHA-256, or None, the CRC-32 of its stored bytes, and what is wrong with it.

    Each wrong is (code, place, detail); ``place`` counts from where the member's data starts, None is its central header.
    """

    sha256: Sha256 | None
    stored: int = 0
    wrong: tuple[tuple[Code, int | None, str], ...] = ()


class Side(NamedTuple):
    """The members of one archive, its bytes, and where violations go."""

    view: View
    entries: tuple[Entry, ...]
    notes: Notes


def digest_sides(sides: Sequence[Side], limits: Limits) -> list[list[Digested]]:
    """The digests of every member of one archive or two, in the order of their entries.

    Overlapping members are not inflated at all: that is how a small file costs petabytes. Raises :class:`LimitError` before inflating when the
    members say that they are larger than allowed together; none is inflated beyond what it says.
    """
    results: list[list[Digested]] = [[Digested(None)] * len(side.entries) for side in sides]
    read = [_is_read(side, limits) for side in sides]
    copies = _twins(sides) if len(sides) == 2 and all(read) else {}
    large: list[tuple[int, int]] = []
    for number, side in enumerate(sides):
        for index, entry in enumerate(side.entries if read[number] else ()):
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
    for side, rows in zip(sides, results, strict=True):
        _note(side, rows)
    return results


def _is_read(side: Side, limits: Limits) -> bool:
    """Whether the members are inflated: not where they overlap, nor where they are too large and the headers contradict each other anyway."""
    if any(found.code is Code.OVERLAP for found in side.notes.found):
        return False
    allowed = allowance(len(side.view), limits)
    if sum(entry.central.size for entry in side.entries) <= allowed:
        return True
    if side.notes.found:
        return False
    raise LimitError(f"the members inflate to more than {allowed} bytes")


def _twins(sides: Sequence[Side]) -> dict[int, int]:
    """The members of the second archive whose compressed bytes the first has under the same name: index to index."""
    first, second = sides
    named = {entry.name: index for index, entry in enumerate(first.entries)}
    found = {}
    for index, entry in enumerate(second.entries):
        other = named.get(entry.name)
        if other is not None and _same(first.view, first.entries[other], second.view, entry):
            found[index] = other
    return found


def _same(old_view: View, old: Entry, new_view: View, new: Entry) -> bool:
    if old.central[3:5] != new.central[3:5] or old.central[6:9] != new.central[6:9]:  # flags and method, CRC and sizes
        return False
    size, at = old.central.stored, 0
    while size > CHUNK:
        if old_view[old.data + at : old.data + at + CHUNK] != new_view[new.data + at : new.data + at + CHUNK]:
            return False
        at, size = at + CHUNK, size - CHUNK
    return old_view[old.data + at : old.data + at + size] == new_view[new.data + at : new.data + at + size]


def _note(side: Side, rows: list[Digested]) -> None:
    for entry, row in zip(side.entries, rows, strict=True):
        for code, place, detail in row.wrong:
            side.notes.add(code, entry.name, entry.central.offset if place is None else entry.data + place, detail)


def _digest(view: View, entry: Entry) -> Digested:
    """Inflate one member once, up to what it says that it holds."""
    quick = _digest_small(view, entry)
    return _digest_any(view, entry) if quick is None else quick


def _digest_small(view: View, entry: Entry) -> Digested | None:
    """A member that is as most are, small and true, in few steps; None sends any other the long way."""
    _, _, _, _, method, _, crc, stored, size, _ = entry.central
    if method != DEFLATED or stored > CHUNK or size > CHUNK:
        return None
    packed = view[entry.data : entry.data + stored]
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = stream.decompress(packed, size + 1)
    except zlib.error:
        return None
    if not stream.eof or stream.unused_data or len(content) != size or zlib.crc32(content) != crc:
        return None
    return Digested(Sha256(hashlib.sha256(content).hexdigest()), zlib.crc32(packed))


def _digest_any(view: View, entry: Entry) -> Digested:
    declared = entry.central.size
    digest, crc, size = hashlib.sha256(), 0, 0
    packed = Print()
    try:
        for chunk in inflate(view, entry, packed):
            size += len(chunk)
            if size > declared:
                return Digested(None, 0, ((Code.SIZE, None, f"declares {declared} bytes and holds more"),))
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
    except ArchiveError as error:
        return Digested(None, 0, ((Code.DEFLATE, max(0, (error.offset or 0) - entry.data), error.detail),))
    wrong: list[tuple[Code, int | None, str]] = []
    if size != declared:
        wrong.append((Code.SIZE, None, f"declares {declared} bytes and holds {size}"))
    if crc != entry.central.crc:
        wrong.append((Code.CRC, None, f"declares CRC {entry.central.crc:08x} and has {crc:08x}"))
    return Digested(Sha256(digest.hexdigest()), packed.crc, tuple(wrong))


@dataclass(slots=True)
class Print:
    """The CRC-32 of stored bytes while they pass."""

    crc: int = 0

    def take(self, data: bytes) -> bytes:
        """Count ``data`` in, and hand it on."""
        self.crc = zlib.crc32(data, self.crc)
        return data


def inflate(view: View, entry: Entry, packed: Print | None = None) -> Iterator[bytes]:
    """Yield the inflated content of a member in bounded chunks; raises :class:`ArchiveError` where the data is malformed.

    ``packed`` takes the print of the stored bytes on the way.
    """
    through = Print() if packed is None else packed
    start, stop = entry.data, min(entry.data + entry.central.stored, len(view))
    if entry.central.method == STORED:
        for at in range(start, stop, CHUNK):
            yield through.take(view[at : min(at + CHUNK, stop)])
        return
    if entry.central.method != DEFLATED:
        raise ArchiveError(f"method {entry.central.method} is not read", offset=start)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    at, pending = start, b""
    try:
        while not stream.eof:
            if not pending:
                pending = through.take(view[at : min(at + CHUNK, stop)])
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


def inflate_whole(view: View, entry: Entry) -> bytes:
    """The content of a member that was read before and found to be no larger than it says: in one piece, where it needs no copy."""
    start, size = entry.data, entry.central.size
    data = view[start : start + entry.central.stored]
    if entry.central.method == DEFLATED:
        try:
            data = zlib.decompress(data, -zlib.MAX_WBITS, bufsize=max(size, 1))
        except zlib.error as error:
            raise ArchiveError(f"malformed deflate stream: {error}", offset=start) from None
    if len(data) > size:
        raise ArchiveError(f"declares {size} bytes and holds more", offset=start)
    return data
