"""A writer of small ELF files, 32 and 64 bit, both byte orders, that can lie in the tables; and the DWARF 5 that names a build path."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

PAGE = 4096
LOADED, CODE = 0x2, 0x6
STRTAB, SYMTAB, NOTE, NOBITS = 3, 2, 7, 8
_HEADER = {32: "HHIIIIIHHHHHH", 64: "HHIQQQIHHHHHH"}
_SEGMENT = {32: "IIIIIIII", 64: "IIQQQQQQ"}
_SECTION = {32: "IIIIIIIIII", 64: "IIQQQQIIQQ"}


@dataclass
class Part:
    """One section to write. ``at`` moves its row's offset, ``size`` its row's size."""

    name: str
    data: bytes = b""
    type: int = 1
    flags: int = 0
    address: int = 0
    align: int = 1
    link: str = ""
    info: int = 0
    entry: int = 0
    at: int | None = None
    size: int | None = None


def elf(
    parts: Sequence[Part],
    *,
    bits: int = 64,
    order: str = "<",
    kind: int = 3,
    entry: int = PAGE,
    mapped: int | None = None,
    tail: bytes = b"",
    flags: int = 5,
) -> bytes:
    """Loaded sections from byte 4096 on, in one segment, then the others from the next page on, the names, and the section table.

    ``mapped`` overrides how many bytes the segment maps.
    """
    names = b"\0" + b"".join(part.name.encode() + b"\0" for part in parts) + b".shstrtab\0"
    every = [*parts, Part(".shstrtab", names, STRTAB)]
    body = bytearray(PAGE)
    offsets: dict[int, int] = {}
    loaded = [number for number, part in enumerate(every) if part.flags & LOADED]
    for number in loaded:
        offsets[number] = _placed(body, every[number])
    size = len(body) - PAGE if mapped is None else mapped
    body += bytes(-len(body) % PAGE)
    for number, part in enumerate(every):
        if number not in offsets:
            offsets[number] = _placed(body, part)
    body += bytes(-len(body) % 8)
    table = len(body)
    index = {part.name: number + 1 for number, part in enumerate(every)}
    body += bytes(struct.calcsize(order + _SECTION[bits]))
    name = 1
    for number, part in enumerate(every):
        at = offsets[number] if part.at is None else part.at
        length = len(part.data) if part.size is None else part.size
        row = (name, part.type, part.flags, part.address, at, length, index.get(part.link, 0), part.info, part.align, part.entry)
        body += struct.pack(order + _SECTION[bits], *row)
        name += len(part.name) + 1
    head = struct.calcsize("<16x" + _HEADER[bits])
    sizes = (head, struct.calcsize(order + _SEGMENT[bits]), int(kind != 1), struct.calcsize(order + _SECTION[bits]), len(every) + 1, len(every))
    fields = (kind, 62, 1, entry, head if kind != 1 else 0, table, 0, *sizes)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    body[:head] = ident + struct.pack(order + _HEADER[bits], *fields)
    if kind != 1:
        place = (PAGE, PAGE, PAGE, size, size)
        row = (1, flags, *place, PAGE) if bits == 64 else (1, *place, flags, PAGE)
        body[head : head + sizes[1]] = struct.pack(order + _SEGMENT[bits], *row)
    return bytes(body) + tail


def _placed(body: bytearray, part: Part) -> int:
    body += bytes(-len(body) % max(part.align, 1))
    at = len(body)
    if part.type != NOBITS:
        body += part.data
    return at


def build_id(value: bytes, order: str = "<", owner: bytes = b"GNU\0", kind: int = 3) -> bytes:
    return struct.pack(order + "III", len(owner), len(value), kind) + owner + value + bytes(-len(value) % 4)


def symbols(rows: Sequence[tuple[int, int, int]], order: str = "<", bits: int = 64) -> bytes:
    """A table of (name offset, value, section number) for functions, behind the empty first row."""
    if bits == 64:
        return bytes(24) + b"".join(struct.pack(order + "IBBHQQ", name, 0x12, 0, section, value, 8) for name, value, section in rows)
    return bytes(16) + b"".join(struct.pack(order + "IIIBBH", name, value, 8, 0x12, 0, section) for name, value, section in rows)


def debug(folder: str, *, order: str = "<", form: int = 0x1F, file: str = "src/m.c") -> list[Part]:
    """Debug information of one unit built in ``folder``: the line table and the unit name it by offsets into ``.debug_line_str``."""
    strings = folder.encode() + b"\0" + file.encode() + b"\0src\0"
    second, third = len(folder) + 1, len(folder) + 1 + len(file) + 1
    table = bytes([1, 1, form, 2]) + struct.pack(order + "II", 0, third)  # folders 0 and 1
    table += bytes([2, 1, 0x1F, 2, 0x0B, 1]) + struct.pack(order + "I", second) + b"\0"  # file 0 in folder 0
    head = bytes([1, 1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + table
    unit = struct.pack(order + "HBBI", 5, 8, 0, len(head)) + head + b"\x00\x01\x01"  # end of sequence
    line = struct.pack(order + "I", len(unit)) + unit
    # code 1: compile unit without children: producer (string), name and comp_dir (line_strp)
    abbreviations = bytes([1, 0x11, 0, 0x25, 0x08, 0x03, 0x1F, 0x1B, 0x1F, 0, 0, 0])
    entry = b"\x01cc 1\0" + struct.pack(order + "II", second, 0)
    body = struct.pack(order + "HBBI", 5, 1, 8, 0) + entry
    info = struct.pack(order + "I", len(body)) + body
    return [
        Part(".debug_info", info),
        Part(".debug_abbrev", abbreviations),
        Part(".debug_line", line),
        Part(".debug_str", b"int\0main\0", flags=0x30, entry=1),
        Part(".debug_line_str", strings, flags=0x30, entry=1),
    ]


def old_debug(folder: str) -> list[Part]:
    """Debug information of version 4: the unit names its folder by an offset into ``.debug_str``."""
    abbreviations = bytes([1, 0x11, 0, 0x03, 0x0E, 0x1B, 0x0E, 0, 0, 0])  # a compile unit with name and comp_dir (strp)
    body = struct.pack("<HIB", 4, 0, 8) + b"\x01" + struct.pack("<II", 0, 4)
    strings = b"m.c\0" + folder.encode() + b"\0main\0"
    return [Part(".debug_info", struct.pack("<I", len(body)) + body), Part(".debug_abbrev", abbreviations), Part(".debug_str", strings)]


def program(
    *,
    ident: bytes = b"\1" * 20,
    comment: bytes = b"GCC: 12\0",
    link: bytes = b"x.debug\0\1\2\3\4",
    folder: str = "/build/one",
    code: bytes = b"\x90" * 64,
    stripped: bool = False,
    more: Sequence[Part] = (),
    bits: int = 64,
    order: str = "<",
    tail: bytes = b"",
) -> bytes:
    """A program with everything that the passes know."""
    size = 24 if bits == 64 else 16
    names = b"\0main\0helper\0"
    table = symbols([(1, PAGE + 64, 2), (6, PAGE + 96, 2)], order, bits)
    return elf(
        [
            Part(".note.gnu.build-id", build_id(ident, order), NOTE, LOADED, PAGE, 4),
            Part(".text", code, 1, CODE, PAGE + 64, 32),
            Part(".data", b"data" * 8, 1, 3, PAGE + 256, 8),
            Part(".bss", b"", NOBITS, 3, PAGE + 512, 8, size=100),
            *more,
            Part(".comment", comment),
            Part(".gnu_debuglink", link, align=4),
            *([] if stripped else debug(folder, order=order)),
            *([] if stripped else [Part(".symtab", table, SYMTAB, align=8, link=".strtab", info=1, entry=size), Part(".strtab", names, STRTAB)]),
        ],
        bits=bits,
        order=order,
        tail=tail,
    )
