"""Name the place of a byte in an ELF file: section, symbol, offset. For showing a difference; nothing is decided by it."""

from __future__ import annotations

import struct

from reprove.compare.anatomies.elf.tables import DYNSYM, RELOCATABLE, SYMTAB, Elf, ElfError, Section, read
from reprove.compare.result import cut

_MAX_SYMBOLS = 200_000
"""Symbols that are looked at, some 30 ms; of a larger table only the section is named."""
_SYMBOL = {32: "IIIBBH", 64: "IBBHQQ"}
_COLUMNS = {32: (1, 3, 5), 64: (4, 1, 3)}
"""Where a symbol has its value, its type and its section."""
_KINDS = frozenset({0, 1, 2, 10})
"""Symbols that name a place: untyped, data, function, indirect function."""
_MAX_NAME = 80
"""Bytes of a symbol's name that are shown."""


def place(data: bytes, offset: int) -> str | None:
    """Say where byte ``offset`` of the file stands, such as ``.text+0x1f0 (main+0x12)``; None for what is no ELF file, or a byte outside it."""
    if not 0 <= offset < len(data):
        return None
    try:
        elf = read(data)
    except ElfError:
        return None
    for number, (section, name) in enumerate(zip(elf.sections, elf.names, strict=True)):
        if section.offset <= offset < section.offset + section.stored:
            within = offset - section.offset
            symbol = _symbol(data, elf, number, within)
            return cut(f"{name}+{within:#x}" + (f" ({symbol})" if symbol else ""))
    return _outside(elf, offset)


def _outside(elf: Elf, offset: int) -> str:
    header = elf.header
    if offset < header.size:
        return "ELF header"
    for what, start, size in (
        ("program headers", header.segments, header.segment_size * header.segment_count),
        ("section headers", header.sections, header.section_size * header.section_count),
    ):
        if start <= offset < start + size:
            return what
    return "between sections"


def _symbol(data: bytes, elf: Elf, number: int, within: int) -> str | None:
    """The nearest symbol at or before a byte of a section, with the distance."""
    address = within + (0 if elf.header.type == RELOCATABLE else elf.sections[number].address)
    for kind in (SYMTAB, DYNSYM):
        table = next((one for one in elf.sections if one.type == kind), None)
        if table is None:
            continue
        best = _nearest(data, elf, table, number, address)
        if best is not None:
            value, name = best
            return f"{name}+{address - value:#x}" if address > value else name
    return None


def _nearest(data: bytes, elf: Elf, table: Section, number: int, address: int) -> tuple[int, str] | None:
    form = elf.order + _SYMBOL[elf.bits]
    size = struct.calcsize(form)
    count = table.size // size
    if not 0 < count <= _MAX_SYMBOLS or table.offset + table.size > len(data) or not 0 < table.link < len(elf.sections):
        return None
    rows = struct.iter_unpack(form, memoryview(data)[table.offset : table.offset + count * size])
    at, info, section = _COLUMNS[elf.bits]
    best = max(
        ((row[at], row[0]) for row in rows if row[section] == number and row[at] <= address and row[info] & 15 in _KINDS and row[0]), default=None
    )
    if best is None:
        return None
    start = elf.sections[table.link].offset + best[1]
    end = data.find(b"\0", start, start + _MAX_NAME)
    name = data[start : end if end >= 0 else start + _MAX_NAME].decode("utf-8", "replace")
    return best[0], name if end >= 0 else f"{name}…"
