"""The tables of an ELF file: header, segments and sections (System V ABI, "Object Files" and "Program Loading").

Reads 32 and 64 bit files of both byte orders. What the tables say is checked against the size of the file, not against each other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

RELOCATABLE, EXECUTABLE, SHARED = 1, 2, 3
NULL, PROGBITS, SYMTAB, STRTAB, RELA, NOTE, NOBITS, REL, DYNSYM = 0, 1, 2, 3, 4, 7, 8, 9, 11
ALLOC, INFO_LINK, COMPRESSED = 0x2, 0x40, 0x800
SEGMENT_EXECUTABLE = 0x1
_MAX_NAMES = 16 * 1024**2
_HEADER = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
_SEGMENT = {1: "IIIIIIII", 2: "IIQQQQQQ"}
_SECTION = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}


class ElfError(ValueError):
    """The bytes are no ELF file that this reader takes."""


class Header(NamedTuple):
    """The header behind ``e_ident``, field by field."""

    type: int
    machine: int
    version: int
    entry: int
    segments: int
    sections: int
    flags: int
    size: int
    segment_size: int
    segment_count: int
    section_size: int
    section_count: int
    names: int


class Section(NamedTuple):
    """One row of the section table; ``name`` is an offset in the table of names."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int

    @property
    def stored(self) -> int:
        """Bytes in the file."""
        return 0 if self.type in (NOBITS, NULL) else self.size


class Segment(NamedTuple):
    """Type, flags and file range of one program header."""

    type: int
    flags: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Elf:
    """The tables of one file. ``order`` is the byte order as :mod:`struct` spells it, ``bits`` 32 or 64."""

    order: str
    bits: int
    header: Header
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    names: tuple[str, ...]
    """Of the sections, as they stand (Latin-1); doubled ones are doubled."""


def read(data: bytes) -> Elf:
    """Read the tables. Raises :class:`ElfError`."""
    kind, order = data[4:5], {1: "<", 2: ">"}.get(data[5] if len(data) > 5 else 0)
    if data[:4] != b"\x7fELF" or kind not in (b"\1", b"\2") or order is None:
        raise ElfError("no ELF file")
    class_ = kind[0]
    try:
        header = Header(*struct.unpack_from(order + _HEADER[class_], data, 16))
    except struct.error:
        raise ElfError("cut short") from None
    sections = tuple(
        Section(*row) for row in _rows(data, order + _SECTION[class_], header.sections, header.section_size, header.section_count, "section")
    )
    raw = _rows(data, order + _SEGMENT[class_], header.segments, header.segment_size, header.segment_count, "segment")
    segments = tuple(Segment(row[0], row[6], row[1], row[4]) if class_ == 1 else Segment(row[0], row[1], row[2], row[5]) for row in raw)
    if header.size != struct.calcsize("<16x" + _HEADER[class_]) or (header.sections and not header.section_count) or header.segment_count == 0xFFFF:
        raise ElfError("extended numbering, or a header of another size")
    return Elf(order, 32 * class_, header, segments, sections, _names(data, header, sections))


def _rows(data: bytes, form: str, offset: int, size: int, count: int, what: str) -> list[tuple[int, ...]]:
    if not count:
        return []
    if size != struct.calcsize(form) or offset + size * count > len(data):
        raise ElfError(f"a {what} table of another form, or outside the file")
    return list(struct.iter_unpack(form, data[offset : offset + size * count]))


def _names(data: bytes, header: Header, sections: tuple[Section, ...]) -> tuple[str, ...]:
    if not sections:
        return ()
    if header.names == 0:
        return ("",) * len(sections)
    if header.names >= len(sections) or sections[header.names].type != STRTAB:
        raise ElfError("no table of section names")
    table = sections[header.names]
    names: list[str] = []
    total = 0
    for section in sections:
        start, limit = table.offset + section.name, min(table.offset + table.size, len(data))
        end = data.find(b"\0", start, limit)
        total += end - start
        if end < 0 or total > _MAX_NAMES:
            raise ElfError("a section name outside its table, or names too long in all")
        names.append(data[start:end].decode("latin-1"))
    return tuple(names)
