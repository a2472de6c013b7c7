"""Where units name folders and files by an offset into ``.debug_line_str`` (DWARF 5, sections 6.2.4, 7.5.1 and 3.1.1)."""

from __future__ import annotations

from typing import NamedTuple

from reprove.compare.anatomies.elf.dwarf import IMPLICIT, LINE_STRP, STRING, Cursor, DwarfError

BUDGET = 1_000_000
"""Steps that one file may take."""
_PATH = 1
"""DW_LNCT_path."""
_EXTRA = {1: 0, 2: None, 3: 0, 4: 8, 5: 8, 6: None}
"""Bytes behind the header of a unit of each type, up to its first entry; None: 8 and an offset."""
_ROOTS = frozenset({0x11, 0x3C, 0x41, 0x4A})
"""Compile, partial, type and skeleton unit: the entries that may name a file by ``.debug_line_str``."""


class Reference(NamedTuple):
    """An offset into ``.debug_line_str``: where it stands, and how wide it is in bytes."""

    at: int
    size: int


class Lines(NamedTuple):
    """What the line table names: every reference, and directory 0 of each unit, as a reference or as it stands there."""

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


def roots(info: bytes, abbreviations: bytes, order: str, budget: list[int]) -> list[Reference]:
    """The references of the first entry of each unit of ``.debug_info``. Raises :class:`DwarfError`, also where other entries have some."""
    tables: dict[int, dict[int, list[int]]] = {}
    found: list[Reference] = []
    at = 0
    while at < len(info):
        cursor = Cursor(info, order, at, budget)
        at = cursor.length()
        if cursor.number(2) != 5:
            continue
        kind = cursor.number(1)
        cursor.address = cursor.number(1)
        table = cursor.number(cursor.wide)
        if kind not in _EXTRA:
            raise DwarfError("an unknown type of unit")
        extra = _EXTRA[kind]
        cursor.at += 8 + cursor.wide if extra is None else extra
        if table not in tables:
            tables[table] = _abbreviations(Cursor(abbreviations, order, table, budget))
        for form in tables[table].get(cursor.leb(), ()):
            if form == LINE_STRP:
                found.append(Reference(cursor.at, cursor.wide))
            cursor.skip(form)
        if cursor.at > at:
            raise DwarfError("an entry that leaves its unit")
    return found


def _abbreviations(cursor: Cursor) -> dict[int, list[int]]:
    """The forms of each root entry of one table."""
    found: dict[int, list[int]] = {}
    while code := cursor.leb():
        tag = cursor.leb()
        cursor.number(1)
        forms: list[int] = []
        while True:
            attribute, form = cursor.leb(), cursor.leb()
            if form == IMPLICIT:
                cursor.leb()
            if not attribute and not form:
                break
            forms.append(form)
        if tag in _ROOTS:
            found[code] = forms
        elif LINE_STRP in forms:
            raise DwarfError("an entry that is no unit names a file")
    return found
