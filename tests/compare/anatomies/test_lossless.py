"""Whatever is taken apart loses no byte: two contents with equal pieces are equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reprove.compare.anatomies import (
    catalogue,
    digest_lists,
    gem_metadata,
    gzip_file,
    headers,
    json_object,
    lines,
    manifest,
    png,
    properties,
    pyc,
    record,
)
from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.pieces import Anatomy, Pieces
from tests.compare.anatomies import samples
from tests.compare.elves import Part, old_debug, program

SAMPLES: dict[str, tuple[Anatomy, str, bytes]] = {
    "wheel": (headers.WHEEL_METADATA, "demo-1.0.dist-info/WHEEL", samples.WHEEL),
    "metadata": (headers.WHEEL_METADATA, "demo-1.0.dist-info/METADATA", samples.METADATA),
    "metadata with carriage returns": (headers.WHEEL_METADATA, "demo-1.0.dist-info/METADATA", samples.METADATA.replace(b"\n", b"\r\n")),
    "metadata with a blank line in a value": (headers.WHEEL_METADATA, "demo-1.0.dist-info/METADATA", b"Name: a\nLicense: b\n  \n c\nVersion: 1\n"),
    "control": (headers.CONTROL, "control.tar!/control", samples.CONTROL),
    "record": (record.RECORD, "demo-1.0.dist-info/RECORD", samples.RECORD),
    "md5sums": (digest_lists.MD5SUMS, "control.tar!/md5sums", samples.MD5SUMS),
    "checksums": (digest_lists.CHECKSUMS, "checksums.yaml", samples.CHECKSUMS),
    "manifest": (manifest.MANIFEST, "META-INF/MANIFEST.MF", samples.MANIFEST),
    "properties": (properties.PROPERTIES, "META-INF/maven/a/b/pom.properties", samples.POM),
    "git properties": (properties.PROPERTIES, "git.properties", samples.GIT),
    "lines": (lines.LINES, "demo.egg-info/SOURCES.txt", b"a.py\nb.py\n\nc.py\n"),
    "json": (json_object.JSON, ".cargo_vcs_info.json", samples.CARGO),
    "pyc": (pyc.PYC, "a/__pycache__/b.cpython-311.pyc", samples.PYC),
    "pyc by hash": (pyc.PYC, "a/__pycache__/b.cpython-311.pyc", samples.PYC_HASHED),
    "gzip": (gzip_file.GZIP, "usr/share/man/man1/demo.1.gz", samples.gz()),
    "png": (png.PNG, "logo.png", samples.png()),
    "po": (catalogue.CATALOGUE, "de.po", samples.PO),
    "mo": (catalogue.CATALOGUE, "de.mo", samples.mo()),
    "gem": (gem_metadata.GEM_METADATA, "metadata", samples.gem()),
    "elf": (ELF, "a.so", samples.ELF),
    "elf of 32 bits, big-endian": (ELF, "a.so", samples.ELF32),
    "elf with older debug information": (ELF, "a.so", program(stripped=True, more=old_debug("/build/one"))),
    "elf of 64 bits, big-endian": (ELF, "a.so", program(order=">")),
}


def seen(pieces: Pieces | None) -> list[tuple[str, bytes]] | None:
    return None if pieces is None else [(piece.name, piece.data) for piece in pieces]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_taken_apart(name: str) -> None:
    anatomy, path, data = SAMPLES[name]
    assert anatomy.fits(path, data[:4096])
    pieces = anatomy.split(data)
    assert pieces is not None
    assert len(pieces) > 1
    assert all(0 <= piece.offset <= len(data) for piece in pieces)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_byte_can_change_unseen(name: str) -> None:
    anatomy, _, data = SAMPLES[name]
    whole = seen(anatomy.split(data))
    places = range(len(data)) if len(data) < 3000 else [*range(300), *range(4096, 4600), *range(len(data) - 2500, len(data), 2)]
    for at in places:
        for bit in {1 << at % 8, 0x20}:
            other = bytearray(data)
            other[at] ^= bit
            assert seen(anatomy.split(bytes(other))) != whole, (at, bit)


@st.composite
def edits(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Cut, double, move or replace a stretch, chosen by line or by byte."""
    seed = draw(st.tuples(*[st.integers(0, 2**20)] * 3))
    new = draw(
        st.binary(max_size=6) | st.sampled_from([b"\n", b"\r", b"\r\n", b" ", b"\0", b'"', b"'", b"\\\n", b": ", b"  ", b"\x01", b"#2", b"---\n"])
    )
    what = draw(st.sampled_from(["cut", "double", "replace", "insert", "swap", "lines"]))

    def edit(data: bytes) -> bytes:
        start, size, other = seed[0] % (len(data) + 1), seed[1] % 40, seed[2] % (len(data) + 1)
        part = data[start : start + size]
        match what:
            case "cut":
                return data[:start] + data[start + size :]
            case "double":
                return data[: start + size] + part + data[start + size :]
            case "replace":
                return data[:start] + new + data[start + len(new) :]
            case "insert":
                return data[:start] + new + data[start:]
            case "lines":
                rows = data.splitlines(keepends=True)
                if rows:
                    rows.insert(seed[0] % len(rows), rows.pop(seed[1] % len(rows)))
                return b"".join(rows)
            case _:
                rest = data[:start] + data[start + size :]
                return rest[:other] + part + rest[other:]

    return edit


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=25, deadline=None)
@given(first=edits(), second=edits())
def test_equal_pieces_are_equal_contents(name: str, first: Callable[[bytes], bytes], second: Callable[[bytes], bytes]) -> None:
    anatomy, _, data = SAMPLES[name]
    one = first(data)
    other = second(one)
    assume(one != other)
    assert seen(anatomy.split(one)) != seen(anatomy.split(other)) or anatomy.split(one) is None


PARTS = st.lists(
    st.builds(
        Part,
        name=st.sampled_from([".text", ".debug_str", ".comment", "a", "a#2", ".note.x", ".rela.text", ""]),
        data=st.binary(max_size=12),
        type=st.sampled_from([1, 2, 3, 4, 7, 8]),
        flags=st.sampled_from([0, 2, 6, 0x40]),
        align=st.sampled_from([0, 1, 8]),
        info=st.integers(0, 3),
    ),
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(one=PARTS, other=PARTS)
def test_equal_pieces_are_equal_programs(one: list[Part], other: list[Part]) -> None:
    left, right = program(more=one), program(more=other)
    assume(left != right)
    assert seen(ELF.split(left)) != seen(ELF.split(right)) or ELF.split(left) is None
