"""The differences of two zip archives, member by member and field by field."""

from __future__ import annotations

from collections.abc import Iterator

from reprove.archive.limits import ArchiveError
from reprove.archive.model import Entry
from reprove.archive.zipfiles import OpenZip
from reprove.compare.result import Difference, cut

_LINE = 1024
"""Bytes around the first difference that a shown line may take."""


def differences(original: OpenZip, rebuilt: OpenZip) -> Iterator[Difference]:
    """Yield every difference: members that only one side has, then fields of common members, then the archive's own."""
    ours, theirs = rebuilt.zip.named, original.zip.named
    for name in theirs:
        if name not in ours:
            yield Difference(cut(name), "member", _describe(original, name), None, original.zip.entries[theirs[name]].central.offset)
    for name in ours:
        if name not in theirs:
            yield Difference(cut(name), "member", None, _describe(rebuilt, name))
    for name, index in theirs.items():
        if name in ours:
            yield from _entry(original, rebuilt, original.zip.entries[index], rebuilt.zip.entries[ours[name]])
    common = [name for name in theirs if name in ours]
    if common != [name for name in ours if name in theirs]:
        moved = next((pair for pair in zip(common, (name for name in ours if name in theirs), strict=True) if pair[0] != pair[1]), ("", ""))
        yield Difference("", "order", cut(moved[0]), cut(moved[1]))
    if original.zip.comment != rebuilt.zip.comment:
        yield Difference("", "comment", cut(repr(original.zip.comment)), cut(repr(rebuilt.zip.comment)))


def _describe(archive: OpenZip, name: str) -> str:
    entry = archive.zip.entry(name)
    return f"{entry.central.size if entry else 0} bytes, sha256 {archive.zip.digest(name) or 'unknown'}"


def _entry(original: OpenZip, rebuilt: OpenZip, old: Entry, new: Entry) -> Iterator[Difference]:
    name = cut(old.name)
    if original.zip.digest(old.name) != rebuilt.zip.digest(new.name):
        yield _content(original, rebuilt, old, new)
        if old.central.size != new.central.size:
            yield Difference(name, "size", old.central.size, new.central.size, old.central.offset)
    elif old.central.method != new.central.method:
        yield Difference(name, "method", old.central.method, new.central.method, old.central.offset)
    elif old.central.stored != new.central.stored or _raw(original, old) != _raw(rebuilt, new):
        yield Difference(name, "deflate", f"{old.central.stored} bytes", f"{new.central.stored} bytes", old.data)
    if old.mode != new.mode:
        yield Difference(name, "mode", f"{old.mode:06o}", f"{new.mode:06o}", old.central.offset + 38)
    for where, before, after, offset in (
        ("time", old.central.time, new.central.time, old.central_time_offset),
        ("local-time", old.local.time, new.local.time, old.local_time_offset),
    ):
        if before != after and (where == "time" or old.local.time != old.central.time or new.local.time != new.central.time):
            yield Difference(name, where, dos_text(before), dos_text(after), offset)
    for field, before_value, after_value in _container_fields(old, new):
        if before_value != after_value:
            yield Difference(name, field, before_value, after_value, old.central.offset)


def _container_fields(old: Entry, new: Entry) -> Iterator[tuple[str, str | int, str | int]]:
    yield "create-system", old.system, new.system
    yield "create-version", old.made_by & 255, new.made_by & 255
    yield "extract-version", f"{old.central.version}/{old.local.version}", f"{new.central.version}/{new.local.version}"
    yield "flags", f"{old.central.flags:04x}", f"{new.central.flags:04x}"
    yield "internal-attributes", old.internal, new.internal
    yield "dos-attributes", old.external & 0xFFFF, new.external & 0xFFFF
    yield "central-extra", old.central.extra.hex()[:80], new.central.extra.hex()[:80]
    yield "local-extra", old.local.extra.hex()[:80], new.local.extra.hex()[:80]
    yield "comment", cut(repr(old.comment)), cut(repr(new.comment))


def _raw(archive: OpenZip, entry: Entry) -> memoryview:
    return memoryview(archive.view)[entry.data : entry.data + entry.central.stored]


def _content(original: OpenZip, rebuilt: OpenZip, old: Entry, new: Entry) -> Difference:
    """Where two contents part, and the line (or bytes) there on both sides."""
    try:
        offset, before, after = _first_difference(original.content(old), rebuilt.content(new))
    except ArchiveError as error:
        return Difference(cut(old.name), "content", cut(error.detail), None, 0)
    return Difference(cut(old.name), "content", _shown(before), _shown(after), offset)


def _first_difference(old: Iterator[bytes], new: Iterator[bytes]) -> tuple[int, bytes, bytes]:
    """The offset of the first different byte, and what stands around it on each side, from the start of its line."""
    at, before, after, tail = 0, b"", b"", b""
    while True:
        before = before or next(old, b"")
        after = after or next(new, b"")
        size = min(len(before), len(after))
        if before[:size] != after[:size] or size == 0:
            break
        tail = (tail + before[:size])[-_LINE:]
        at, before, after = at + size, before[size:], after[size:]
    same = _common(before, after)
    line = (tail + before[:same])[-_LINE:].rpartition(b"\n")[2]
    rest_old, rest_new = before[same : same + _LINE], after[same : same + _LINE]
    return at + same, line + (rest_old or next(old, b"")[:_LINE]), line + (rest_new or next(new, b"")[:_LINE])


def _common(first: bytes, second: bytes) -> int:
    """Length of the common prefix, by halving: comparing slices is fast, comparing bytes one by one is not."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shown(around: bytes) -> str | None:
    if not around:
        return None
    line = around.partition(b"\n")[0]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "hex " + around[:32].hex()
    return cut(text if text.isprintable() else repr(text)[1:-1])


def dos_text(raw: bytes) -> str:
    """The 4 bytes of a DOS time field as a date and time; it has no zone. Out-of-range parts are shown as they stand."""
    time, date = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    day = f"{(date >> 9) + 1980:04d}-{date >> 5 & 15:02d}-{date & 31:02d}"
    return f"{day} {time >> 11:02d}:{time >> 5 & 63:02d}:{(time & 31) * 2:02d}"
