"""Where a byte of an ELF file stands: section, symbol and distance, for every byte, quickly."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from reprove.compare.elf_locate import place
from tests.compare.elves import PAGE, SYMTAB, Part, elf, program, symbols

LIBRARY = Path(sys.executable).resolve()


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_a_byte_of_code_has_a_section_and_a_symbol(bits: int, order: str) -> None:
    data = program(bits=bits, order=order, code=b"\x90" * 63 + b"\xcc")
    start = data.index(b"\x90" * 63)
    assert place(data, start) == ".text+0x0 (main)"
    assert place(data, start + 31) == ".text+0x1f (main+0x1f)"
    assert place(data, start + 63) == ".text+0x3f (helper+0x1f)"


@pytest.mark.parametrize(("offset", "said"), [(0, "ELF header"), (70, "program headers"), (-1, "section headers"), (2000, "between sections")])
def test_bytes_of_no_section_have_a_name_too(offset: int, said: str) -> None:
    data = program()
    assert place(data, offset % len(data)) == said


def test_sections_without_symbols_are_named_alone() -> None:
    data = program()
    assert place(data, data.index(b"GCC: 12") + 2) == ".comment+0x2"


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"no program", program()[:200]])
def test_what_is_no_program_has_no_place(data: bytes) -> None:
    assert place(data, 0) is None
    assert place(data, 10_000_000) is None


def test_a_symbol_of_another_section_is_not_meant() -> None:
    table = symbols([(1, PAGE, 3), (6, PAGE, 1)])
    data = elf(
        [
            Part(".text", b"\x90" * 8, 1, 6, PAGE),
            Part(".symtab", table, SYMTAB, align=8, link=".strtab", entry=24),
            Part(".strtab", b"\0lies\0true\0", 3),
        ]
    )
    assert place(data, PAGE + 4) == ".text+0x4 (true+0x4)"


def test_a_name_that_lies_is_shown_safely() -> None:
    table = symbols([(1, PAGE, 1)])
    data = elf(
        [
            Part(".te\nxt", b"\x90" * 8, 1, 6, PAGE),
            Part(".symtab", table, SYMTAB, link=".strtab", entry=24),
            Part(".strtab", b"\0" + b"\x1b" * 5000, 3),
        ]
    )
    found = place(data, PAGE)
    assert found is not None
    assert found.isprintable()
    assert len(found) <= 200


def test_a_real_program_is_read_in_a_moment() -> None:
    data = LIBRARY.read_bytes()
    if not data.startswith(b"\x7fELF"):
        pytest.skip("the interpreter is no ELF file")
    start = time.perf_counter()
    found = place(data, len(data) // 3)
    assert time.perf_counter() - start < 1
    assert found is not None
    assert "+0x" in found


def test_many_symbols_cost_little() -> None:
    table = symbols([(1, PAGE + number % 64, 1) for number in range(150_000)])
    data = elf([Part(".text", b"\x90" * 64, 1, 6, PAGE), Part(".symtab", table, SYMTAB, link=".strtab", entry=24), Part(".strtab", b"\0name\0", 3)])
    start = time.perf_counter()
    assert place(data, PAGE + 5) == ".text+0x5 (name)"
    assert time.perf_counter() - start < 1
