"""ar archives: static libraries keep their order and their doubles; a deb has exactly its three members."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from pathlib import Path

import pytest
from backports import zstd

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.tree import Kind, Profile
from tests.archive.tars import Item, ar, ar_part, control_tar, data_tar, deb, tar
from tests.archive.trees import read

LONG = b"a-very-long-object-name.o"
TABLE = LONG + b"/\nanother-very-long-name.o/\n"
ATTACKS = {
    "a padding that is no line break": (ar(ar_part("a.o/", b"x", pad=b"\0"), ar_part("b.o/", b"y")), "padding"),
    "no padding": (ar(ar_part("a.o/", b"x", pad=b"")), "padding"),
    "a long name that no member has": (ar(ar_part("//", TABLE), ar_part("/0", b"x")), "long-name"),
    "two tables of names": (ar(ar_part("//", LONG + b"/\n"), ar_part("/0", b"x"), ar_part("//", LONG + b"/\n"), ar_part("/0", b"y")), "long-name"),
    "bytes behind a BSD name": (ar(ar_part("#1/8", b"a.o\0evilx")), "header-slack"),
    "an absolute name": (ar(ar_part("/etc/x/", b"x")), "bad-name"),
    "dots": (ar(ar_part("../x", b"x")), "bad-name"),
    "a name that is not UTF-8": (ar(ar_part(b"\xe9.o/", b"x")), "name-encoding"),
    "a name like a second member": (ar(ar_part("a#2/", b""), ar_part("a/", b""), ar_part("a/", b"")), "duplicate-name"),
}
DAMAGE = {
    "a header cut short": ar(ar_part("a.o/", b"xy"))[:-40],
    "a member that leaves": ar(ar_part("a.o/", b"xy"))[:-1],
    "bytes behind the last member": ar(ar_part("a.o/", b"xy"), b"hidden"),
    "a size that is no number": ar(ar_part("a.o/", b"xy").replace(b"2         `", b"-2        `")),
    "a time that is no number": ar(ar_part("a.o/", b"xy", time=b"now")),
    "a name outside the table": ar(ar_part("//", TABLE), ar_part("/99", b"x")),
    "a name inside another": ar(ar_part("//", TABLE), ar_part("/3", b"x")),
    "a BSD name longer than its member": ar(ar_part("#1/99", b"x")),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_readers_of_ar_do_not_agree_on_is_a_violation(tmp_path: Path, attack: str) -> None:
    data, code = ATTACKS[attack]
    assert read(tmp_path, data).codes == {code}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_ar_is_no_archive(tmp_path: Path, damage: str) -> None:
    with pytest.raises(ArchiveError):
        read(tmp_path, DAMAGE[damage])


def test_all_spellings_of_names_are_read(tmp_path: Path) -> None:
    parts = [
        ar_part("/", b"\0\0\0\0"),
        ar_part("//", TABLE),
        ar_part("/0", b"1"),
        ar_part("/27", b"22"),
        ar_part("b.o/", b"3"),
        ar_part("c.o", b"44"),
    ]
    found = read(tmp_path, ar(*parts, ar_part("#1/12", b"with space.o5")))
    assert (found.profile, found.violations) == (Profile.AR, ())
    assert found.order == ["/", LONG.decode(), "another-very-long-name.o", "b.o", "c.o", "with space.o"]
    assert found.contents["with space.o"] == b"5"
    assert found.ordered == {""}


def test_a_library_may_hold_a_name_twice_in_order(tmp_path: Path) -> None:
    found = read(tmp_path, ar(ar_part("a.o/", b"1"), ar_part("a.o/", b"2"), ar_part("a.o/", b"3")))
    assert (found.order, found.violations) == (["a.o", "a.o#2", "a.o#3"], ())
    assert [found.contents[path] for path in found.order] == [b"1", b"2", b"3"]


def test_dates_owners_and_modes_of_ar_are_noise(tmp_path: Path) -> None:
    one, other = read(tmp_path, ar(ar_part("a.o/", b"x"))), read(tmp_path, ar(ar_part("a.o/", b"x", time=b"0", uid=b"1000", mode=b"100600")))
    assert one.canonical == other.canonical
    assert one.told != other.told
    assert (one.value("a.o", "time"), other.value("a.o", "uid")) == ("2024-01-02 03:04:04", "1000")


def test_limits_of_ar(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        read(tmp_path, ar(*(ar_part(f"{n}/", b"") for n in range(20))), "", Limits(entries=10))
    with pytest.raises(LimitError):
        read(tmp_path, ar(ar_part("#1/2000", b"n" * 2000)))
    with pytest.raises(LimitError):
        read(tmp_path, ar(ar_part("//", b"n" * 2000 + b"/\n"), ar_part("/0", b"")))


DEBS = {
    "xz": deb(),
    "gzip and zstd": ar(
        ar_part("debian-binary", b"2.0\n"),
        ar_part("control.tar.gz", gzip.compress(control_tar(), mtime=0)),
        ar_part("data.tar.zst", zstd.compress(data_tar())),
    ),
    "plain and bzip2": ar(
        ar_part("debian-binary", b"2.0\n"), ar_part("control.tar", control_tar()), ar_part("data.tar.bz2", bz2.compress(data_tar()))
    ),
}


@pytest.mark.parametrize("form", DEBS)
def test_a_deb_is_one_tree_whatever_compresses_it(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, DEBS[form])
    assert (found.profile, found.violations) == (Profile.DEB, ())
    inner = ["data.tar", "data.tar!/.", "data.tar!/usr", "data.tar!/usr/x"]
    assert found.order == ["debian-binary", "control.tar", "control.tar!/.", "control.tar!/control", *inner]
    assert found.members["data.tar"].kind is Kind.CONTAINER
    assert found.canonical == read(tmp_path, DEBS["xz"]).canonical
    assert found.contents == {"debian-binary": b"2.0\n", "control.tar!/control": b"Package: demo\nVersion: 1\n", "data.tar!/usr/x": b"content"}
    assert found.md5 == {
        "control.tar!/control": hashlib.md5(b"Package: demo\nVersion: 1\n").hexdigest(),
        "data.tar!/usr/x": hashlib.md5(b"content").hexdigest(),
    }
    assert found.ordered == {""}


LAYOUTS = {
    "an extra member": deb(after=[ar_part("evil", b"x")]),
    "a member that dpkg ignores": deb(after=[ar_part("_gpgorigin", b"x")]),
    "a member before control": deb(before=[ar_part("_x", b"x")]),
    "a second data": deb(after=[ar_part("data.tar.gz", gzip.compress(data_tar()))]),
    "data before control": deb(before=[ar_part("data.tar.gz", gzip.compress(data_tar()))]),
    "another format": deb(version=b"2.1\n"),
    "more lines of format": deb(version=b"2.0\nx\n"),
    "nothing": ar(),
    "no data": ar(ar_part("debian-binary", b"2.0\n"), ar_part("control.tar", control_tar())),
    "an unknown compression": deb(before=[ar_part("control.tar.lz4", b"x")]),
    "a name that dpkg does not read": ar(
        ar_part("#1/13", b"debian-binary2.0\n"), ar_part("control.tar", control_tar()), ar_part("data.tar", data_tar())
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_deb_of_another_layout_is_a_violation(tmp_path: Path, layout: str) -> None:
    assert "layout" in read(tmp_path, LAYOUTS[layout], "x.deb").codes


def test_owners_and_modes_are_data_in_a_deb(tmp_path: Path) -> None:
    base = read(tmp_path, deb())
    for item in (
        Item("./usr/x", b"content", mode=0o775),
        Item("./usr/x", b"content", mode=0o755, uid=1),
        Item("./usr/x", b"content", mode=0o755, user=b"a"),
    ):
        assert read(tmp_path, deb(data=data_tar(item))).canonical != base.canonical
    later = read(tmp_path, deb(data=data_tar(Item("./usr/x", b"content", mode=0o755, time=9))))
    assert later.canonical == base.canonical
    folder = read(tmp_path, deb(data=tar(Item("./usr/x", b"content", mode=0o755))))
    assert folder.canonical != base.canonical


def test_violations_inside_a_deb_name_the_member(tmp_path: Path) -> None:
    twice = data_tar(Item("./usr/x", b"1"), Item("./usr/x", b"2"))
    assert [violation.path for violation in read(tmp_path, deb(data=twice)).violations] == ["data.tar!/usr/x"]
    two = ar(ar_part("debian-binary", b"2.0\n"), ar_part("control.tar.xz", lzma.compress(control_tar()) * 2), ar_part("data.tar", data_tar()))
    assert [(violation.path, violation.code.value) for violation in read(tmp_path, two).violations] == [("control.tar", "more-streams")]


@pytest.mark.parametrize("data", [b"", b"no tar", bytes(100)])
def test_a_deb_whose_tar_is_none_is_no_archive_or_cut(tmp_path: Path, data: bytes) -> None:
    try:
        found = read(tmp_path, deb(data=data))
    except ArchiveError:
        return
    assert "truncated" in found.codes


def test_a_deb_that_lies_about_compression_is_no_archive(tmp_path: Path) -> None:
    lie = ar(ar_part("debian-binary", b"2.0\n"), ar_part("control.tar", gzip.compress(control_tar())), ar_part("data.tar", data_tar()))
    with pytest.raises(ArchiveError, match="compressed"):
        read(tmp_path, lie)
