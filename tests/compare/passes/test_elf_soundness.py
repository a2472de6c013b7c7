"""Under all passes over ELF files at once, no byte that is loaded, and no fact about it, can change unseen."""

from __future__ import annotations

import struct

import pytest

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.registry import PASSES
from tests.compare.elves import PAGE, program
from tests.compare.passes.test_passes import OVER_PIECES, left, mask

ELF_PASSES = [one for one in OVER_PIECES if mask(one).anatomy is ELF]
HEADER, SEGMENT, ROW = {32: 52, 64: 64}, {32: 32, 64: 56}, {32: 40, 64: 64}
SECTIONS_AT = {32: range(32, 36), 64: range(40, 48)}
COUNT_AT = {32: range(48, 52), 64: range(60, 64)}
"""Where the header says where sections are, and how many: the loader does not look."""


def kept(data: bytes) -> list[tuple[str, bytes]] | None:
    pieces = ELF.split(data)
    return None if pieces is None else left(ELF_PASSES, pieces)


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_no_byte_of_header_segments_and_memory_changes_unseen(bits: int, order: str) -> None:
    data = program(bits=bits, order=order)
    whole = kept(data)
    assert whole is not None
    ident = range(data.index(b"\1" * 20), data.index(b"\1" * 20) + 20)
    for at in [*range(HEADER[bits] + SEGMENT[bits]), *range(PAGE, data.index(b"data" * 8) + 32)]:
        if at in SECTIONS_AT[bits] or at in COUNT_AT[bits] or at in ident:
            continue
        other = bytearray(data)
        other[at] ^= 1 << at % 8
        assert kept(bytes(other)) != whole, at


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (32, ">")])
def test_no_fact_about_a_loaded_section_changes_unseen(bits: int, order: str) -> None:
    """But for the place of its name in the table of names, which gives it another name or none, and the place of a section of no bytes."""
    data = program(bits=bits, order=order)
    whole = kept(data)
    table = struct.unpack_from(order + ("Q" if bits == 64 else "I"), data, SECTIONS_AT[bits].start)[0]
    for number in (1, 2, 3, 4):
        offset = range(24, 32) if bits == 64 else range(16, 20)
        for at in range(ROW[bits]):
            if number == 4 and at in offset:
                continue
            other = bytearray(data)
            other[table + number * ROW[bits] + at] ^= 1 << at % 8
            assert kept(bytes(other)) != whole, (number, at)


def test_the_broadest_pass_is_the_last_over_its_contents() -> None:
    """The comparison leaves out what is not needed from the end: so the narrow ones are what it names."""
    order = [one.id for one in PASSES]
    assert [one.id for one in ELF_PASSES] == sorted((one.id for one in ELF_PASSES), key=order.index)
    assert ELF_PASSES[-1].id == "elf-code-identical"
    assert ELF_PASSES[-2].id == "elf-debug"
