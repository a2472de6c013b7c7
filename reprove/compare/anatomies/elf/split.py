"""Take an ELF file apart: a section each, with its facts, and every position in the file apart from what stands there.

What is mapped into memory keeps its place: its offset is one of its facts. The offset of anything else is a piece ``position:<section>`` of its
own, so that a section that is not loaded may grow without a change to any other piece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from reprove.compare.anatomies.elf import notes, paths
from reprove.compare.anatomies.elf.classes import Class, Ranges, classes
from reprove.compare.anatomies.elf.tables import INFO_LINK, NOTE, REL, RELA, Elf, ElfError, Section, read
from reprove.compare.pieces import Anatomy, Piece, Pieces

_TABLE_ALIGN = 8


def split(data: bytes) -> Pieces | None:
    """``header``, ``entry``, ``segments``, ``null``, then for each section ``<class>-facts:<name>``, ``position:<name>`` and ``<class>:<name>``.

    Build ids are ``build-id:<section>`` and cut out of their note. ``gap:<offset>`` and ``gap`` are bytes of no section, mapped and not;
    ``position:padding`` is zeros up to the alignment of what follows. None where anything overlaps or leaves the file.
    """
    try:
        elf = read(data)
        return tuple(_pieces(data, elf))
    except (ElfError, struct.error):
        return None


def _pieces(data: bytes, elf: Elf) -> Iterator[Piece]:
    header = elf.header
    names = _distinct(elf.names)
    mapped = Ranges(elf)
    kinds = classes(data, elf, mapped)
    gaps = list(_gaps(data, elf, mapped))  # before any copy: it refuses overlaps, which bounds what is copied
    kept = header._replace(entry=0, sections=0, section_count=0, names=0, segments=0)
    yield Piece("header", data[:16] + repr(tuple(kept)).encode(), 0)
    yield Piece("entry", header.entry.to_bytes(8, "big"), 24)
    yield Piece(
        "segments",
        repr(header.segments).encode() + data[header.segments : header.segments + header.segment_size * header.segment_count],
        header.segments,
    )
    yield Piece("position:sections", repr((header.sections, header.section_count, header.names)).encode(), 0)
    yield Piece("position:names", struct.pack(f">{len(elf.sections)}I", *(section.name for section in elf.sections)), header.sections)
    found = paths.Paths(data, elf)
    if found.prefix:
        yield Piece("path-prefix", found.prefix, 0)
    for index, (section, name, kind) in enumerate(zip(elf.sections, names, kinds, strict=True)):
        fixed = mapped.touch(section.offset, section.offset + section.stored)
        yield Piece(f"{kind}-facts:{name}", _facts(section, names, fixed=fixed), header.sections + index * header.section_size)
        if not fixed:
            yield Piece(f"position:{name}", repr(section.offset).encode(), header.sections + index * header.section_size)
        yield from _content(data, section, f"{kind}:{name}", found, elf)
    yield from gaps


def _content(data: bytes, section: Section, name: str, found: paths.Paths, elf: Elf) -> Iterator[Piece]:
    content = data[section.offset : section.offset + section.stored]
    kind, _, title = name.partition(":")
    if section.type == NOTE and (cut := notes.build_id(content, elf.order)):
        yield Piece(name, content[: cut.start] + content[cut.stop :], section.offset)
        yield Piece(f"build-id:{title}", content[cut], section.offset + cut.start)
        return
    if kind == Class.DEBUG:
        yield from found.pieces(name, title, content, section.offset)
        return
    yield Piece(name, content, section.offset)


def _facts(section: Section, names: list[str], *, fixed: bool) -> bytes:
    """All that the table says of a section but its name and what its content tells; other sections by name."""
    info: int | str = section.info
    if section.type in (REL, RELA) or section.flags & INFO_LINK:
        info = names[section.info] if 0 < section.info < len(names) else section.info
    link: int | str = names[section.link] if 0 < section.link < len(names) else section.link
    size = None if section.stored else section.size  # of no bytes, or of a section that only takes memory
    place = section.offset if fixed else None
    return repr((section.type, section.flags, section.address, place, size, link, info, section.align, section.entry_size)).encode()


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Names of which none is doubled: the second ``.text`` is ``.text#2``."""
    count: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        found.append(name if count[name] == 1 else f"{name}#{count[name]}")
    if len(set(found)) != len(found):
        raise ElfError("a section named as the second of another")
    return found


def _gaps(data: bytes, elf: Elf, mapped: Ranges) -> Iterator[Piece]:
    """The bytes of no table and no section. Raises :class:`ElfError` where two of those overlap or one leaves the file."""
    header = elf.header
    taken = [(0, header.size, 1)]
    for start, size, count in (
        (header.segments, header.segment_size, header.segment_count),
        (header.sections, header.section_size, header.section_count),
    ):
        if count:
            taken.append((start, start + size * count, _TABLE_ALIGN))
    taken += [(one.offset, one.offset + one.stored, one.align) for one in elf.sections if one.stored]
    at = 0
    for start, end, align in sorted(taken):
        if start < at or end > len(data):
            raise ElfError("an overlap")
        if start > at:
            gap = data[at:start]
            if mapped.touch(at, start):
                yield Piece(f"gap:{at}", gap, at)
            else:
                padding = len(gap) < min(align, 4096) and not gap.strip(b"\0")
                yield Piece("position:padding" if padding else "gap", gap, at)
        at = end
    if at < len(data):
        yield Piece(f"gap:{at}" if mapped.touch(at, len(data)) else "gap", data[at:], at)


ELF = Anatomy("elf", lambda _path, head: head.startswith(b"\x7fELF"), split)
