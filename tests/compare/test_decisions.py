"""The twelve decisions of docs/comparison.md, each with real artifacts of the formats that it is about."""

from __future__ import annotations

import ast
import bz2
import gzip
import lzma
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from reprove.compare.result import Comparison
from reprove.core.outcomes import Finding, Level, Outcome
from tests.archive import tars
from tests.archive.tars import GNU, Item, ar_part, data_tar, folder, long_name, packed, pax, record, tar
from tests.archive.zips import LATER, Part, descriptor, wheel_parts, zip_bytes
from tests.compare import pairs
from tests.compare.stories import (
    Story,
    changed,
    compared,
    deb,
    gem,
    honest,
    jar_digest,
    jar_parts,
    judge,
    library,
    md5_row,
    md5sums_tar,
    of_items,
    sdist_items,
    tar_items,
    verdict,
    with_item,
    zip_parts,
)

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
CANONICAL, NORMALIZED, DIFFERS, AMBIGUOUS = "canonical", "normalized", "differs", "ambiguous-archive"


def tell(folder_: Path, stories: dict[str, Story]) -> None:
    """Each story ends as it says, whichever side comes first."""
    for turned in (False, True):
        found = {name: judge(folder_, story, turned=turned) for name, story in stories.items()}
        assert [f"{name}: {found[name]}" for name, story in stories.items() if found[name] != story.verdict] == []


def codes(result: Comparison) -> set[Finding]:
    return {row.code for row in result.findings}


ZIPS = ("wheel", "jar", "zip")


def zip_story(form: str, verdict_: str, **fields: object) -> Story:
    """An honest zip, and the same with fields of its last member but one set."""
    parts = {"wheel": wheel_parts, "jar": jar_parts, "zip": zip_parts}[form]()
    return Story(form, zip_bytes(parts), zip_bytes(changed(parts, 1, **fields)), verdict_)


def test_equal_bytes_are_bitwise_and_what_is_odd_is_still_found(tmp_path: Path) -> None:
    plain = {form: honest(form) for form in ("wheel", "jar", "zip", "sdist", "npm", "crate", "gem", "deb", "tar", "ar", "gz")}
    for form, data in plain.items():
        result = compared(tmp_path, form, data, data)
        assert (verdict(result), result.findings, result.count) == ("bitwise", (), 0)
    odd = {
        "a member that no directory lists": ("wheel", zip_bytes([*wheel_parts(), Part("evil.py", b"x", listed=False)]), Finding.AMBIGUOUS_ARCHIVE),
        "a second archive": ("tar", tar(*tar_items()) + tar(Item("top/evil")), Finding.AMBIGUOUS_ARCHIVE),
        "a second stream": ("sdist", honest("sdist") + packed(b"hidden"), Finding.AMBIGUOUS_ARCHIVE),
        "a member that a deb does not have": ("deb", honest("deb") + ar_part("extra", b"xx"), Finding.AMBIGUOUS_ARCHIVE),
        "no archive at all": ("wheel", b"nothing", Finding.AMBIGUOUS_ARCHIVE),
        "a false RECORD": ("wheel", zip_bytes(wheel_parts(record=b"")), Finding.FALSE_MANIFEST),
        "false md5sums": ("deb", tars.deb(control=md5sums_tar(md5_row(b"other", "usr/x"))), Finding.FALSE_MANIFEST),
        "false digests": ("jar", zip_bytes(jar_parts(jar_digest(b"other"))), Finding.FALSE_MANIFEST),
        "false checksums": ("gem", gem(checksums=b"---\nSHA256:\n  metadata.gz: " + b"0" * 64 + b"\n"), Finding.FALSE_MANIFEST),
    }
    for form, data, code in odd.values():
        result = compared(tmp_path, form, data, data)
        assert (verdict(result), codes(result)) == ("bitwise", {code})


def test_a_false_claim_is_never_equal_below_times_stamped(tmp_path: Path) -> None:
    signed = jar_parts(jar_digest(jar_parts()[1].data))
    true_deb = md5sums_tar(md5_row(b"content", "usr/x"))
    pairs_ = {
        "a true RECORD": Story("wheel", zip_bytes(wheel_parts()), zip_bytes(wheel_parts(time=LATER)), CANONICAL),
        "a false RECORD": Story("wheel", zip_bytes(wheel_parts(record=b"")), zip_bytes(wheel_parts(record=b"", time=LATER)), DIFFERS),
        "true digests": Story("jar", zip_bytes(signed), zip_bytes([replace(part, time=LATER) for part in signed]), CANONICAL),
        "false digests": Story(
            "jar", zip_bytes(jar_parts(jar_digest(b"y"))), zip_bytes([replace(part, time=LATER) for part in jar_parts(jar_digest(b"y"))]), DIFFERS
        ),
        "true md5sums": Story("deb", tars.deb(control=true_deb), tars.deb(control=true_deb + bytes(512)), CANONICAL),
        "false md5sums": Story(
            "deb", *(tars.deb(control=md5sums_tar(md5_row(b"other", "usr/x")) + bytes(512 * more)) for more in (0, 1)), verdict=DIFFERS
        ),
        "true checksums": Story("gem", gem(), gem(extra=[]).ljust(20480, b"\0"), CANONICAL),
        "false checksums": Story(
            "gem", *(gem(checksums=b"---\nSHA256:\n  data.tar.gz: " + b"0" * 64 + b"\n", time=time) for time in (0, 1)), verdict=DIFFERS
        ),
    }
    tell(tmp_path, pairs_)
    for name, story in pairs_.items():
        found = Finding.FALSE_MANIFEST in codes(compared(tmp_path, story.form, story.old, story.new))
        assert found == name.startswith("false ") or found == name.startswith("a false ")
    lies = zip_bytes(wheel_parts(record=b"", info_time=LATER))
    result = pairs.judge(tmp_path, lies, zip_bytes(wheel_parts(record=b"")))
    assert (result.outcome, result.level) == (Outcome.REPRODUCED, Level.TIMES_STAMPED)
    assert Finding.FALSE_MANIFEST in codes(result)


def aligned(size: int, form: int = 0xD935) -> bytes:
    return struct.pack("<HHH", form, size, 4) + bytes(size - 2)


def test_zeros_are_padding_and_anything_else_is_structural(tmp_path: Path) -> None:
    items = tar_items()
    dirty = replace(items[0], padding=b"x" * 505)  # type: ignore[type-var]
    tell(
        tmp_path,
        {
            "more zeros behind a tar": Story("tar", tar(*items), tar(*items).ljust(10240, b"\0"), CANONICAL),
            "more zeros behind a packed tar": Story("sdist", packed(tar(*sdist_items())), packed(tar(*sdist_items()) + bytes(512)), CANONICAL),
            "zeros in a zip's extra field": Story(
                "zip", zip_bytes(zip_parts()), zip_bytes(changed(zip_parts(), 0, local={"extra": bytes(3)})), CANONICAL
            ),
            "alignment as Android writes it": Story(
                "zip", zip_bytes(zip_parts()), zip_bytes(changed(zip_parts(), 0, local={"extra": aligned(9)})), CANONICAL
            ),
            "bytes in a tar's padding": Story("tar", tar(*items), tar(dirty, *items[1:]), AMBIGUOUS),
            "bytes behind a tar": Story("tar", tar(*items), tar(*items) + b"x".ljust(512, b"\0"), AMBIGUOUS),
            "bytes behind a name": Story("tar", tar(*items), with_item("tar", 0, name=b"top/a\0hidden"), AMBIGUOUS),
            "bytes in a header's tail": Story("npm", honest("npm"), with_item("npm", 1, tail=b"hidden"), AMBIGUOUS),
            "a gap in a zip": Story("zip", zip_bytes(zip_parts()), zip_bytes(changed(zip_parts(), 1, before=bytes(8))), AMBIGUOUS),
            "zeros behind a zip": Story("wheel", zip_bytes(wheel_parts()), zip_bytes(wheel_parts(), suffix=bytes(8)), AMBIGUOUS),
            "zeros behind a gzip stream": Story("sdist", honest("sdist"), honest("sdist") + bytes(8), AMBIGUOUS),
            "another byte behind a member of a deb": Story("ar", library(), library().replace(b"one\n", b"onex"), AMBIGUOUS),
        },
    )


CAPABILITY = ("SCHILY.xattr.security.capability", "x")


def test_modes_owners_and_links_count_where_something_acts_on_them(tmp_path: Path) -> None:
    file = Item("./usr/x", b"content", mode=0o755)
    linked = [Item("top/a", b"content"), Item("top/b", kind=b"1", link="top/a")]
    sparse = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "top/s"), ("GNU.sparse.realsize", "1000"))
    dense = [Item("top/s", bytes(990) + b"x" * 10)]
    holes = [sparse, Item("GNUSparseFile.0/s", b"1\n990\n10\n".ljust(512, b"\0") + b"x" * 10)]
    stories = {
        "who may write, in a wheel": zip_story("wheel", CANONICAL, mode=0o100600),
        "who may run it, in a wheel": zip_story("wheel", DIFFERS, mode=0o100755),
        "a link in a wheel": zip_story("wheel", AMBIGUOUS, mode=0o120777),
        "a link in a jar": zip_story("jar", AMBIGUOUS, mode=0o120777),
        "a link in a plain zip": zip_story("zip", DIFFERS, mode=0o120777),
        "set-id in a wheel": zip_story("wheel", AMBIGUOUS, mode=0o104755),
        "set-id in a jar": zip_story("jar", AMBIGUOUS, mode=0o102644),
        "a hard link and a copy": Story("tar", tar(*linked), tar(linked[0], Item("top/b", b"content")), DIFFERS),
        "where a hard link leads": Story(
            "tar", tar(Item("top/0", b"content"), *linked), tar(Item("top/0", b"content"), linked[0], replace(linked[1], link="top/0")), DIFFERS
        ),
        "where a link leads": Story("tar", honest("tar"), with_item("tar", 2, link="b"), DIFFERS),
        "sparse and dense": Story("tar", tar(*dense), tar(*holes), DIFFERS),
        "an entry for a folder with members": Story("tar", honest("tar"), of_items("tar", [folder("top/"), *tar_items()]), CANONICAL),
        "an entry for an empty folder": Story("tar", honest("tar"), of_items("tar", [*tar_items(), folder("top/d/")]), DIFFERS),
        "an entry for a folder in a wheel": Story(
            "wheel", zip_bytes(wheel_parts()), zip_bytes([Part("demo/", mode=0o40755, method=0), *wheel_parts()]), CANONICAL
        ),
        "an entry for a folder in a deb": Story("deb", deb(), tars.deb(data=tar(folder("./"), file)), DIFFERS),
        "who may write, in a deb": Story("deb", deb(file), deb(replace(file, mode=0o775)), DIFFERS),
        "an owner in a deb": Story("deb", deb(file), deb(replace(file, uid=1)), DIFFERS),
        "a group's name in a deb": Story("deb", deb(file), deb(replace(file, group=b"mail")), DIFFERS),
        "set-id in a deb": Story("deb", deb(file), deb(replace(file, mode=0o4755)), DIFFERS),
        "a device in a deb": Story("deb", deb(file), deb(file, Item("./dev", kind=b"3", major=1, minor=3)), DIFFERS),
        "which device, in a deb": Story("deb", *(deb(file, Item("./dev", kind=b"3", major=1, minor=minor)) for minor in (3, 5)), verdict=DIFFERS),
        "a capability in a deb": Story("deb", deb(file), deb(pax(CAPABILITY), file), DIFFERS),
        "who may run it, in a deb": Story("deb", deb(file), deb(replace(file, mode=0o644)), DIFFERS),
        "a device in a plain tar": Story("tar", *(tar(Item("top/d", kind=b"4", major=1, minor=minor)) for minor in (3, 5)), verdict=DIFFERS),
    }
    for form in ("sdist", "npm", "crate", "tar"):
        plain, items = honest(form), {"sdist": sdist_items()}.get(form)
        strict = DIFFERS if form == "tar" else AMBIGUOUS
        stories |= {
            f"who may write, in {form}": Story(form, plain, with_item(form, 0, mode=0o664), CANONICAL),
            f"owners in {form}": Story(form, plain, with_item(form, 0, uid=1000, gid=100, user=b"me", group=b"us"), CANONICAL),
            f"who may run it, in {form}": Story(form, plain, with_item(form, 0, mode=0o744), DIFFERS),
            f"set-id in {form}": Story(form, plain, with_item(form, 0, mode=0o6644), strict),
            f"a device in {form}": Story(form, plain, with_item(form, 0, kind=b"3", data=b""), strict),
        }
        if items is not None:
            stories["a capability in sdist"] = Story(form, plain, of_items(form, [items[0], pax(CAPABILITY), *items[1:]]), AMBIGUOUS)
    stories["a capability in tar"] = Story("tar", honest("tar"), tar(pax(CAPABILITY), *tar_items()), DIFFERS)
    stories["an access list in tar"] = Story("tar", honest("tar"), tar(pax(("SCHILY.acl.access", "user::rwx")), *tar_items()), DIFFERS)
    stories["set-id in gem"] = Story("gem", gem(), gem(tar(Item("lib/demo.rb", b"puts 1\n", mode=0o4644))), AMBIGUOUS)
    tell(tmp_path, stories)


def extra(ident: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", ident, len(data)) + data


UT = extra(0x5455, b"\1" + struct.pack("<L", 1704164644))
UT_LOCAL = extra(0x5455, b"\3" + struct.pack("<LL", 1704164644, 1704164650))
IDS = extra(0x7875, b"\1\4" + struct.pack("<L", 1000) + b"\4" + struct.pack("<L", 1000))
NTFS = extra(0x000A, bytes(4) + struct.pack("<HH3Q", 1, 24, 1, 2, 3))


def unicode_field(ident: int, text: bytes, of: bytes) -> bytes:
    return extra(ident, b"\1" + struct.pack("<L", zlib.crc32(of)) + text)


def test_zip_extra_fields_are_a_closed_list(tmp_path: Path) -> None:
    stories: dict[str, Story] = {}
    noise = {
        "times": UT,
        "old Unix times": extra(0x5855, bytes(8)),
        "Unix ids": IDS,
        "old Unix ids": extra(0x7855, bytes(4)),
        "NTFS times": NTFS,
        "zeros": bytes(4),
    }
    data = {
        "an unknown field": extra(0x9999, b"payload"),
        "a Unix mode": extra(0x756E, bytes(14)),
        "bytes in a field of padding": extra(0, b"payload"),
        "bytes in alignment": extra(0xD935, b"\4\0payload"),
        "bytes behind times": extra(0x5455, b"\1" + bytes(4) + b"payload"),
        "bytes behind NTFS times": NTFS[:2] + b"\x27\0" + NTFS[4:] + b"payload",
        "bytes behind Unix ids": extra(0x7875, b"\1\0\0payload"),
        "bytes for old times": extra(0x5855, b"payload"),
    }
    for form in ZIPS:
        name = {"wheel": wheel_parts, "jar": jar_parts, "zip": zip_parts}[form]()[1].name.encode()
        for what, field in noise.items():
            stories[f"{what} in {form}"] = zip_story(form, CANONICAL, local={"extra": field}, central={"extra": field})
        for what, field in data.items():
            stories[f"{what} in {form}"] = zip_story(form, DIFFERS, local={"extra": field}, central={"extra": field})
            stories[f"{what} in the local header of {form}"] = zip_story(form, DIFFERS, local={"extra": field})
        agreeing, renaming = unicode_field(0x7075, name, name), unicode_field(0x7075, b"evil", name)
        stories |= {
            f"both forms of times in {form}": zip_story(form, CANONICAL, local={"extra": UT_LOCAL}, central={"extra": UT}),
            f"other times in {form}": Story(
                form, *(zip_story(form, "", central={"extra": UT[:5] + bytes([n]) + UT[6:]}).new for n in (1, 2)), verdict=CANONICAL
            ),
            f"a Unicode path that agrees in {form}": zip_story(form, CANONICAL, central={"extra": agreeing}),
            f"a Unicode path that renames in {form}": zip_story(form, AMBIGUOUS, central={"extra": renaming}),
            f"a Unicode path that renames in the local header of {form}": zip_story(form, AMBIGUOUS, local={"extra": renaming}),
            f"a Unicode comment that disagrees in {form}": zip_story(form, AMBIGUOUS, central={"extra": unicode_field(0x6375, b"x", b"")}),
            f"a field cut short in {form}": zip_story(form, AMBIGUOUS, central={"extra": b"\1\2\xff"}),
        }
    mark = {"extra": extra(0xCAFE)}
    stories |= {
        "the jar mark": Story("jar", zip_bytes(jar_parts()), zip_bytes(changed(jar_parts(), 0, local=mark, central=mark)), CANONICAL),
        "the jar mark elsewhere": zip_story("jar", DIFFERS, local=mark, central=mark),
        "bytes in the jar mark": Story(
            "jar", zip_bytes(jar_parts()), zip_bytes(changed(jar_parts(), 0, central={"extra": extra(0xCAFE, b"payload")})), DIFFERS
        ),
    }
    tell(tmp_path, stories)


def test_comments_are_data_and_a_second_directory_is_structural(tmp_path: Path) -> None:
    stories: dict[str, Story] = {}
    for form in ZIPS:
        parts = {"wheel": wheel_parts, "jar": jar_parts, "zip": zip_parts}[form]()
        plain = zip_bytes(parts)
        second = zip_bytes([Part("evil", b"x")])
        stories |= {
            f"a comment of {form}": Story(form, plain, zip_bytes(parts, comment=b"made by x"), NORMALIZED),
            f"another comment of {form}": Story(form, zip_bytes(parts, comment=b"a"), zip_bytes(parts, comment=b"b"), NORMALIZED),
            f"a member's comment in {form}": Story(form, plain, zip_bytes(changed(parts, 1, comment=b"c")), NORMALIZED),
            f"a second archive in the comment of {form}": Story(form, plain, zip_bytes(parts, comment=second), AMBIGUOUS),
            f"an end record in the comment of {form}": Story(form, plain, zip_bytes(parts, comment=b"PK\5\6" + bytes(40)), AMBIGUOUS),
            f"an end record in a member's comment in {form}": Story(form, plain, zip_bytes(changed(parts, 1, comment=b"PK\5\6")), AMBIGUOUS),
        }
    tell(tmp_path, stories)
    result = compared(tmp_path, "zip", zip_bytes(zip_parts()), zip_bytes(zip_parts(), comment=b"x"))
    assert [used.id for used in result.passes] == ["archive-comment"]


def test_local_and_central_headers_agree(tmp_path: Path) -> None:
    stories: dict[str, Story] = {}
    for form in ZIPS:
        data = {"wheel": wheel_parts, "jar": jar_parts, "zip": zip_parts}[form]()[1].data
        stories |= {f"another local {field} in {form}": zip_story(form, AMBIGUOUS, local={field: value}) for field, value in (
            ("name", b"demo/evil"), ("method", 0), ("flags", 2), ("size", 1), ("stored", 3), ("crc", 9),
        )}  # fmt: skip
        stories |= {f"another central {field} in {form}": zip_story(form, AMBIGUOUS, central={field: value}) for field, value in (
            ("name", b"demo/evil"), ("method", 0), ("size", 1), ("stored", 3), ("crc", 9),
        )}  # fmt: skip
        zeros = {"crc": 0, "stored": 0, "size": 0}
        stories |= {
            f"another local time in {form}": zip_story(form, CANONICAL, local={"time": LATER}),
            f"another central time in {form}": zip_story(form, CANONICAL, central={"time": LATER}),
            f"another version in {form}": zip_story(form, CANONICAL, local={"version": 10}, central={"version": 45}),
            f"a descriptor in {form}": zip_story(form, CANONICAL, flags=8, local=zeros, after=descriptor(data)),
            f"a descriptor without a signature in {form}": zip_story(form, CANONICAL, flags=8, local=zeros, after=descriptor(data, signed=False)),
            f"a descriptor that lies in {form}": zip_story(form, AMBIGUOUS, flags=8, local=zeros, after=descriptor(b"other")),
            f"a descriptor that no flag announces in {form}": zip_story(form, AMBIGUOUS, after=descriptor(data)),
            f"a descriptor in the central flags only in {form}": zip_story(form, AMBIGUOUS, central={"flags": 8}, after=descriptor(data)),
            f"other compression in {form}": zip_story(form, CANONICAL, method=0),
        }
    tell(tmp_path, stories)


def test_a_compressed_file_is_one_plain_stream(tmp_path: Path) -> None:
    text = b"text\n" * 9
    plain, xz, bzipped = packed(text), lzma.compress(text), bz2.compress(text)
    items = tar(*sdist_items())
    stories = {
        "another level": Story("gz", plain, packed(text, level=0), CANONICAL),
        "another time": Story("gz", plain, packed(text, time=7), CANONICAL),
        "a name": Story("gz", plain, packed(text, name=b"x.txt"), CANONICAL),
        "another system": Story("gz", plain, packed(text, os=255), CANONICAL),
        "another compressor": Story("gz", xz, bzipped, CANONICAL),
        "other content": Story("gz", plain, packed(b"other"), DIFFERS),
        "FEXTRA": Story("gz", plain, packed(text, flags=4, extra=b"\2\0xx"), AMBIGUOUS),
        "FCOMMENT": Story("gz", plain, packed(text, flags=16, extra=b"note\0"), AMBIGUOUS),
        "reserved flags": Story("gz", plain, packed(text, flags=32), AMBIGUOUS),
        "a false header CRC": Story("gz", plain, packed(text, flags=2, extra=b"\0\0"), AMBIGUOUS),
        "another preset of xz": Story("gz", xz, lzma.compress(text, preset=1), CANONICAL),
        "two xz streams": Story("gz", xz, xz + lzma.compress(b"x"), AMBIGUOUS),
        "zeros behind xz": Story("gz", xz, xz + bytes(4), AMBIGUOUS),
        "two bzip2 streams": Story("gz", bzipped, bzipped * 2, AMBIGUOUS),
        "bytes behind bzip2": Story("gz", bzipped, bzipped + b"x", AMBIGUOUS),
    }
    for form, data in (("gz", text), ("sdist", items)):
        one = packed(data)
        stories |= {
            f"two members in {form}": Story(form, one, one + packed(b"x"), AMBIGUOUS),
            f"an empty second member in {form}": Story(form, one, one + packed(b""), AMBIGUOUS),
            f"content in two members in {form}": Story(form, one, packed(data[:600]) + packed(data[600:]), AMBIGUOUS),
            f"trailing bytes in {form}": Story(form, one, one + b"hidden", AMBIGUOUS),
        }
    for name, inner in (("data", data_tar()), ("control", tars.control_tar())):
        one = lzma.compress(inner) + lzma.compress(b"")
        stories[f"two streams in a deb's {name}"] = Story("deb", tars.deb(), with_member(name, one), AMBIGUOUS)
    tell(tmp_path, stories)


def with_member(name: str, stored: bytes) -> bytes:
    """A deb with one of its members as given."""
    inner = {"control": lzma.compress(tars.control_tar()), "data": lzma.compress(data_tar())} | {name: stored}
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", inner["control"]), ("data.tar.xz", inner["data"])]
    return tars.ar(*(ar_part(*part) for part in parts))


LONG = "demo-1.0/" + "n" * 120


def test_pax_headers_mean_one_thing(tmp_path: Path) -> None:
    stories: dict[str, Story] = {}
    long_item = Item(LONG[:100], b"x")
    for form, items in (("tar", tar_items()), ("sdist", sdist_items())):
        plain = of_items(form, items)
        kept = {
            "a fraction of time": (CANONICAL, pax(("mtime", "1704164644.5"))),
            "more times": (CANONICAL, pax(("atime", "1"), ("ctime", "2"))),
            "a global comment": (CANONICAL, pax(("comment", "1" * 40), kind=b"g")),
            "an unknown key": (DIFFERS, pax(("SOME.key", "payload"))),
            "a comment of a member": (DIFFERS, pax(("comment", "payload"))),
            "a key twice": (AMBIGUOUS, pax(("mtime", "1"), ("mtime", "2"))),
            "a line break": (AMBIGUOUS, pax(("SOME.key", "a\n9 path=b"))),
            "a false length": (AMBIGUOUS, pax(payload=b"99 mtime=1\n")),
            "a global path": (AMBIGUOUS, pax(("path", "evil"), kind=b"g")),
            "a global time": (AMBIGUOUS, pax(("mtime", "1"), kind=b"g")),
            "a path that renames": (AMBIGUOUS, pax(("path", "demo-1.0/evil"))),
            "another size": (AMBIGUOUS, pax(("size", "1"))),
        }
        stories |= {f"{what} in {form}": Story(form, plain, of_items(form, [header, *items]), verdict_) for what, (verdict_, header) in kept.items()}
        short, wide = [*items, long_name(LONG), replace(long_item, magic=GNU)], [*items, pax(("path", LONG)), long_item]
        stories[f"a long name by pax and by GNU in {form}"] = Story(form, of_items(form, short), of_items(form, wide), CANONICAL)
        both = [*items, long_name(LONG), pax(("path", LONG + "x")), long_item]
        stories[f"pax against GNU in {form}"] = Story(form, of_items(form, wide), of_items(form, both), AMBIGUOUS)
    repeated = pax(payload=record("SOME.key", "a") + record("SOME.key", "a"))
    stories["a key twice alike"] = Story("tar", honest("tar"), tar(repeated, *tar_items()), AMBIGUOUS)
    tell(tmp_path, stories)


def test_order_counts_where_it_decides(tmp_path: Path) -> None:
    one, two = ("a.o/", b"one"), ("b.o/", b"two2")
    parts, classes = deb_parts(), jar_parts()
    stories = {
        "objects of a library": Story("ar", library(one, two), library(two, one), DIFFERS),
        "two objects of one name": Story("ar", library(one, ("a.o/", b"two2")), library(("a.o/", b"two2"), one), DIFFERS),
        "members of a deb": Story("deb", tars.ar(*parts), tars.ar(parts[0], parts[2], parts[1]), AMBIGUOUS),
        "a deb with more": Story("deb", tars.ar(*parts), tars.ar(*parts, ar_part("_extra", b"x1")), AMBIGUOUS),
        "a deb with data twice": Story("deb", tars.ar(*parts), tars.ar(*parts, parts[2]), AMBIGUOUS),
        "files of a deb": Story(
            "deb", deb(Item("./usr/x", b"content"), Item("./usr/y")), deb(Item("./usr/y"), Item("./usr/x", b"content")), CANONICAL
        ),
        "the manifest of a jar": Story("jar", zip_bytes(classes), zip_bytes([*classes[1:], classes[0]]), DIFFERS),
        "the classes of a jar": Story("jar", zip_bytes(classes), zip_bytes([classes[0], *classes[:0:-1]]), CANONICAL),
        "a folder before the manifest": Story("jar", zip_bytes(classes), zip_bytes([Part("META-INF/", mode=0o40755, method=0), *classes]), CANONICAL),
        "a wheel": Story("wheel", zip_bytes(wheel_parts()), zip_bytes(wheel_parts()[::-1]), CANONICAL),
        "a zip": Story("zip", zip_bytes(zip_parts()), zip_bytes(zip_parts()[::-1]), CANONICAL),
        "an sdist": Story("sdist", honest("sdist"), of_items("sdist", sdist_items()[::-1]), CANONICAL),
        "a tar": Story("tar", honest("tar"), of_items("tar", tar_items()[::-1]), CANONICAL),
    }
    tell(tmp_path, stories)


def deb_parts() -> list[bytes]:
    stored = [("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(tars.control_tar())), ("data.tar.xz", lzma.compress(data_tar()))]
    return [ar_part(*part) for part in stored]


def test_an_archive_that_is_payload_is_a_file(tmp_path: Path) -> None:
    inner, again, other = (zip_bytes(zip_parts()), zip_bytes([replace(part, time=LATER) for part in zip_parts()]), zip_bytes(zip_parts()[:2]))
    hidden = zip_bytes(zip_parts(), prefix=b"#!/bin/sh\n")
    stories: dict[str, Story] = {}

    def jar(data: bytes) -> bytes:
        return zip_bytes([*jar_parts(), Part("lib/inner.zip", data)])

    def sdist(data: bytes) -> bytes:
        return of_items("sdist", [*sdist_items(), Item("demo-1.0/inner.zip", data)])

    for form, holder in (("jar", jar), ("sdist", sdist)):
        stories |= {
            f"an archive in {form}, packed again": Story(form, holder(inner), holder(again), NORMALIZED),
            f"an archive in {form} with other members": Story(form, holder(inner), holder(other), DIFFERS),
            f"an archive in {form} that hides bytes": Story(form, holder(inner), holder(hidden), DIFFERS),
        }
    stories |= {
        "the tar in an sdist": Story("sdist", honest("sdist"), packed(gzip.decompress(honest("sdist")), level=1, time=1), CANONICAL),
        "the tars in a deb": Story("deb", tars.deb(), with_member("data", lzma.compress(data_tar(), preset=1)), CANONICAL),
        "the tar in a gem": Story("gem", gem(checksums=b"---\n"), gem(checksums=b"---\n", time=1), CANONICAL),
        "a file in the tar of a gem": Story("gem", gem(), gem(tar(Item("lib/demo.rb", b"puts 2\n"))), DIFFERS),
    }
    tell(tmp_path, stories)
    result = compared(tmp_path, "jar", jar(inner), jar(again))
    assert [used.id for used in result.passes] == ["nested-archive"]


def test_every_decision_of_the_page_has_its_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| `(test_\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    rows += re.findall(r"^\| (\d+) \|(?:[^|]*\|){3}\s*`(test_\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    named = dict(rows)
    assert sorted(named, key=int) == [str(number) for number in range(1, 13)]
    tree = ast.parse(Path(__file__).read_text())
    written = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert list(dict(sorted(named.items(), key=lambda row: int(row[0]))).values()) == written
