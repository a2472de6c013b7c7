"""Stamp the times of generated members: four bytes at a time, only DOS time fields, only within bounds (DESIGN section 6, "Stamping").

The offsets come from our own strict reader, of an archive that passed lint, so that nothing but a time field is ever touched. The result is a list
that anybody applies to the rebuilt bytes and hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reprove.archive.dostime import dos_seconds
from reprove.archive.limits import CHUNK
from reprove.archive.model import DOS_TIME_SIZE, Entry, Zip
from reprove.archive.view import View
from reprove.core.digests import Sha256
from reprove.core.errors import CallerError

MAX_VALUES = 3
"""Distinct new times in one archive. Real builds tick once to three times; more would be a covert channel."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Four bytes at ``offset`` of the rebuilt archive; ``old`` and ``new`` are 8 hex digits in file order."""

    member: str
    offset: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Window:
    """The times, in seconds since 1970, that a stamp may write: from the source's to the upload's, with slack for the zone."""

    first: int
    last: int


class StampRefusedError(CallerError):
    """The archives cannot be made equal by stamping; the message says which rule forbids it, ``member`` where."""

    def __init__(self, detail: str, member: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.member = member


def plan(original: Zip, rebuilt: Zip, generated: Callable[[Entry], bool], window: Window) -> tuple[Stamp, ...]:
    """List the stamps that give ``rebuilt`` the original's times; ``generated`` says of a rebuilt member that the build wrote it.

    Raises :class:`StampRefusedError`. Both archives must have passed lint, hold the same names in the same order, and be of one size: the caller
    hashes the stamped bytes, which decides; this only decides what may be written.
    """
    if original.violations or rebuilt.violations:
        raise StampRefusedError("an archive that does not pass lint is never stamped")
    if original.size != rebuilt.size or [item.name for item in original.entries] != [item.name for item in rebuilt.entries]:
        raise StampRefusedError("the archives differ in more than times")
    stamps: list[Stamp] = []
    for theirs, ours in zip(original.entries, rebuilt.entries, strict=True):
        places = (
            (ours.local_time_offset, ours.local.time, theirs.local.time),
            (ours.central_time_offset, ours.central.time, theirs.central.time),
        )
        for offset, old, new in places:
            if old == new:
                continue
            if not generated(ours):
                raise StampRefusedError("its time is the source's in the rebuilt archive and another in the original", ours.name)
            seconds = dos_seconds(new)
            if not window.first <= seconds <= window.last:
                raise StampRefusedError("its time is not between the source and the upload", ours.name)
            stamps.append(Stamp(ours.name, offset, old.hex(), new.hex()))
    values = {stamp.new for stamp in stamps}
    if len(values) > MAX_VALUES:
        raise StampRefusedError(f"the times to stamp have {len(values)} distinct values, more than {MAX_VALUES}")
    return tuple(sorted(stamps, key=lambda stamp: stamp.offset))


def stamped_sha256(view: View, stamps: Sequence[Stamp]) -> Sha256:
    """The SHA-256 of the archive with ``stamps`` (in order of offset, apart) applied, without writing anything."""
    digest = hashlib.sha256()
    for chunk in _stamped(view, stamps):
        digest.update(chunk)
    return Sha256(digest.hexdigest())


def _stamped(view: View, stamps: Sequence[Stamp]) -> Iterator[bytes]:
    at = 0
    for stamp in stamps:
        if stamp.offset < at or view[stamp.offset : stamp.offset + DOS_TIME_SIZE] != bytes.fromhex(stamp.old):
            raise StampRefusedError("a stamp does not fit the archive", stamp.member)
        for start in range(at, stamp.offset, CHUNK):
            yield view[start : min(start + CHUNK, stamp.offset)]
        yield bytes.fromhex(stamp.new)
        at = stamp.offset + DOS_TIME_SIZE
    for start in range(at, len(view), CHUNK):
        yield view[start : start + CHUNK]
