"""What passes lint means the same to other readers; what the stamper touches is what another reader calls a time field."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.limits import ArchiveError
from reprove.archive.zipfiles import open_zip
from reprove.core.outcomes import Level
from tests.archive.zips import MTIME, Part, descriptor, sdist, wheel_parts, zip_bytes
from tests.compare.pairs import apply, judge

BASE = zip_bytes(
    [
        *wheel_parts(),
        Part("demo/d/", b"", mode=0o040755, method=0),
        Part("demo/streamed", b"streamed", flags=8, after=descriptor(b"streamed")),
        Part("demo/stored", b"stored", method=0),
        Part("demo/ü", b"name", flags=0x800),
    ]
)


def times(data: bytes) -> set[int]:
    """Offsets of every DOS time field, found by the standard library's reader and by walking its own central directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {info.header_offset + 10 for info in archive.infolist()}
        at = archive.start_dir
    while data[at : at + 4] == b"PK\x01\x02":
        found.add(at + 12)
        names, extras, comments = struct.unpack_from("<3H", data, at + 28)
        at += 46 + names + extras + comments
    return found


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(1, 255)), min_size=1, max_size=3))
def test_what_passes_lint_is_the_same_to_the_standard_library(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(BASE)
    for at, change in changes:
        data[at] ^= change
    path = tmp_path / "x.zip"
    path.write_bytes(bytes(data))
    try:
        with open_zip(path) as archive:
            ours = archive.zip
    except ArchiveError:
        return
    if ours.violations:
        return
    with zipfile.ZipFile(path) as theirs:
        assert [entry.name for entry in ours.entries] == theirs.namelist()
        assert [entry.mode for entry in ours.entries] == [info.external_attr >> 16 for info in theirs.infolist()]
        assert list(ours.digests) == [hashlib.sha256(theirs.read(name)).hexdigest() for name in theirs.namelist()]


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(-7200, 14400), min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=5, max_size=5), st.integers(0, 10**8))
def test_the_stamper_touches_time_fields_of_generated_members_and_nothing_else(
    tmp_path: Path, ticks: list[int], which: list[int], today: int
) -> None:
    def built(moments: list[int]) -> bytes:
        parts = wheel_parts()
        for part, moment in zip(parts, moments, strict=True):
            part.time = dos(moment) if "dist-info" in part.name else part.time
        return zip_bytes(parts)

    original, rebuilt = built([MTIME + ticks[index % len(ticks)] for index in which]), built([MTIME + 10**7 + today] * 5)
    result = judge(tmp_path, original, rebuilt, sdist())
    assert result.level is Level.TIMES_STAMPED
    assert {stamp.offset for stamp in result.stamps} <= times(rebuilt)
    assert all(".dist-info/" in stamp.member for stamp in result.stamps)
    assert apply(rebuilt, result) == original


def dos(moment: int) -> bytes:
    from datetime import UTC, datetime

    day = datetime.fromtimestamp(moment, UTC)
    return struct.pack("<HH", day.hour << 11 | day.minute << 5 | day.second // 2, (day.year - 1980) << 9 | day.month << 5 | day.day)


@pytest.mark.parametrize("tool", [["unzip", "-qq"], ["bsdtar", "-xf"], ["busybox", "unzip", "-q"]], ids=lambda tool: tool[0])
def test_what_passes_lint_is_extracted_alike_by_common_tools(tmp_path: Path, tool: list[str]) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    (tmp_path / "x.zip").write_bytes(BASE)
    (tmp_path / "out").mkdir()
    done = subprocess.run([*tool, str(tmp_path / "x.zip")], cwd=tmp_path / "out", check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    with open_zip(tmp_path / "x.zip") as archive:
        for entry, digest in zip(archive.zip.entries, archive.zip.digests, strict=True):
            if not entry.is_dir and entry.name.isascii():  # the locale decides the others' names
                assert hashlib.sha256((tmp_path / "out" / entry.name).read_bytes()).hexdigest() == digest
