"""Zip archives that mean two things, or hide bytes: each is named; honest ones pass; everything else is a plain refusal."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.model import Code, Zip
from reprove.archive.zipfiles import open_zip
from tests.archive.zips import Part, deflate, descriptor, wheel, wheel_parts, zip_bytes

A = Part("a.txt", b"alpha" * 40)
B = Part("b.txt", b"beta" * 40)
FULL = 0xFFFFFFFF


def read(tmp_path: Path, data: bytes, limits: Limits | None = None) -> Zip:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with open_zip(path, limits or Limits()) as archive:
        return archive.zip


def codes(tmp_path: Path, data: bytes) -> set[Code]:
    return {violation.code for violation in read(tmp_path, data).violations}


def unicode_path(name: bytes, crc_of: bytes) -> bytes:
    import zlib

    body = b"\x01" + struct.pack("<L", zlib.crc32(crc_of)) + name
    return struct.pack("<HH", 0x7075, len(body)) + body


def zip64(*values: int) -> bytes:
    body = b"".join(struct.pack("<Q", value) for value in values)
    return struct.pack("<HH", 1, len(body)) + body


def test_an_honest_wheel_passes(tmp_path: Path) -> None:
    archive = read(tmp_path, wheel())
    assert archive.violations == ()
    assert archive.entries[0].name == "demo/__init__.py"
    assert all(archive.digests)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_python_writes_passes(tmp_path: Path, streamed: bool) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return not streamed

        def tell(self) -> int:
            if streamed:
                raise OSError("a pipe")
            return super().tell()

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo/ä.txt", b"x" * 5000)
        archive.writestr("demo/empty.txt", b"")
        with archive.open("demo/big", "w", force_zip64=True) as stream:
            stream.write(b"y" * 70000)
    assert read(tmp_path, out.getvalue()).violations == ()


ATTACKS = {
    "bytes between two members": (zip_bytes([A, Part("b.txt", b"b", before=b"hidden")]), Code.GAP),
    "bytes before the central directory": (zip_bytes([A, B], before_directory=b"hidden"), Code.GAP),
    "bytes inside the central directory": (zip_bytes([A], in_directory=b"PK\x05\x05\x02\x00xx"), Code.GAP),
    "bytes after the central directory": (zip_bytes([A], after_directory=b"hidden"), Code.PREFIX),
    "a member that the central directory does not list": (zip_bytes([A, Part("evil.py", b"evil", listed=False)]), Code.GAP),
    "a script before the archive": (zip_bytes([A], prefix=b"#!/bin/sh\nrm -rf /\n"), Code.PREFIX),
    "bytes after the end record": (zip_bytes([A], suffix=b"hidden"), Code.SUFFIX),
    "a comment that holds an end record": (zip_bytes([A], comment=b"PK\x05\x06" + bytes(18)), Code.PREFIX),
    "a comment that holds an end record before its end": (zip_bytes([A], comment=b"PK\x05\x06" + bytes(40)), Code.SUFFIX),
    "the same name twice": (zip_bytes([A, Part("a.txt", b"other")]), Code.DUPLICATE),
    "names that differ in case": (zip_bytes([A, Part("A.TXT", b"other")]), Code.FOLDED),
    "names that differ in Unicode form": (zip_bytes([Part("\u00e4", b"1", flags=0x800), Part("a\u0308", b"2", flags=0x800)]), Code.FOLDED),
    "a file that is also a folder": (zip_bytes([A, Part("a.txt/b", b"b")]), Code.UNDER_FILE),
    "an absolute name": (zip_bytes([Part("/etc/passwd", b"x")]), Code.BAD_NAME),
    "a name that leaves": (zip_bytes([Part("a/../../b", b"x")]), Code.BAD_NAME),
    "a drive": (zip_bytes([Part("C:evil", b"x")]), Code.BAD_NAME),
    "a backslash": (zip_bytes([Part("a\\b", b"x")]), Code.BAD_NAME),
    "a NUL": (zip_bytes([Part("a\0b", b"x")]), Code.BAD_NAME),
    "an empty name": (zip_bytes([Part("", b"x")]), Code.BAD_NAME),
    "a name that is not UTF-8": (zip_bytes([Part("a\udcff", b"x", flags=0x800)]), Code.NAME_ENCODING),
    "a name beyond ASCII without the flag": (zip_bytes([Part("ä", b"x")]), Code.NAME_ENCODING),
    "a text direction character": (zip_bytes([Part("a\u202eyp.exe", b"x", flags=0x800)]), Code.BAD_NAME),
    "another name in the local header": (zip_bytes([Part("a.txt", b"x", local={"name": b"e.txt"})]), Code.LOCAL),
    "another method in the local header": (zip_bytes([Part("a.txt", b"x", method=0, local={"method": 8})]), Code.LOCAL),
    "other flags in the local header": (zip_bytes([Part("a.txt", b"x", local={"flags": 2})]), Code.LOCAL),
    "another size in the local header": (zip_bytes([Part("a.txt", b"x", local={"size": 2})]), Code.LOCAL),
    "another stored size in the local header": (zip_bytes([Part("a.txt", b"x", local={"stored": 1})]), Code.LOCAL),
    "another CRC in the local header": (zip_bytes([Part("a.txt", b"x", local={"crc": 7})]), Code.LOCAL),
    "a false size on both sides": (zip_bytes([Part("a.txt", b"xy", local={"size": 1}, central={"size": 1})]), Code.SIZE),
    "a false CRC on both sides": (zip_bytes([Part("a.txt", b"xy", local={"crc": 1}, central={"crc": 1})]), Code.CRC),
    "deflate data that goes on": (
        zip_bytes([Part("a.txt", b"xy", after=b"more", local={"stored": len(deflate(b"xy")) + 4}, central={"stored": len(deflate(b"xy")) + 4})]),
        Code.DEFLATE,
    ),
    "deflate data without end": (zip_bytes([Part("a.txt", b"\xff\xff", method=0, local={"method": 8}, central={"method": 8})]), Code.DEFLATE),
    "a Unicode path that renames": (zip_bytes([Part("a.txt", b"x", central={"extra": unicode_path(b"evil.py", b"a.txt")})]), Code.UNICODE_PATH),
    "a Unicode path in the local header": (zip_bytes([Part("a.txt", b"x", local={"extra": unicode_path(b"evil.py", b"a.txt")})]), Code.UNICODE_PATH),
    "a Unicode path with a stale CRC": (zip_bytes([Part("a.txt", b"x", central={"extra": unicode_path(b"a.txt", b"b.txt")})]), Code.UNICODE_PATH),
    "an extra field cut short": (zip_bytes([Part("a.txt", b"x", central={"extra": b"\x01\x02\xff"})]), Code.EXTRA),
    "an extra field twice": (zip_bytes([Part("a.txt", b"x", central={"extra": b"\x55\x54\0\0" * 2})]), Code.EXTRA),
    "encrypted": (zip_bytes([Part("a.txt", b"x", flags=1)]), Code.ENCRYPTED),
    "masked headers": (zip_bytes([Part("a.txt", b"x", flags=0x2000)]), Code.ENCRYPTED),
    "an unknown flag": (zip_bytes([Part("a.txt", b"x", flags=0x20)]), Code.FLAGS),
    "an unknown method": (zip_bytes([Part("a.txt", b"x", local={"method": 12}, central={"method": 12})]), Code.METHOD),
    "a symbolic link": (zip_bytes([Part("a.txt", b"/etc/passwd", mode=0o120777)]), Code.SYMLINK),
    "a device": (zip_bytes([Part("a.txt", b"", mode=0o020644)]), Code.SPECIAL),
    "set-user-id": (zip_bytes([Part("a.txt", b"x", mode=0o104755)]), Code.SET_ID),
    "sticky": (zip_bytes([Part("a.txt", b"x", mode=0o101755)]), Code.SET_ID),
    "a folder with a file's name": (zip_bytes([Part("a", b"", mode=0o040755)]), Code.KIND),
    "a file with a folder's name": (zip_bytes([Part("a/", b"", mode=0o100644)]), Code.KIND),
    "a folder with content": (zip_bytes([Part("a/", b"content", mode=0o040755)]), Code.KIND),
    "a descriptor that lies": (zip_bytes([Part("a.txt", b"x", flags=8, after=descriptor(b"y"))]), Code.DESCRIPTOR),
    "a descriptor that is missing": (zip_bytes([Part("a.txt", b"x", flags=8)]), Code.DESCRIPTOR),
    "a descriptor with something behind": (zip_bytes([Part("a.txt", b"x", flags=8, after=descriptor(b"x") + b"hide")]), Code.DESCRIPTOR),
    "a descriptor of a stored member": (
        zip_bytes([Part("a.txt", b"xyz", method=0, flags=8, after=b"PK\x07\x08" + struct.pack("<LLL", 0xEB8EBA67, 3, 3))]),
        Code.DESCRIPTOR,
    ),
    "a zip64 value without sentinel": (zip_bytes([Part("a.txt", b"x", central={"extra": zip64(99)})]), Code.ZIP64),
    "a sentinel without zip64 value": (zip_bytes([Part("a.txt", b"x", local={"size": FULL})]), Code.ZIP64),
    "zip64 sizes that lie in the local header": (
        zip_bytes([Part("a.txt", b"x", local={"size": FULL, "stored": FULL, "extra": zip64(5, 3)})]),
        Code.LOCAL,
    ),
    "an overlapping member": (zip_bytes([A, Part("b.txt", b"alpha" * 40, at=0)]), Code.OVERLAP),
    "a member inside another's data": (
        zip_bytes([Part("a.txt", zip_bytes([Part("e.txt", b"evil")]), method=0), Part("e.txt", b"evil", at=35)]),
        Code.OVERLAP,
    ),
    "fewer members than the end record says": (zip_bytes([A, B], end={"entries": 1}), Code.GAP),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_archive_that_can_mean_two_things_is_named(tmp_path: Path, attack: str) -> None:
    data, code = ATTACKS[attack]
    assert code in codes(tmp_path, data)


def test_a_zip64_end_record_that_disagrees_is_named(tmp_path: Path) -> None:
    plain = zip_bytes([A])
    tail = len(plain) - 22
    (_, _, _, _, entries, length, offset, _) = struct.unpack("<4s4H2LH", plain[tail:])

    def with_end64(count: int, *, version: int = 44) -> bytes:
        wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", version, 45, 45, 0, 0, count, count, length, offset)
        return plain[:tail] + wide + struct.pack("<4sLQL", b"PK\x06\x07", 0, tail, 1) + plain[tail:]

    assert read(tmp_path, with_end64(entries)).violations == ()
    assert Code.ZIP64 in codes(tmp_path, with_end64(entries, version=60))
    with pytest.raises(ArchiveError, match="does not fit"):
        read(tmp_path, with_end64(entries + 1))


UNREADABLE = {
    "nothing": b"",
    "text": b"hello",
    "only an end record that points nowhere": zip_bytes([], end={"entries": 1, "length": 46, "offset": 0}),
    "a central directory beyond the file": zip_bytes([A], end={"offset": 10**6}),
    "a local header that is none": zip_bytes([A]).replace(b"PK\x03\x04", b"PK\x03\x05"),
    "more members than the end record has room for": zip_bytes([A], end={"entries": 9}),
    "a locator without zip64 end record": zip_bytes([A])[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 1, 1) + zip_bytes([A])[-22:],
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_archive_is_one_plain_error(tmp_path: Path, what: str) -> None:
    with pytest.raises(ArchiveError):
        read(tmp_path, UNREADABLE[what])


def test_a_bomb_is_a_limit_and_never_a_verdict(tmp_path: Path) -> None:
    data = zip_bytes([Part("a", bytes(4 * 1024**2))])
    with pytest.raises(LimitError):
        read(tmp_path, data, Limits(ratio_free=1024**2, ratio=100))
    with pytest.raises(LimitError):
        read(tmp_path, data, Limits(total=1024**2))
    with pytest.raises(LimitError):
        read(tmp_path, data, Limits(archive=1000))
    with pytest.raises(LimitError):
        read(tmp_path, zip_bytes([A, B]), Limits(entries=1))
    assert Code.BAD_NAME in {item.code for item in read(tmp_path, zip_bytes([Part("n" * 2000, b"")])).violations}


def test_overlapping_members_are_never_inflated(tmp_path: Path) -> None:
    big = Part("a", bytes(1024**2))
    data = zip_bytes([big, *(Part(f"{n}", bytes(1024**2), at=0) for n in range(500))])
    assert set(read(tmp_path, data).digests) == {None}


def test_the_list_of_violations_is_bounded(tmp_path: Path) -> None:
    data = zip_bytes([Part(f"../{n}", b"") for n in range(300)])
    assert len(read(tmp_path, data).violations) == Limits().violations


BASE = zip_bytes([*wheel_parts(), Part("d/", b"", mode=0o040755, method=0), Part("s", b"streamed", flags=8, after=descriptor(b"streamed"))])


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(BASE) - 1), st.integers(0, 255), st.integers(0, 3))
def test_any_damage_is_read_or_refused_but_never_crashes(tmp_path: Path, at: int, value: int, kind: int) -> None:
    data = bytearray(BASE)
    if kind == 0:
        del data[at]
    elif kind == 1:
        data.insert(at, value)
    elif kind == 2:
        del data[at:]
    else:
        data[at] = value
    with suppress(ArchiveError):
        read(tmp_path, bytes(data))


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_around_real_records_never_crash(tmp_path: Path, noise: bytes) -> None:
    for data in (noise, noise + BASE, BASE + noise, BASE[:60] + noise + BASE[60:], BASE[:-22] + noise + BASE[-22:]):
        try:
            found = read(tmp_path, data).violations
        except ArchiveError:
            continue
        assert found or data == BASE or not noise
