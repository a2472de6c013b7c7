"""Source archives are listed with digests, and refused whole when anything in them leaves their tree."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.limits import ArchiveError, LimitError, Limits, UnsafeSourceError
from reprove.archive.sources import Kind, read_source
from tests.archive.zips import MTIME, Part, sdist, zip_bytes


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(data)
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, **pax: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size, made.pax_headers = kind, link, size, pax
    return made


def test_members_have_paths_digests_modes_and_times(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, sdist({"demo/__init__.py": b"x = 1\n"})), wanted=lambda inner: inner == "demo/__init__.py")
    (member,) = source.members
    assert (source.top, source.format, member.inner, member.mode, member.mtime) == ("demo-1.0", "tar.gz", "demo/__init__.py", 0o644, MTIME)
    assert member.sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
    assert source.kept == {"demo/__init__.py": b"x = 1\n"}


@pytest.mark.parametrize("mode", ["w", "w:bz2", "w:xz"])
def test_every_common_compression_is_read(tmp_path: Path, mode: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(info("demo-1.0/a", size=1), io.BytesIO(b"a"))
    assert [member.path for member in read_source(write(tmp_path, out.getvalue())).members] == ["demo-1.0/a"]


def test_a_zip_is_read_too(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, zip_bytes([Part("demo-1.0/", b"", mode=0o040755), Part("demo-1.0/setup.py", b"s")])))
    assert [(member.path, member.kind) for member in source.members] == [("demo-1.0", Kind.FOLDER), ("demo-1.0/setup.py", Kind.FILE)]
    assert source.members[1].mtime == MTIME


def test_a_hard_link_has_its_targets_digest(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, sdist({"a": b"a"}, extra=[(info("demo-1.0/b", tarfile.LNKTYPE, "demo-1.0/a"), b"")])))
    assert source.members[1].sha256 == source.members[0].sha256


UNSAFE = {
    "a name that leaves": info("demo-1.0/../../evil"),
    "an absolute name": info("/etc/passwd"),
    "a backslash": info("demo-1.0\\evil"),
    "a link that leaves": info("demo-1.0/l", tarfile.SYMTYPE, "../../etc/passwd"),
    "a link to the folder above": info("demo-1.0/l", tarfile.SYMTYPE, ".."),
    "an absolute link": info("demo-1.0/l", tarfile.SYMTYPE, "/etc/passwd"),
    "a link to nothing": info("demo-1.0/l", tarfile.SYMTYPE, ""),
    "a hard link out": info("demo-1.0/l", tarfile.LNKTYPE, "../etc/passwd"),
    "a hard link to nothing": info("demo-1.0/l", tarfile.LNKTYPE, "demo-1.0/none"),
    "a device": info("demo-1.0/d", tarfile.CHRTYPE),
    "a fifo": info("demo-1.0/d", tarfile.FIFOTYPE),
    "a sparse file": info("demo-1.0/d", tarfile.GNUTYPE_SPARSE),
    "a name of the pax header": info("demo-1.0/x", path="demo-1.0/../../evil"),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_a_source_that_leaves_its_tree_is_refused_whole(tmp_path: Path, what: str) -> None:
    with pytest.raises((UnsafeSourceError, ArchiveError)) as caught:
        read_source(write(tmp_path, sdist(extra=[(UNSAFE[what], b"")])))
    assert isinstance(caught.value, UnsafeSourceError) or what == "a sparse file"


def test_a_member_below_a_link_is_refused(tmp_path: Path) -> None:
    extra = [(info("demo-1.0/l", tarfile.SYMTYPE, "demo"), b""), (info("demo-1.0/l/x"), b"")]
    with pytest.raises(UnsafeSourceError, match="below a symbolic link"):
        read_source(write(tmp_path, sdist(extra=extra)))


def test_a_link_inside_the_tree_is_fine(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, sdist({"a": b""}, extra=[(info("demo-1.0/d/l", tarfile.SYMTYPE, "../a"), b"")])))
    assert source.members[1].target == "../a"


def test_a_zip_source_that_is_ambiguous_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeSourceError, match="duplicate-name"):
        read_source(write(tmp_path, zip_bytes([Part("d/a", b"1"), Part("d/a", b"2")])))


def test_a_symbolic_link_in_a_zip_source_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("demo-1.0/l")
        link.external_attr = 0o120777 << 16
        link.create_system = 3
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeSourceError, match="symlink"):
        read_source(write(tmp_path, out.getvalue()))


def test_bombs_are_limits(tmp_path: Path) -> None:
    bomb = sdist({"zeros": bytes(3 * 1024**2)})
    with pytest.raises(LimitError):
        read_source(write(tmp_path, bomb), limits=Limits(ratio_free=1024**2, ratio=10))
    with pytest.raises(LimitError):
        read_source(write(tmp_path, sdist({str(n): b"" for n in range(20)})), limits=Limits(entries=10))


def test_a_huge_pax_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    header = info("demo-1.0/x").tobuf(tarfile.PAX_FORMAT)
    huge = info("./PaxHeader", tarfile.XHDTYPE, size=2**30).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(ArchiveError, match="asks for"):
        read_source(write(tmp_path, gzip.compress(huge + bytes(4096) + header)))


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x1f\x8b", gzip.compress(b"not a tar"), b"PK\x03\x04", b"BZh9", b"\xfd7zXZ\x00", sdist()[:-20], sdist()[:60]]
)
def test_what_is_no_archive_is_one_plain_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_source(write(tmp_path, data))


PLAIN = gzip.decompress(sdist({"a": b"a" * 700, "b": b"b"}, extra=[(info("demo-1.0/" + "n" * 150), b"")]))


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(0, 255))
def test_any_damage_is_read_or_refused_but_never_crashes(tmp_path: Path, at: int, value: int) -> None:
    data = bytearray(PLAIN)
    data[at] = value
    for variant in (bytes(data), bytes(data[:at])):
        with suppress(ArchiveError):
            read_source(write(tmp_path, variant))
