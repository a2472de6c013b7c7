"""One field of a real archive changed: the verdict falls below ``bitwise``, and to unequal, unless the page calls that field noise."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.limits import LimitError
from reprove.archive.tarblocks import has_checksum
from tests.archive.zips import wheel_parts
from tests.compare.stories import compared, jar_parts, verdict

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
DATE = (2024, 1, 2, 3, 4, 4)


def _zip(form: str) -> bytes:
    parts = {"wheel": wheel_parts, "jar": jar_parts}[form]()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            info = zipfile.ZipInfo(part.name, DATE)
            info.external_attr, info.compress_type = part.mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, part.data)
    return out.getvalue()


def _tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, data, target in (
            ("top/a", tarfile.REGTYPE, b"content" * 99, ""),
            ("top/run", tarfile.REGTYPE, b"#!/bin/sh\n", ""),
            ("top/link", tarfile.SYMTYPE, b"", "a"),
            ("top/d", tarfile.DIRTYPE, b"", ""),
            ("top/" + "n" * 110, tarfile.REGTYPE, b"x", ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.mtime = kind, len(data), target, 1_704_164_644
            info.mode = 0o755 if name in ("top/run", "top/d") else 0o644
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


ZIPS = {form: _zip(form) for form in ("wheel", "jar")}
TARS = {"GNU": _tar(tarfile.GNU_FORMAT), "pax": _tar(tarfile.PAX_FORMAT)}
LOCAL = [("version", 4, 2), ("flags", 6, 2), ("method", 8, 2), ("time", 10, 4), ("crc", 14, 4), ("stored", 18, 4), ("size", 22, 4)]
LOCAL += [("name-length", 26, 2), ("extra-length", 28, 2), ("name", 30, 4)]
CENTRAL = [("made-by", 4, 2), ("version", 6, 2), ("flags", 8, 2), ("method", 10, 2), ("time", 12, 4), ("crc", 16, 4), ("stored", 20, 4)]
CENTRAL += [("size", 24, 4), ("name-length", 28, 2), ("extra-length", 30, 2), ("comment-length", 32, 2), ("disk", 34, 2)]
CENTRAL += [("internal", 36, 2), ("external", 38, 4), ("offset", 42, 4), ("name", 46, 4)]
END = [("disk", 4, 2), ("directory-disk", 6, 2), ("here", 8, 2), ("entries", 10, 2), ("length", 12, 4), ("offset", 16, 4), ("comment-length", 20, 2)]
LAYOUTS = {b"PK\3\4": LOCAL, b"PK\1\2": CENTRAL, b"PK\5\6": END}
ZIP_NOISE = frozenset({"version", "time", "made-by", "internal", "external"})
"""Fields of zip headers that may change without making the archive another, as far as the rest of the page allows their value."""
USTAR = [("name", 0, 100), ("mode", 100, 8), ("uid", 108, 8), ("gid", 116, 8), ("size", 124, 12), ("mtime", 136, 12), ("kind", 156, 1)]
USTAR += [("link", 157, 100), ("magic", 257, 8), ("user", 265, 32), ("group", 297, 32), ("major", 329, 8), ("minor", 337, 8)]
USTAR += [("prefix", 345, 155), ("tail", 500, 12)]
TAR_NOISE = frozenset({"mode", "uid", "gid", "mtime", "user", "group", "magic", "major", "minor", "kind"})
"""``kind`` is NUL for an old file; numbers may be spelled in other digits; a device's numbers say nothing of a file.

An extension header's own name and link are only names."""
NOISE_ROWS = frozenset({"mode", "time", "local-time", "uid", "gid", "user", "group", "dialect", "header-form", "extract-version", "create-version"})
NOISE_ROWS |= {"create-system", "internal-attributes", "dos-attributes", "device"}
NUMBERS = st.sampled_from(
    [0, 1, 2, 3, 8, 10, 20, 45, 0x10, 0x800, 0xFFFF, 0xFFFFFFFF, 0o100755 << 16, 0o100600 << 16, 0o104755 << 16, 0o120777 << 16]
)
SPELLED = st.sampled_from(
    [b"0000644", b"0000755", b"0004755", b"000600 ", b"1", b"", b"7777777", b" 755", b"\x80\0\0\0\0\0\0\1", b"00000000012", b"evil"]
)


def _heads(data: bytes) -> list[tuple[int, bytes]]:
    """Where the headers of an honest zip stand: signatures that its own records point to."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [(info.header_offset, b"PK\3\4") for info in archive.infolist()]
        at = archive.start_dir
    while data[at : at + 4] == b"PK\1\2":
        found.append((at, b"PK\1\2"))
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return [*found, (at, b"PK\5\6")]


def check(tmp_path: Path, form: str, old: bytes, new: bytes, field: str, noise: frozenset[str]) -> None:
    """Never bitwise; equal only for a field that may be noise, and then as ``canonical``, with a row that names what it is."""
    try:
        result = compared(tmp_path, form, old, new)
    except LimitError:
        return  # nothing is said of it
    level = verdict(result)
    assert level in (("canonical", "differs", "ambiguous-archive") if field in noise else ("differs", "ambiguous-archive"))
    assert result.count or result.cause is not None
    if level == "canonical":
        assert {row.field for row in result.differences} <= NOISE_ROWS


@settings(QUIET, max_examples=120)
@given(st.sampled_from(sorted(ZIPS)), st.data(), st.one_of(NUMBERS, st.integers(0, 0xFFFFFFFF)))
def test_a_field_of_a_zip_counts_unless_it_is_noise(tmp_path: Path, form: str, draw: st.DataObject, number: int) -> None:
    data = bytearray(ZIPS[form])
    head, signature = draw.draw(st.sampled_from(_heads(ZIPS[form])))
    field, at, size = draw.draw(st.sampled_from(LAYOUTS[signature]))
    data[head + at : head + at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    if bytes(data) != ZIPS[form]:
        check(tmp_path, form, ZIPS[form], bytes(data), field, ZIP_NOISE)


@settings(QUIET, max_examples=120)
@given(st.sampled_from(sorted(TARS)), st.data(), st.one_of(SPELLED, st.binary(max_size=12)), st.booleans())
def test_a_field_of_a_tar_counts_unless_it_is_noise(tmp_path: Path, which: str, draw: st.DataObject, value: bytes, summed: bool) -> None:
    plain = TARS[which]
    heads = [at for at in range(0, len(plain), 512) if has_checksum(plain[at : at + 512])]
    head = draw.draw(st.sampled_from(heads))
    field, at, size = draw.draw(st.sampled_from(USTAR))
    data = bytearray(plain)
    data[head + at : head + at + size] = value[:size].ljust(size, b"\0")
    if bytes(data) == plain:
        return
    if summed:
        data[head + 148 : head + 156] = b" " * 8
        data[head + 148 : head + 156] = b"%06o\0 " % sum(data[head : head + 512])
    noise = set(TAR_NOISE)
    if plain[head + 156 : head + 157] in (b"x", b"L"):
        noise |= {"name", "link", "prefix"}
    if b"n" * 90 in plain[head : head + 100]:
        noise.add("name")  # an extension header has it whole, and here it may be abbreviated
    if field == "size" and _size(bytes(data), head) == _size(plain, head):
        noise.add("size")  # the same number in other digits
    check(tmp_path, "tar", plain, bytes(data), field, frozenset(noise))


def _size(data: bytes, head: int) -> int | None:
    try:
        return int(tarfile.nti(data[head + 124 : head + 136]))  # type: ignore[attr-defined]
    except tarfile.TarError:
        return None


@pytest.mark.parametrize("which", TARS)
def test_another_spelling_of_a_checksum_is_noise(tmp_path: Path, which: str) -> None:
    data = bytearray(TARS[which])
    data[148:156] = data[148:154].lstrip(b"0").rjust(7, b"0") + b"\0"
    result = compared(tmp_path, "tar", TARS[which], bytes(data))
    assert (verdict(result), [row.field for row in result.differences]) == ("canonical", ["header-form"])
