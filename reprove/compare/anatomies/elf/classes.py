"""What a section is to whoever runs or links the file: decides which passes may leave it out of account."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

from reprove.compare.anatomies.elf.tables import ALLOC, EXECUTABLE, SEGMENT_EXECUTABLE, SHARED, STRTAB, SYMTAB, Elf, Section, Segment

_SYMTAB_INDICES = 18
_PAGE = 4096
_DEBUG = (".debug_", ".zdebug_")
_MORE_DEBUG = frozenset({".gdb_index", ".gnu_debugaltlink", ".gnu_debugdata", ".stab", ".stabstr"})
_RUN_BY_DEBUGGERS = ".debug_gdb_scripts"


class Class(StrEnum):
    """Classes of sections."""

    LOADED = "loaded"
    """In memory when the file runs (by its flags, or inside a segment whatever its flags say), or used when a relocatable file is linked."""
    DEBUG = "debug"
    SYMBOLS = "symbols"
    """The symbol table that only debuggers read, and its names. In a relocatable file symbols decide what is linked: loaded."""
    COMMENT = "comment"
    DEBUGLINK = "debuglink"
    NAMES = "names"
    """Names of sections, all of them in use."""
    UNLOADED = "unloaded"
    """Everything else that is not loaded."""


class Ranges:
    """The parts of the file that segments map into memory. Around what is executable, the rest of its pages is, too: it could be run."""

    def __init__(self, elf: Elf) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(_range(one) for one in elf.segments if one.type and one.size):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        """Whether any byte from ``start`` to before ``end`` is mapped."""
        at = bisect_right(self._starts, end - 1) - 1
        return start < end and at >= 0 and self._ends[at] > start


def _range(segment: Segment) -> tuple[int, int]:
    start, end = segment.offset, segment.offset + segment.size
    return (start // _PAGE * _PAGE, -(-end // _PAGE) * _PAGE) if segment.flags & SEGMENT_EXECUTABLE else (start, end)


def classes(data: bytes, elf: Elf, mapped: Ranges) -> list[Class]:
    """The class of each section, in the order of the table."""
    linked = elf.header.type in (EXECUTABLE, SHARED)
    symbol_names = {one.link for one in elf.sections if one.type == SYMTAB} - {elf.header.names} if linked else set()
    found: list[Class] = []
    for index, (section, name) in enumerate(zip(elf.sections, elf.names, strict=True)):
        if section.flags & ALLOC or mapped.touch(section.offset, section.offset + section.stored):
            found.append(Class.LOADED)
        elif index == elf.header.names:
            unloaded = Class.UNLOADED if linked else Class.LOADED
            found.append(Class.NAMES if _explained(data, section, elf) else unloaded)
        elif linked and (section.type in (SYMTAB, _SYMTAB_INDICES) or (section.type == STRTAB and index in symbol_names)):
            found.append(Class.SYMBOLS)
        else:
            found.append(_by_name(name, linked=linked))
    return found


def _by_name(name: str, *, linked: bool) -> Class:
    bare = name.removeprefix(".rela").removeprefix(".rel") if not linked and name.startswith(".rel") else name
    if name == ".comment":
        return Class.COMMENT
    if name == ".gnu_debuglink":
        return Class.DEBUGLINK
    if (bare.startswith(_DEBUG) or bare in _MORE_DEBUG) and bare != _RUN_BY_DEBUGGERS:
        return Class.DEBUG
    return Class.UNLOADED if linked else Class.LOADED


def _explained(data: bytes, table: Section, elf: Elf) -> bool:
    """Whether the table of names is only names in use: it says nothing that the names of the sections do not say."""
    content = data[table.offset : table.offset + table.size]
    used = {section.name for section in elf.sections}
    if not content.startswith(b"\0") or not content.endswith(b"\0"):
        return False
    at = 1
    for name in content[1:-1].split(b"\0"):
        if name and at not in used:
            return False
        at += len(name) + 1
    return b"\0\0" not in content[1:] and len(content) <= sum(len(name) + 1 for name in elf.names) + 1
