"""What makes a tar mean two things, or hides bytes, is a violation; what only packers choose is noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.tree import Kind, Profile
from tests.archive.tars import END, GNU, V7, Item, folder, long_name, packed, pax, record, tar
from tests.archive.trees import read

A = Item("top/a", b"content")
LONG = "top/" + "n" * 120
HOLE = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "top/s"), ("GNU.sparse.realsize", "2000"))

ATTACKS: dict[str, tuple[bytes, str]] = {
    "a second archive behind the end": (tar(A) + tar(Item("top/evil", b"x")), "suffix"),
    "text behind the end": (tar(A) + b"#!/bin/sh".ljust(512, b"\0"), "suffix"),
    "bytes behind a lone zero block": (tar(A, bytes(512), Item("top/b"), end=END), "suffix"),
    "no end blocks": (tar(A, end=b""), "truncated"),
    "one end block": (tar(A, end=bytes(512)), "truncated"),
    "an end inside a block": (tar(A, end=END + bytes(7)), "truncated"),
    "content cut short": (tar(Item("top/a", b"x" * 700), end=b"")[:1100], "truncated"),
    "long content cut short": (tar(Item("top/a", b"x" * 600_000), end=b"")[:400_000], "truncated"),
    "padding cut short": (tar(A, end=b"")[:600], "truncated"),
    "a header cut short": (tar(A, end=b"") + Item("top/b").header()[:100], "truncated"),
    "a size beyond the archive": (tar(Item("top/a", b"x", size=10_000)), "truncated"),
    "the same name twice": (tar(A, Item("top/a", b"other")), "duplicate-name"),
    "the same name with and without a dot": (tar(A, Item("./top/a", b"other")), "duplicate-name"),
    "the same folder twice": (tar(folder("top/"), folder("top")), "duplicate-name"),
    "an absolute name": (tar(Item("/etc/passwd", b"x")), "bad-name"),
    "a name with dots": (tar(Item("top/../../x", b"x")), "bad-name"),
    "a dot inside": (tar(Item("top/./x", b"x")), "bad-name"),
    "an empty part": (tar(Item("top//x", b"x")), "bad-name"),
    "an empty name": (tar(Item("", b"x")), "bad-name"),
    "a backslash": (tar(Item("top\\x", b"x")), "bad-name"),
    "a control character": (tar(Item("top/x\x07", b"x")), "bad-name"),
    "a name that is not UTF-8": (tar(Item(b"top/\xe9", b"x")), "name-encoding"),
    "a name below a file": (tar(A, Item("top/a/b", b"x")), "name-under-file"),
    "a name below a link": (tar(Item("top/l", kind=b"2", link="/etc"), Item("top/l/passwd", b"x")), "name-under-file"),
    "a name below a link that comes later": (tar(Item("top/l/x/y", b"x"), Item("top/l", kind=b"2", link="/etc")), "name-under-file"),
    "a wrong checksum": (tar(A, Item("top/b", checksum=b"000001\0 ")), "checksum"),
    "a signed checksum": (tar(A, Item(b"top/\xc3\xa9", b"x", checksum=b"%06o\0 " % (sum(Item(b"top/\xc3\xa9", b"x").header()) - 512))), "checksum"),
    "bytes behind a name's end": (tar(Item(b"top/a\0hidden", b"x")), "header-slack"),
    "bytes behind a user's end": (tar(Item("top/a", user=b"root\0x")), "header-slack"),
    "bytes in a header's tail": (tar(Item("top/a", tail=b"hidden")), "header-slack"),
    "bytes behind an old header": (tar(Item("top/a", magic=V7, tail=b"hidden")), "header-slack"),
    "bytes where GNU has no prefix": (tar(Item("top/a", magic=GNU, prefix=b"evil")), "header-slack"),
    "an unknown magic": (tar(Item("top/a", magic=b"ustar\0  ")), "header-slack"),
    "a link target on a file": (tar(Item("top/a", b"x", link="evil")), "header-slack"),
    "a pax link target on a file": (tar(pax(("linkpath", LONG)), Item("top/a", b"x")), "header-slack"),
    "a link target on a pax header": (tar(Item("x", record("path", "top/a"), kind=b"x", link="hidden"), A), "header-slack"),
    "bytes in the padding of content": (tar(Item("top/a", b"x", padding=b"\0" * 500 + b"h" * 11)), "padding"),
    "bytes in the padding of a pax header": (tar(Item("x", record("path", "top/a"), kind=b"x", padding=b"h" * 498), A), "padding"),
    "a number with a sign": (tar(Item("top/a", uid=b"-1")), "malformed-number"),
    "a number of digits 8 and 9": (tar(Item("top/a", mode=b"0000899")), "malformed-number"),
    "a number with bytes behind it": (tar(Item("top/a", gid=b"0\0hidden")), "malformed-number"),
    "blanks for a number": (tar(Item("top/a", time=b" " * 12)), "malformed-number"),
    "a number beyond any reader": (tar(Item("top/a", time=b"\x80" + b"\xff" * 11)), "malformed-number"),
    "a file without a size": (tar(Item("top/a", size=b"")), "malformed-number"),
    "a size that is no number": (tar(A, Item("top/b", size=b"evil")), "size-differs"),
    "a folder with a size": (tar(Item("top/d/", kind=b"5", size=512), bytes(512)), "size-differs"),
    "a link with a size": (tar(Item("top/l", kind=b"2", link="a", size=3)), "size-differs"),
    "a hard link with a size": (tar(A, Item("top/l", kind=b"1", link="top/a", size=7)), "size-differs"),
    "a hard link to nothing": (tar(Item("top/l", kind=b"1", link="top/a"), A), "hard-link"),
    "a hard link that leaves": (tar(A, Item("top/l", kind=b"1", link="/etc/passwd")), "hard-link"),
    "a hard link to a folder": (tar(folder("top/d/"), Item("top/l", kind=b"1", link="top/d")), "hard-link"),
    "a link to nowhere": (tar(Item("top/l", kind=b"2", link="")), "bad-name"),
    "an unknown type": (tar(Item("top/a", b"x", kind=b"7")), "kind-differs"),
    "a volume label": (tar(Item("label", kind=b"V"), A), "kind-differs"),
    "a file named like a folder": (tar(Item("top/a/", b"x")), "kind-differs"),
    "an old file cut to a folder's name": (tar(pax(("path", "top/" + "d/" * 60 + "x")), Item("top/d/d/", b"x", kind=b"\0")), "kind-differs"),
    "an old folder cut to a file's name": (tar(pax(("path", "top/" + "d/" * 60)), Item("top/d", kind=b"\0")), "kind-differs"),
    "an old folder with content": (tar(Item("top/a/", b"x", kind=b"\0", magic=V7)), "kind-differs"),
    "a pax path that a header could hold": (tar(pax(("path", "top/evil")), Item("top/good", b"x")), "pax"),
    "a long pax path unlike the header": (tar(pax(("path", LONG)), Item("top/good", b"x")), "pax"),
    "a pax target that a header could hold": (tar(pax(("linkpath", "evil")), Item("top/l", kind=b"2", link="good")), "pax"),
    "a pax size unlike the header": (tar(pax(("size", "3")), Item("top/a", b"x" * 7)), "size-differs"),
    "a pax owner unlike the header": (tar(pax(("uid", "1")), Item("top/a")), "pax"),
    "a pax user unlike the header": (tar(pax(("uname", "evil")), Item("top/a")), "pax"),
    "a pax key twice": (tar(pax(("path", "top/a"), ("path", "top/a")), A), "pax"),
    "a line break in a pax value": (tar(pax(("x.note", "a\n20 path=top/evil")), A), "pax"),
    "a pax record that is too long": (tar(pax(payload=b"99 path=top/a\n"), A), "pax"),
    "a pax record that is too short": (tar(pax(payload=b"10 path=top/a\n"), A), "pax"),
    "a pax length with a zero": (tar(pax(payload=b"015 path=top/a\n"), A), "pax"),
    "a pax record without a key": (tar(pax(payload=b"6 =ab\n"), A), "pax"),
    "a pax record without a value": (tar(pax(payload=b"7 path\n"), A), "pax"),
    "zeros behind pax records": (tar(pax(payload=record("path", "top/a") + bytes(9)), A), "pax"),
    "an empty pax path": (tar(pax(("path", "")), A), "pax"),
    "a NUL in a pax path": (tar(pax(("path", "top/a\0b")), A), "pax"),
    "a pax time that is none": (tar(pax(("mtime", "now")), A), "pax"),
    "an unknown pax character set": (tar(pax(("hdrcharset", "EBCDIC")), A), "pax"),
    "two pax headers for one member": (tar(pax(("atime", "1")), pax(("ctime", "1")), A), "pax"),
    "a pax header without its member": (tar(A, pax(("path", "top/b"))), "pax"),
    "a global path": (tar(pax(("path", "top/evil"), kind=b"g"), A), "pax"),
    "two global headers": (tar(pax(("comment", "a"), kind=b"g"), pax(("comment", "b"), kind=b"g"), A), "pax"),
    "a global header inside a member's": (tar(pax(("mtime", "1")), pax(("comment", "b"), kind=b"g"), A), "pax"),
    "pax and GNU names that disagree": (tar(long_name(LONG), pax(("path", LONG + "x")), Item(LONG[:100], b"x")), "pax"),
    "a GNU name unlike the header": (tar(long_name(LONG), Item("top/good", b"x", magic=GNU)), "long-name"),
    "a GNU name that a header could hold": (tar(long_name("top/evil"), Item("top/good", b"x", magic=GNU)), "long-name"),
    "two GNU names": (tar(long_name(LONG), long_name(LONG), Item(LONG[:100], b"x", magic=GNU)), "long-name"),
    "a GNU name with a NUL in it": (tar(long_name(LONG + "\0evil"), Item(LONG[:100], b"x", magic=GNU)), "long-name"),
    "one attribute in two spellings": (tar(pax(("SCHILY.xattr.user.x", "a"), ("LIBARCHIVE.xattr.user.x", "Yg==")), A), "xattr"),
    "a sparse map that leaves the file": (tar(HOLE, Item("GNUSparseFile.0/s", b"1\n1990\n20\n".ljust(512, b"\0") + b"x" * 20)), "sparse"),
    "a sparse map of another size": (tar(HOLE, Item("GNUSparseFile.0/s", b"2\n0\n3\n2000\n0\n".ljust(512, b"\0") + b"x" * 20)), "size-differs"),
    "bytes behind a sparse map": (tar(A, HOLE, Item("GNUSparseFile.0/s", b"2\n0\n3\n2000\n0\n".ljust(500, b"\0") + b"h" * 12 + b"x" * 3)), "sparse"),
    "a sparse file of two names": (tar(HOLE, Item("top/good", b"2\n0\n3\n2000\n0\n".ljust(512, b"\0") + b"xyz")), "pax"),
    "a sparse file of three names": (
        tar(HOLE, long_name(LONG), Item("GNUSparseFile.0/s", b"2\n0\n3\n2000\n0\n".ljust(512, b"\0") + b"xyz")),
        "pax",
    ),
    "a sparse file in two formats": (
        tar(pax(("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.offset", "0")), Item("top/s", b"x")),
        "sparse",
    ),
    "an old sparse file with records": (tar(HOLE, Item("top/s", kind=b"S", magic=GNU, tail=bytes(9), prefix=bytes(138) + b"%011o\0" % 9)), "sparse"),
    "a sparse file of the old kind": (tar(HOLE, Item("GNUSparseFile.0/s", b"1\n0\n3\n".ljust(512, b"\0") + b"xyz", kind=b"\0")), "sparse"),
    "sparse records without a map": (tar(A, pax(("GNU.sparse.name", "top/s")), Item("top/s", b"x")), "sparse"),
    "an unknown sparse version": (tar(A, pax(("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0")), Item("top/s", b"x")), "sparse"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_readers_do_not_agree_on_is_a_violation(tmp_path: Path, attack: str) -> None:
    data, code = ATTACKS[attack]
    found = read(tmp_path, data, "x.tar")
    assert code in found.codes, found.violations
    assert all(0 <= violation.offset <= len(data) for violation in found.violations)
    assert code in read(tmp_path, packed(data)).codes


def _hole(top: str) -> tuple[Item, Item]:
    named = ("GNU.sparse.name", f"{top}/s")
    about = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), named, ("GNU.sparse.realsize", "2000"))
    return about, Item("GNUSparseFile.0/s", b"2\n0\n3\n2000\n0\n".ljust(512, b"\0") + b"xyz")


STRICT: dict[str, tuple[Callable[[str], tuple[Item, ...]], str]] = {
    "names that differ in case": (lambda top: (Item(f"{top}/a"), Item(f"{top}/A")), "folded-name"),
    "names that differ in Unicode form": (lambda top: (Item(f"{top}/\u00e9"), Item(f"{top}/e\u0301")), "folded-name"),
    "a set-user-id bit": (lambda top: (Item(f"{top}/a", mode=0o4755),), "set-id"),
    "a sticky folder": (lambda top: (folder(f"{top}/d/", mode=0o1777),), "set-id"),
    "a device": (lambda top: (Item(f"{top}/null", kind=b"3", major=1, minor=3),), "special-file"),
    "a pipe": (lambda top: (Item(f"{top}/pipe", kind=b"6"),), "special-file"),
    "a capability": (lambda top: (pax(("SCHILY.xattr.security.capability", b"\1\0\0\2")), Item(f"{top}/a")), "xattr"),
    "an access list": (lambda top: (pax(("SCHILY.acl.access", "user::rwx")), Item(f"{top}/a")), "xattr"),
    "a sparse file": (_hole, "sparse"),
}
PACKAGES = {Profile.SDIST: ("top", "PKG-INFO", ""), Profile.NPM: ("package", "package.json", ""), Profile.CRATE: ("top", "x", "top-1.crate")}


@pytest.mark.parametrize("what", STRICT)
@pytest.mark.parametrize("profile", PACKAGES)
def test_what_packages_never_have_is_structural_in_them_and_data_in_a_plain_tar(tmp_path: Path, what: str, profile: Profile) -> None:
    items, code = STRICT[what]
    top, marker, name = PACKAGES[profile]
    package = read(tmp_path, packed(tar(Item(f"{top}/{marker}", b"{}"), *items(top))), name)
    assert (package.profile, package.codes) == (profile, {code})
    plain = read(tmp_path, packed(tar(*items(top))))
    assert (plain.profile, plain.codes) == (Profile.TAR, set())


NOISE = {
    "time": tar(Item("top/a", b"x", time=1)),
    "owners": tar(Item("top/a", b"x", uid=1000, gid=1000, user=b"u", group=b"g")),
    "umask": tar(Item("top/a", b"x", mode=0o664)),
    "the old format": tar(Item("top/a", b"x", magic=V7)),
    "the GNU format": tar(Item("top/a", b"x", magic=GNU)),
    "an old kind of file": tar(Item("top/a", b"x", kind=b"\0")),
    "a leading dot": tar(Item("./top/a", b"x")),
    "a longer end": tar(Item("top/a", b"x"), end=bytes(10240)),
    "another spelling of numbers": tar(Item("top/a", b"x", mode=b"   644 ", uid=b"\x80\0\0\0\0\0\0\0", major=b"")),
    "a prefix": tar(Item("a", b"x", prefix=b"top")),
    "pax times": tar(pax(("mtime", "1704164644.5"), ("atime", "1"), ("ctime", "-1.25")), Item("top/a", b"x")),
    "a pax name that agrees": tar(pax(("path", "top/a")), Item("top/a", b"x")),
    "a GNU name that agrees": tar(long_name("top/a"), Item("top/a", b"x", magic=GNU)),
    "a commit id": tar(pax(("comment", "0" * 40), kind=b"g"), Item("top/a", b"x")),
    "an entry for the root": tar(folder("./"), Item("top/a", b"x")),
    "base 256": tar(Item("top/a", b"x", uid=b"\x80" + (3_000_000).to_bytes(7, "big"), time=b"\xff" * 12)),
}


@pytest.mark.parametrize("choice", NOISE)
def test_what_a_packer_chooses_is_noise(tmp_path: Path, choice: str) -> None:
    base, other = read(tmp_path, tar(Item("top/a", b"x")), "x.tar"), read(tmp_path, NOISE[choice], "x.tar")
    assert other.violations == ()
    assert other.canonical == base.canonical
    assert other.told != base.told


DATA = {
    "an x bit": tar(Item("top/a", b"x", mode=0o755)),
    "a set-id bit": tar(Item("top/a", b"x", mode=0o2644)),
    "content": tar(Item("top/a", b"y")),
    "a name": tar(Item("top/b", b"x")),
    "an attribute": tar(pax(("SCHILY.xattr.user.x", "v")), Item("top/a", b"x")),
    "a base64 attribute": tar(pax(("LIBARCHIVE.xattr.user.x", "dg==")), Item("top/a", b"x")),
    "an access list": tar(pax(("SCHILY.acl.access", "user::rwx")), Item("top/a", b"x")),
    "a flag": tar(pax(("SCHILY.fflags", "schg")), Item("top/a", b"x")),
    "an unknown pax key": tar(pax(("x.y", "z")), Item("top/a", b"x")),
    "a member's comment": tar(pax(("comment", "z")), Item("top/a", b"x")),
    "a link": tar(Item("top/a", kind=b"2", link="x")),
    "a root with a set-id bit": tar(Item("./", kind=b"5", mode=0o2755), Item("top/a", b"x")),
}


@pytest.mark.parametrize("what", DATA)
def test_what_an_extractor_acts_on_is_data(tmp_path: Path, what: str) -> None:
    base, other = read(tmp_path, tar(Item("top/a", b"x")), "x.tar"), read(tmp_path, DATA[what], "x.tar")
    assert other.violations == ()
    assert other.canonical != base.canonical


def test_a_plain_folder_counts_for_nothing_but_being_there(tmp_path: Path) -> None:
    found = read(tmp_path, tar(folder("top/"), folder("top/s", mode=0o2775), A), "x.tar")
    assert found.data("top") == {"executable": "yes"}
    assert found.data("top/s") == {"executable": "yes", "set-id": "2000"}


def test_both_spellings_of_an_attribute_are_one(tmp_path: Path) -> None:
    one = read(tmp_path, tar(pax(("SCHILY.xattr.user.x", "v")), A), "x.tar")
    both = read(tmp_path, tar(pax(("LIBARCHIVE.xattr.user.x", "dg"), ("SCHILY.xattr.user.x", "v")), A), "x.tar")
    assert (both.violations, both.canonical) == ((), one.canonical)


def test_a_hard_link_and_a_copy_differ(tmp_path: Path) -> None:
    link = read(tmp_path, tar(A, Item("top/b", kind=b"1", link="./top/a")), "x.tar")
    copy = read(tmp_path, tar(A, Item("top/b", b"content")), "x.tar")
    assert link.members["top/b"].kind is Kind.HARDLINK
    assert link.value("top/b", "target") == "top/a"
    assert (link.violations, copy.violations) == ((), ())
    assert link.canonical != copy.canonical


def _sparse_items() -> dict[str, bytes]:
    stored = b"abc" + b"z" * 7
    first = b"%011o\0%011o\0" % (0, 3) + b"%011o\0%011o\0" % (1000, 7) + b"%011o\0%011o\0" % (2000, 0)
    area = bytes(41) + first.ljust(97, b"\0") + b"%011o\0" % 2000
    old = Item("top/s", stored, kind=b"S", magic=GNU, prefix=area[:155], tail=area[155:])
    offsets = [
        pair for start, size in ((0, 3), (1000, 7), (2000, 0)) for pair in (("GNU.sparse.offset", str(start)), ("GNU.sparse.numbytes", str(size)))
    ]
    mapped = ("GNU.sparse.map", "0,3,1000,7,2000,0")
    about = (("GNU.sparse.size", "2000"), ("GNU.sparse.numblocks", "3"))
    text = b"3\n0\n3\n1000\n7\n2000\n0\n".ljust(512, b"\0")
    return {
        "old GNU": tar(old),
        "pax 0.0": tar(pax(*about, *offsets), Item("top/s", stored)),
        "pax 0.1": tar(pax(*about, ("GNU.sparse.name", "top/s"), mapped), Item("GNUSparseFile.1/s", stored)),
        "pax 1.0": tar(HOLE, Item("GNUSparseFile.1/s", text + stored)),
    }


@pytest.mark.parametrize("form", _sparse_items())
def test_a_sparse_file_has_its_whole_content_and_differs_from_a_dense_one(tmp_path: Path, form: str) -> None:
    whole = b"abc" + bytes(997) + b"z" * 7 + bytes(993)
    sparse = read(tmp_path, _sparse_items()[form], "x.tar")
    dense = read(tmp_path, tar(Item("top/s", whole)), "x.tar")
    assert sparse.violations == ()
    assert sparse.contents["top/s"] == whole
    assert sparse.members["top/s"].sha256 == dense.members["top/s"].sha256
    assert sparse.members["top/s"].size == 2000
    assert sparse.value("top/s", "sparse") == "0+3,1000+7,2000+0 of 2000"
    assert sparse.canonical != dense.canonical
    packed_one = read(tmp_path, packed(_sparse_items()[form]))
    assert packed_one.contents["top/s"] == whole


def test_a_deb_keeps_what_only_other_systems_trip_over(tmp_path: Path) -> None:
    from tests.archive.tars import data_tar, deb

    items = (Item("./usr/a\\x2d", b"x"), Item("./usr/A\\x2d", b"x", mode=0o4755))
    found = read(tmp_path, deb(data=data_tar(*items)))
    assert found.violations == ()
    assert found.data("data.tar!/usr/A\\x2d")["mode"] == "104755"


def test_limits_end_a_reading(tmp_path: Path) -> None:
    many = tar(*(Item(f"top/{n}") for n in range(20)))
    with pytest.raises(LimitError, match="members"):
        read(tmp_path, many, "x.tar", Limits(entries=10))
    with pytest.raises(LimitError, match="beyond the limit"):
        read(tmp_path, tar(pax(("x.y", "z" * 5000)), A), "x.tar", Limits(header=4096))
    wordy = tar(*(item for n in range(9) for item in (pax(("x.y", "z" * 99)), Item(f"top/{n}"))))
    for limits in (Limits(directory=900), Limits(records=8)):
        with pytest.raises(LimitError, match="extension headers"):
            read(tmp_path, wordy, "x.tar", limits)
    with pytest.raises(LimitError, match="beyond the limit"):
        read(tmp_path, bytes(1000), "", Limits(archive=999))
    wide = pax(("GNU.sparse.map", "0,0"), ("GNU.sparse.size", str(10**12)), ("GNU.sparse.numblocks", "1"))
    with pytest.raises(LimitError, match="sparse"):
        read(tmp_path, tar(wide, Item("top/s")), "x.tar")


def test_bytes_that_only_call_themselves_a_tar_are_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="checksum"):
        read(tmp_path, tar(Item("top/a", checksum=b"000001\0 ")), "x.tar")


def test_fields_tell_what_headers_say(tmp_path: Path) -> None:
    found = read(tmp_path, tar(Item("top/a", b"x", uid=7, user=b"me"), Item("top/null", kind=b"3", major=1, minor=3)), "x.tar")
    row = {name: found.value("top/a", name) for name in ("mode", "executable", "time", "uid", "user", "dialect", "sparse")}
    assert row == {"mode": "100644", "executable": "no", "time": "2024-01-02 03:04:04", "uid": 7, "user": "me", "dialect": "ustar", "sparse": "no"}
    assert found.value("top/null", "device") == "1:3"
    assert found.fields["padding"].value == 1024
    assert found.value("top/a", "header-form") != read(tmp_path, tar(Item("./top/a", b"x", uid=7, user=b"me")), "x.tar").value("top/a", "header-form")


@pytest.mark.parametrize(("short", "hidden"), [(b"top/" + b"\xff" * 90, True), (b"top/" + b"?" * 90, True), (b"top/" + b"a" * 95, False)])
def test_a_cut_name_holds_no_bytes_that_the_long_one_has_no_place_for(short: bytes, hidden: bool) -> None:
    from reprove.archive.tarentry import _abbreviates

    assert _abbreviates(short, b"top/" + b"a" * 120) is not hidden
    assert _abbreviates(b"top/caf?", "top/caf\u00e9".encode())
    assert _abbreviates(b"top/caf\xe9", "top/caf\u00e9".encode())
