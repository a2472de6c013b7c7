"""Read DWARF as far as the names of units need it (DWARF 5, sections 7.5.5 and 7.5.6): a cursor that knows the size of every form."""

from __future__ import annotations

from typing import Literal

STRING, STRP, LINE_STRP, IMPLICIT = 0x08, 0x0E, 0x1F, 0x21
_FIXED = {
    0x03: -2,
    0x04: -4,
    0x05: 2,
    0x06: 4,
    0x07: 8,
    0x0A: -1,
    0x0B: 1,
    0x0C: 1,
    0x11: 1,
    0x12: 2,
    0x13: 4,
    0x14: 8,
    0x19: 0,
    0x1C: 4,
    0x1E: 16,
    0x20: 8,
    0x21: 0,
    0x24: 8,
    0x25: 1,
    0x26: 2,
    0x27: 3,
    0x28: 4,
    0x29: 1,
    0x2A: 2,
    0x2B: 3,
    0x2C: 4,
}
"""Bytes of a form; a negative size is that of a length which as many bytes follow as it says (block1, block2, block4)."""
_LEB = frozenset({0x0D, 0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23})
_LEB_BLOCK = frozenset({0x09, 0x18})
_OFFSET = frozenset({STRP, LINE_STRP, 0x10, 0x17, 0x1D, 0x1F20, 0x1F21})
_ADDRESS = 0x01


class DwarfError(ValueError):
    """Cut short, too much, or a form that is not known."""


class Cursor:
    """A place in a section. ``budget`` bounds the steps that all of a file's cursors take together."""

    def __init__(self, data: bytes, order: str, at: int, budget: list[int]) -> None:
        self.data, self.at, self.wide, self.address = data, at, 4, 8
        self._order: Literal["little", "big"] = "little" if order == "<" else "big"
        self._budget = budget

    def number(self, size: int) -> int:
        """An unsigned number of that many bytes."""
        self._budget[0] -= 1
        end = self.at + size
        if end > len(self.data) or self._budget[0] < 0:
            raise DwarfError("cut short, or too much")
        value = int.from_bytes(self.data[self.at : end], self._order)
        self.at = end
        return value

    def leb(self) -> int:
        """An unsigned LEB128 of at most ten bytes."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise DwarfError("a number too long")

    def length(self) -> int:
        """An initial length; sets the width of offsets. Returns where the unit ends."""
        size = self.number(4)
        self.wide = 4
        if size == 0xFFFFFFFF:
            size, self.wide = self.number(8), 8
        if self.at + size > len(self.data):
            raise DwarfError("a unit outside its section")
        return self.at + size

    def skip(self, form: int) -> None:
        """Pass over a value of that form."""
        if form in _LEB:
            self.leb()
        elif form == STRING:
            end = self.data.find(b"\0", self.at)
            if end < 0:
                raise DwarfError("cut short")
            self.at = end + 1
        else:
            size = self._size(form)  # moves the cursor over a length first
            self.at += size

    def _size(self, form: int) -> int:
        if form in _OFFSET:
            return self.wide
        if form in _LEB_BLOCK:
            return self.leb()
        if form == _ADDRESS:
            return self.address
        size = _FIXED.get(form)
        if size is None:
            raise DwarfError("an unknown form")
        return self.number(-size) if size < 0 else size
