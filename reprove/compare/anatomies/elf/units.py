"""Where units name folders and files by an offset into a table of strings (DWARF 5, sections 6.2.4, 7.5.1 and 3.1.1; DWARF 4, section 7.5.1)."""

from __future__ import annotations

from typing import NamedTuple

from reprove.compare.anatomies.elf.dwarf import IMPLICIT, LINE_STRP, STRING, STRP, Cursor, DwarfError

BUDGET = 1_000_000
"""Steps that one file may take."""
_PATH = 1
"""DW_LNCT_path."""
_FOLDER = 0x1B
"""DW_AT_comp_dir."""
_EXTRA = {1: 0, 2: None, 3: 0, 4: 8, 5: 8, 6: None}
"""Bytes behind the header of a unit of each type, up to its first entry; None: 8 and an offset."""
_ROOTS = frozenset({0x11, 0x3C, 0x41, 0x4A})
"""Compile, partial, type and skeleton unit: the entries that may name a file by ``.debug_line_str``."""


class Reference(NamedTuple):
    """An offset into a table of strings: where it stands, and how wide it is in bytes."""

    at: int
    size: int


class Lines(NamedTuple):
    """What the line table names: every reference, and directory 0 of each unit, as a reference or as it stands there."""

    references: list[Reference]
    folders: list[Reference | bytes]


class Roots(NamedTuple):
    """What the first entries of units name: references into ``.debug_line_str``, and the folders of units before version 5 (into ``.debug_str``)."""

    references: list[Reference]
    folders: list[Reference | bytes]


def lines(data: bytes, order: str, budget: list[int]) -> Lines:
    """Walk the headers of ``.debug_line``; units before version 5 name their files themselves. Raises :class:`DwarfError`."""
    found = Lines([], [])
    at = 0
    while at < len(data):
        cursor = Cursor(data, order, at, budget)
        at = cursor.length()
        if cursor.number(2) == 5:
            _header(cursor, found)
        if cursor.at > at:
            raise DwarfError("a header that leaves its unit")
    return found


def _header(cursor: Cursor, found: Lines) -> None:
    cursor.at += 2 + cursor.wide  # sizes of addresses and segment selectors, header length
    cursor.at += 5  # minimal length, operations, default, base, range
    opcodes = cursor.number(1)
    cursor.at += opcodes - 1  # lengths of standard opcodes
    for folders in (True, False):
        form = [(cursor.leb(), cursor.leb()) for _ in range(cursor.number(1))]
        count = cursor.leb()
        for number in range(count if form else 0):
            for kind, value in form:
                start = cursor.at
                cursor.number(0)
                cursor.skip(value)
                reference = Reference(start, cursor.wide) if value == LINE_STRP else None
                if reference:
                    found.references.append(reference)
                if folders and number == 0 and kind == _PATH and (reference or value == STRING):
                    found.folders.append(reference or cursor.data[start : cursor.at - 1])


def roots(info: bytes, abbreviations: bytes, order: str, budget: list[int]) -> Roots:
    """Read the first entry of each unit of ``.debug_info``. Raises :class:`DwarfError`, also where other entries refer to ``.debug_line_str``."""
    tables: dict[int, dict[int, _Forms]] = {}
    found = Roots([], [])
    at = 0
    while at < len(info):
        cursor = Cursor(info, order, at, budget)
        at = cursor.length()
        version = cursor.number(2)
        table = _unit(cursor) if version == 5 else _old_unit(cursor)
        if table not in tables:
            tables[table] = _abbreviations(Cursor(abbreviations, order, table, budget))
        for attribute, form in tables[table].get(cursor.leb(), ()):
            start = cursor.at
            cursor.skip(form)
            if form == LINE_STRP:
                found.references.append(Reference(start, cursor.wide))
            if version < 5 and attribute == _FOLDER and form in (STRP, STRING):
                found.folders.append(Reference(start, cursor.wide) if form == STRP else info[start : cursor.at - 1])
        if cursor.at > at:
            raise DwarfError("an entry that leaves its unit")
    return found


def _unit(cursor: Cursor) -> int:
    """Pass over the header of a unit of version 5. Returns the place of its abbreviations."""
    kind = cursor.number(1)
    cursor.address = cursor.number(1)
    table = cursor.number(cursor.wide)
    if kind not in _EXTRA:
        raise DwarfError("an unknown type of unit")
    extra = _EXTRA[kind]
    cursor.at += 8 + cursor.wide if extra is None else extra
    return table


def _old_unit(cursor: Cursor) -> int:
    """The same for versions 2 to 4."""
    table = cursor.number(cursor.wide)
    cursor.address = cursor.number(1)
    return table


_Forms = list[tuple[int, int]]
"""Attribute and form of each value of an entry."""


def _abbreviations(cursor: Cursor) -> dict[int, _Forms]:
    """The forms of each root entry of one table."""
    found: dict[int, _Forms] = {}
    while code := cursor.leb():
        tag = cursor.leb()
        cursor.number(1)
        forms: _Forms = []
        while True:
            attribute, form = cursor.leb(), cursor.leb()
            if form == IMPLICIT:
                cursor.leb()
            if not attribute and not form:
                break
            forms.append((attribute, form))
        if tag in _ROOTS:
            found[code] = forms
        elif any(form == LINE_STRP for _, form in forms):
            raise DwarfError("an entry that is no unit names a file")
    return found
