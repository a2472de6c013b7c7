"""Contents made to cost: each is refused or taken apart in bounded time, and never a fault."""

from __future__ import annotations

import gzip
import struct
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.compare.anatomies import json_object, manifest, png, record
from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.anatomies.gem_metadata import GEM_METADATA
from reprove.compare.anatomies.gzip_file import GZIP
from reprove.compare.elf_locate import place
from reprove.compare.pieces import Anatomy
from tests.compare.anatomies import samples
from tests.compare.anatomies.test_lossless import SAMPLES
from tests.compare.elves import Part, debug, elf, program

SECONDS = 3.0
"""Far above what each takes on an idle machine, far below a hang."""

HEAD = b"--- !ruby/object:Gem::Specification\n"
DEBUG = debug("/build/one")
TABLE = b"".join(bytes([number % 100 + 1, 0x11, 0, *([3, 8] * 100), 0, 0]) for number in range(10_000))
COSTLY: dict[str, tuple[Anatomy, bytes]] = {
    "a deep list": (json_object.JSON, b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "many members": (json_object.JSON, b"{" + b",".join(b'"%d": 1' % number for number in range(20_000)) + b"}"),
    "a number of many digits": (json_object.JSON, b'{"a": ' + b"9" * 1_000_000 + b"}"),
    "a gzip bomb": (GZIP, gzip.compress(bytes(100 * 1024**2), 1)),
    "many empty chunks": (png.PNG, b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"aaaa" + struct.pack(">I", zlib.crc32(b"aaaa"))) * 150_000),
    "many rows": (record.RECORD, b"a,sha256=x,1\n" * 200_000),
    "one long quoted row": (record.RECORD, b'"' + b"a" * 4_000_000),
    "many folds": (manifest.MANIFEST, b"A: b\n" + b" c\n" * 500_000),
    "a long open quote": (GEM_METADATA, HEAD + b'a: "' + b"\\" * 100_000 + b"\n" + b"  \\\n" * 100_000),
    "many single quotes": (GEM_METADATA, HEAD + b"a: '" + b"''" * 500_000 + b"\n"),
    "deep dashes": (GEM_METADATA, HEAD + b"a:\n" + b"- " * 500_000 + b"x\n"),
    "many sections": (ELF, elf([Part(f"s{number}", b"x") for number in range(20_000)])),
    "many long names": (ELF, elf([Part("n" * 2000) for _ in range(15_000)])),
    "many abbreviations": (ELF, program(stripped=True, more=[replace(part, data=TABLE) if part.name == ".debug_abbrev" else part for part in DEBUG])),
    "units without end": (
        ELF,
        program(stripped=True, more=[Part(".debug_line", struct.pack("<IH", 2, 5) * 200_000), Part(".debug_line_str", b"\0")]),
    ),
    "a table of many folders": (
        ELF,
        program(
            stripped=True,
            more=[
                Part(
                    ".debug_line",
                    struct.pack("<IHBBI", 500_000, 5, 8, 0, 0) + bytes([1, 1, 1, 0, 1, 1, 1, 1, 0x19]) + b"\xff" * 4 + b"\x0f" + bytes(500_000),
                ),
                Part(".debug_line_str", b"\0"),
            ],
        ),
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_what_is_made_to_cost_costs_little(name: str) -> None:
    anatomy, data = COSTLY[name]
    start = time.perf_counter()
    anatomy.split(data)
    assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("name", SAMPLES)
def test_every_beginning_is_read_or_refused(name: str) -> None:
    anatomy, _, data = SAMPLES[name]
    for end in [*range(0, min(len(data), 400), 3), *range(400, len(data), 97)]:
        anatomy.split(data[:end])


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=10, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 2**20))
def test_damage_anywhere_is_read_or_refused(name: str, data: bytes, at: int) -> None:
    anatomy, _, sample = SAMPLES[name]
    at %= len(sample)
    anatomy.split(sample[:at] + data + sample[at + len(data) :])
    anatomy.split(data)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 2**20), value=st.integers(0, 2**64 - 1), size=st.sampled_from([2, 4, 8]), offset=st.integers(0, 2**14))
def test_any_number_in_a_table_of_an_elf_file_may_lie(at: int, value: int, size: int, offset: int) -> None:
    data = bytearray(samples.ELF)
    at = (at % 128) if at % 2 else len(data) - 1 - at % 1400
    data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    ELF.split(bytes(data))
    place(bytes(data), offset)
