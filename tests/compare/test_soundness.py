"""Clean against tampered, in every format and both ways round: never equal, at any level. After a study of pairs that others call equal."""

from __future__ import annotations

import gzip
import itertools
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reprove.core.outcomes import Finding
from tests.archive import tars
from tests.archive.tars import GNU, V7, Item, ar_part, data_tar, folder, long_name, packed, pax, tar
from tests.archive.zips import LATER, Part, descriptor, wheel_parts, zip_bytes
from tests.compare.stories import (
    EQUAL,
    ITEMS,
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
    verdict,
    with_item,
    zip_parts,
)

AMBIGUOUS, DIFFERS = "ambiguous-archive", "differs"
FULL = 0xFFFFFFFF
ZIPS: dict[str, Callable[[], list[Part]]] = {"wheel": wheel_parts, "jar": jar_parts, "zip": zip_parts}
PACKED = ("sdist", "npm", "crate")
CAPABILITY = pax(("SCHILY.xattr.security.capability", "\1"))
PASSWD = b"/etc/passwd"


def renaming(plain: bytes, name: bytes, ident: int = 0x7075) -> bytes:
    body = b"\1" + struct.pack("<L", zlib.crc32(plain)) + name
    return struct.pack("<HH", ident, len(body)) + body


def wide(*values: int) -> bytes:
    return struct.pack("<HH", 1, 8 * len(values)) + b"".join(struct.pack("<Q", value) for value in values)


def zip_attack(form: str, verdict_: str, index: int = 1, **fields: object) -> Story:
    parts = ZIPS[form]()
    return Story(form, zip_bytes(parts), zip_bytes(changed(parts, index, **fields)), verdict_)


def written(form: str, verdict_: str, *more: Part, parts: list[Part] | None = None, **options: object) -> Story:
    """The format's honest zip, and one with more members or with other bytes around them."""
    base = ZIPS[form]()
    return Story(form, zip_bytes(base), zip_bytes([*(base if parts is None else parts), *more], **options), verdict_)  # type: ignore[arg-type]


def doubled(order: list[int]) -> bytes:
    many = [Part("a", b"good"), Part("a", b"evil"), *(Part(f"{number}", b"x") for number in range(13))]
    return zip_bytes([many[number] for number in order])


def wheel_with_link(mode: int) -> bytes:
    parts = wheel_parts({"demo/__init__.py": b"x = 1\n", "demo/passwd": PASSWD})
    return zip_bytes(changed(parts, 1, mode=mode))


FALSE_RECORD = wheel_parts()[-1].data.replace(b"sha256=", b"sha256=A", 1) + b"../../etc/passwd,sha256=AAAA,4\n"
SIGNED = [*jar_parts(), Part("META-INF/A.SF", b"Signature-Version: 1.0\r\n\r\n"), Part("META-INF/A.EC", b"\x30")]
STUDY: dict[str, list[Story]] = {
    "1 a file becomes a link": [Story("wheel", wheel_with_link(0o100644), wheel_with_link(0o120777), AMBIGUOUS)],
    "2 a file becomes executable": [
        zip_attack("wheel", DIFFERS, mode=0o100755),
        *(Story(form, honest(form), with_item(form, 0, mode=0o755), DIFFERS) for form in PACKED),
    ],
    "3 a file gets set-id bits": [Story(form, honest(form), with_item(form, 0, mode=0o6755), AMBIGUOUS) for form in PACKED],
    "4 a file gets a capability": [Story(form, honest(form), of_items(form, [CAPABILITY, *ITEMS[form]()]), AMBIGUOUS) for form in PACKED],
    "5 a Unicode path renames": [
        zip_attack("wheel", AMBIGUOUS, 0, local={"extra": extra}, central={"extra": extra})
        for extra in [renaming(b"demo/__init__.py", b"demo/evil.py")]
    ],
    "6 the local header names another": [zip_attack("wheel", AMBIGUOUS, 0, local={"name": b"demo/evil.py"})],
    "7 a local member is not listed": [written("wheel", AMBIGUOUS, Part("evil.py", b"evil", listed=False))],
    "8 a script stands before the zip": [written("wheel", AMBIGUOUS, prefix=b"#!/bin/sh\nevil\n")],
    "9 a RECORD lies": [
        Story("wheel", zip_bytes(wheel_parts()), zip_bytes(wheel_parts(record=FALSE_RECORD)), DIFFERS),
        Story("wheel", *(zip_bytes(wheel_parts(record=FALSE_RECORD, time=time)) for time in (LATER, bytes(4))), verdict=DIFFERS),
    ],
    "10 a second tar follows the first": [
        Story(form, honest(form), packed(tar(*ITEMS[form]()) + tar(Item("evil", b"x"))), AMBIGUOUS) for form in PACKED
    ],
    "11 garbage follows the gzip stream": [Story(form, honest(form), honest(form) + b"garbage", AMBIGUOUS) for form in PACKED],
    "12 a second gzip member hides bytes": [Story(form, honest(form), honest(form) + packed(b"hidden"), AMBIGUOUS) for form in PACKED],
    "13 bytes pass for a signature": [
        Story("jar", zip_bytes(SIGNED), zip_bytes([*SIGNED, Part("META-INF/PAYLOAD.EC", b"evil")]), DIFFERS),
        Story("jar", *(zip_bytes([*SIGNED, Part("META-INF/PAYLOAD.EC", data)]) for data in (b"1", b"2")), verdict=DIFFERS),
        Story("jar", *(zip_bytes([*jar_parts(), Part("x/git.properties", data)]) for data in (b"git.a=1\n", b"git.a=2\n")), verdict=DIFFERS),
        Story("jar", *(zip_bytes([*jar_parts(), Part("git.properties", data)]) for data in (b"a=1\n", b"a=2\n")), verdict=DIFFERS),
    ],
    "14 names come twice": [
        Story("zip", doubled(list(range(15))), doubled(list(order)), AMBIGUOUS)
        for order in itertools.islice(itertools.permutations(range(15)), 1, 20_000, 2_000)
    ],
    "16 a file of a tar becomes a link": [
        Story(form, honest(form), with_item(form, 0, kind=b"2", data=b"", link=PASSWD), DIFFERS) for form in PACKED
    ],
}  # fmt: skip


def _zip_confusion() -> Iterator[tuple[str, Story]]:
    for form, make in ZIPS.items():
        parts = make()
        name, data = parts[1].name.encode(), parts[1].data
        stored = len(zlib.compress(data, 6)) - 6
        for field, value in (("name", b"demo/evil"), ("size", 1), ("stored", 2), ("crc", 1), ("method", 0), ("flags", 2)):
            yield f"{form}: local {field}", zip_attack(form, AMBIGUOUS, local={field: value})
            if field != "flags":
                yield f"{form}: central {field}", zip_attack(form, AMBIGUOUS, central={field: value})
        for side in ("local", "central"):
            yield f"{form}: a {side} Unicode path", zip_attack(form, AMBIGUOUS, **{side: {"extra": renaming(name, b"evil")}})
            yield f"{form}: a stale {side} Unicode path", zip_attack(form, AMBIGUOUS, **{side: {"extra": renaming(b"other", name)}})
            yield f"{form}: a {side} zip64 size without sentinel", zip_attack(form, AMBIGUOUS, **{side: {"extra": wide(9, 9)}})
            yield f"{form}: a {side} sentinel without zip64", zip_attack(form, AMBIGUOUS, **{side: {"size": FULL}})
            lie = {"size": FULL, "stored": FULL, "extra": wide(len(data) + 1, stored)}
            yield f"{form}: a {side} zip64 size that lies", zip_attack(form, AMBIGUOUS, **{side: lie})
        yield f"{form}: an overlapping member", written(form, AMBIGUOUS, Part("evil", parts[0].data, at=0))
        yield f"{form}: a prefix with true offsets", written(form, AMBIGUOUS, prefix=b"\x7fELF")
        yield f"{form}: a prefix that shifts", Story(form, zip_bytes(parts), b"#!/bin/sh\n" + zip_bytes(parts), AMBIGUOUS)
        yield f"{form}: a suffix", written(form, AMBIGUOUS, suffix=b"evil")
        yield f"{form}: another archive behind", Story(form, zip_bytes(parts), zip_bytes(parts) + zip_bytes([Part("evil", b"x")]), AMBIGUOUS)
        yield f"{form}: another archive before", Story(form, zip_bytes(parts), zip_bytes([Part("evil", b"x")]) + zip_bytes(parts), AMBIGUOUS)
        yield f"{form}: an archive in the comment", written(form, AMBIGUOUS, comment=zip_bytes([Part("evil", b"x")]))
        yield f"{form}: bytes before the directory", written(form, AMBIGUOUS, before_directory=b"hidden")
        yield f"{form}: bytes in the directory", written(form, AMBIGUOUS, in_directory=b"PK\5\5\2\0xx")
        yield f"{form}: bytes behind the directory", written(form, AMBIGUOUS, after_directory=b"hidden")
        yield f"{form}: fewer members than there are", written(form, AMBIGUOUS, end={"entries": len(parts) - 1})
        yield f"{form}: a descriptor that lies", zip_attack(form, AMBIGUOUS, flags=8, after=descriptor(b"evil"))
        yield f"{form}: a descriptor with bytes behind", zip_attack(form, AMBIGUOUS, flags=8, after=descriptor(data) + b"evil")
        yield f"{form}: a stored member with a descriptor", zip_attack(form, AMBIGUOUS, method=0, flags=8, after=descriptor(data))
        for what, evil in EVIL_NAMES.items():
            flags = 0 if evil.isascii() else 0x800
            yield f"{form}: {what}", written(form, AMBIGUOUS, Part(evil.format(name=parts[1].name), b"x", flags=flags))
        yield (
            f"{form}: names that differ in Unicode form",
            written(form, AMBIGUOUS, *(Part(text, b"", flags=0x800) for text in ("\u00e9", "e\u0301"))),
        )
        yield f"{form}: names that differ in case", written(form, AMBIGUOUS, Part(parts[1].name.upper(), b"x"))
        yield f"{form}: a link", zip_attack(form, DIFFERS if form == "zip" else AMBIGUOUS, mode=0o120777)
        yield f"{form}: a link and what it leads to", written(form, AMBIGUOUS, Part("l", b"/etc", mode=0o120777), Part("l/passwd", b"x"))
        yield f"{form}: a device", zip_attack(form, AMBIGUOUS, mode=0o020644)
        yield f"{form}: set-id", zip_attack(form, AMBIGUOUS, mode=0o104755)
        yield f"{form}: an x bit", zip_attack(form, DIFFERS, 0, mode=0o100744)
        yield f"{form}: encrypted", zip_attack(form, AMBIGUOUS, flags=1)
        yield f"{form}: a volume label that unzip skips", zip_attack(form, AMBIGUOUS, system=0, external=0x08)
        yield f"{form}: a version that unzip skips", zip_attack(form, AMBIGUOUS, local={"version": 99}, central={"version": 99})
        yield f"{form}: a name that unzip cuts", written(form, AMBIGUOUS, Part("setup.py;1", b"evil"))
        yield f"{form}: an x bit of a system that unzip does not believe", zip_attack(form, DIFFERS, 0, mode=0o100744, system=0)
        yield f"{form}: bytes in an extra field", zip_attack(form, DIFFERS, local={"extra": b"\0\0\x07\0payload"})
        yield f"{form}: bytes in a field of times", zip_attack(form, DIFFERS, central={"extra": b"UT\x07\0payload"})
        yield f"{form}: a member more", written(form, DIFFERS, Part("zz_hook.pth", b"import evil\n"))
        yield f"{form}: an empty member more", written(form, DIFFERS, Part("demo/py.typed"))
        yield f"{form}: other content", zip_attack(form, DIFFERS, data=data + b" ")


EVIL_NAMES = {
    "a name twice": "{name}",
    "a dot before it": "./{name}",
    "an absolute name": "/etc/passwd",
    "a name that leaves": "a/../../evil",
    "a name that stays but has dots": "demo/../evil",
    "a backslash": "demo\\evil",
    "a drive": "C:evil",
    "a NUL": "evil\0.txt",
    "a line break": "evil\n",
    "a direction character": "a\u202eyp.exe",
    "a file that is a folder": "{name}/evil",
    "an empty part": "demo//evil",
}


def _tar_confusion() -> Iterator[tuple[str, Story]]:
    long = "n" * 120
    for form in ("tar", *PACKED):
        items = ITEMS[form]()
        plain, first = of_items(form, items), items[0]
        assert isinstance(first, Item)
        top = str(first.name).partition("/")[0]
        strict = DIFFERS if form == "tar" else AMBIGUOUS

        def attack(verdict_: str, *more: Item | bytes, before: bool = False, form: str = form) -> Story:
            base = ITEMS[form]()
            return Story(form, of_items(form, base), of_items(form, [*more, *base] if before else [*base, *more]), verdict_)

        raw = tar(*items)
        close = (lambda data: data) if form == "tar" else packed
        yield f"{form}: a second archive", Story(form, plain, close(raw + tar(Item("evil", b"x"))), AMBIGUOUS)
        yield f"{form}: a member behind one zero block", Story(form, plain, close(tar(*items, bytes(512), Item("evil", b"x"))), AMBIGUOUS)
        yield f"{form}: no end", Story(form, plain, close(tar(*items, end=b"")), AMBIGUOUS)
        yield f"{form}: a pax path", attack(AMBIGUOUS, pax(("path", f"{top}/evil")), before=True)
        yield f"{form}: a long pax path", attack(AMBIGUOUS, pax(("path", f"{top}/{long}")), before=True)
        yield f"{form}: a pax size", attack(AMBIGUOUS, pax(("size", "9")), before=True)
        yield f"{form}: a global path", attack(AMBIGUOUS, pax(("path", "evil"), kind=b"g"), before=True)
        yield f"{form}: an unknown pax key", attack(DIFFERS, pax(("EVIL.note", "payload")), before=True)
        yield f"{form}: a pax key twice", attack(AMBIGUOUS, pax(("mtime", "1"), ("mtime", "2")), before=True)
        yield f"{form}: a pax header of nothing", attack(AMBIGUOUS, pax(("path", "evil")))
        yield f"{form}: a GNU name", attack(AMBIGUOUS, long_name(f"{top}/evil"), before=True)
        yield f"{form}: a GNU name unlike the header", attack(AMBIGUOUS, long_name(f"{top}/{long}"), Item(f"{top}/x", b"", magic=GNU))
        yield (
            f"{form}: GNU against pax",
            attack(AMBIGUOUS, long_name(f"{top}/{long}"), pax(("path", f"{top}/{long}x")), Item(f"{top}/{long}"[:100], b"")),
        )
        sparse = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", f"{top}/s"), ("GNU.sparse.realsize", "1000"))
        holes = Item("GNUSparseFile.0/s", b"1\n990\n10\n".ljust(512, b"\0") + b"x" * 10)
        dense = of_items(form, [*items, Item(f"{top}/s", bytes(990) + b"x" * 10)])
        yield f"{form}: sparse for dense", Story(form, dense, of_items(form, [*items, sparse, holes]), strict)
        yield f"{form}: a hard link that leaves", attack(AMBIGUOUS, Item(f"{top}/l", kind=b"1", link="/etc/passwd"))
        yield f"{form}: a hard link up", attack(AMBIGUOUS, Item(f"{top}/l", kind=b"1", link="../../evil"))
        copy = of_items(form, [*items, Item(f"{top}/h", first.data)])
        yield f"{form}: a hard link for a copy", Story(form, copy, of_items(form, [*items, Item(f"{top}/h", kind=b"1", link=first.name)]), DIFFERS)
        for kind, what in ((b"3", "a character device"), (b"4", "a block device"), (b"6", "a pipe")):
            yield f"{form}: {what}", attack(strict, Item(f"{top}/d", kind=kind, major=1, minor=3))
        yield f"{form}: an unknown type", attack(AMBIGUOUS, Item(f"{top}/d", b"x", kind=b"Z"))
        yield f"{form}: a link, and a file below", attack(AMBIGUOUS, Item(f"{top}/l", kind=b"2", link="/etc"), Item(f"{top}/l/passwd", b"x"))
        yield f"{form}: a link for a file", Story(form, plain, with_item(form, 0, kind=b"2", data=b"", link=PASSWD), DIFFERS)
        yield f"{form}: an x bit", Story(form, plain, with_item(form, 0, mode=0o645), DIFFERS)
        yield f"{form}: set-id", Story(form, plain, with_item(form, 0, mode=0o4644), strict)
        yield f"{form}: sticky", Story(form, plain, with_item(form, 0, mode=0o1644), strict)
        yield f"{form}: a capability", attack(strict, CAPABILITY, before=True)
        yield f"{form}: another content", Story(form, plain, with_item(form, 0, data=first.data + b" "), DIFFERS)
        yield f"{form}: a member more", attack(DIFFERS, Item(f"{top}/evil", b"x"))
        yield f"{form}: bytes in padding", Story(form, plain, with_item(form, 0, padding=b"x" * (-len(first.data) % 512)), AMBIGUOUS)
        yield f"{form}: bytes behind a name", Story(form, plain, with_item(form, 0, name=str(first.name).encode() + b"\0evil"), AMBIGUOUS)
        yield f"{form}: bytes in a header's tail", Story(form, plain, with_item(form, 0, tail=b"evil"), AMBIGUOUS)
        yield f"{form}: bytes in an old header", Story(form, plain, with_item(form, 0, magic=V7, tail=b"evil"), AMBIGUOUS)
        yield f"{form}: a checksum", Story(form, plain, with_item(form, 1, checksum=b"000001\0 "), AMBIGUOUS)
        for what, evil in EVIL_NAMES.items():
            if what != "a drive":
                yield f"{form}: {what}", attack(AMBIGUOUS, Item(evil.format(name=first.name).encode(), b"x"))
        if form != "tar":
            yield f"{form}: names that differ in case", attack(AMBIGUOUS, Item(top + str(first.name).removeprefix(top).upper(), b"x"))


def _streams() -> Iterator[tuple[str, Story]]:
    forms: dict[str, bytes] = {form: tar(*ITEMS[form]()) for form in PACKED} | {"gz": b"text\n" * 200}
    for form, data in forms.items():
        one = packed(data)
        yield f"{form}: two members", Story(form, one, packed(data[:700]) + packed(data[700:]), AMBIGUOUS)
        yield f"{form}: an empty member behind", Story(form, one, one + packed(b""), AMBIGUOUS)
        yield f"{form}: zeros behind", Story(form, one, one + bytes(1), AMBIGUOUS)
        yield f"{form}: bytes behind", Story(form, one, one + b"x", AMBIGUOUS)
        yield f"{form}: an extra field", Story(form, one, packed(data, flags=4, extra=b"\4\0evil"), AMBIGUOUS)
        yield f"{form}: a comment", Story(form, one, packed(data, flags=16, extra=b"evil\0"), AMBIGUOUS)
        yield f"{form}: a false length", Story(form, one, one[:-4] + b"\1\0\0\0", AMBIGUOUS)
        yield f"{form}: a false CRC", Story(form, one, one[:-8] + b"\1\0\0\0" + one[-4:], AMBIGUOUS)
        for what, again in (("xz", lzma.compress), ("bzip2", _bzip2)):
            yield f"{form}: two streams of {what}", Story(form, again(data), again(data[:700]) + again(data[700:]), AMBIGUOUS)
            yield f"{form}: bytes behind {what}", Story(form, again(data), again(data) + b"evil", AMBIGUOUS)


def _bzip2(data: bytes) -> bytes:
    import bz2

    return bz2.compress(data)


def _debs_and_gems() -> Iterator[tuple[str, Story]]:
    version, control, data = (
        ar_part("debian-binary", b"2.0\n"),
        ar_part("control.tar.xz", lzma.compress(tars.control_tar())),
        ar_part("data.tar.xz", lzma.compress(data_tar())),
    )
    evil = ar_part("data.tar.xz", lzma.compress(data_tar(Item("./usr/evil", b"x"))))
    clean = tars.ar(version, control, data)
    layouts = {
        "data before control": [version, data, control],
        "the version last": [control, data, version],
        "a member that dpkg skips": [version, control, ar_part("_gpgorigin", b"x1"), data],
        "a member behind": [version, control, data, ar_part("_evil", b"x1")],
        "data twice": [version, control, data, evil],
        "evil data first": [version, control, evil, data],
        "control twice": [version, control, control, data],
        "data in two packings": [version, control, data, ar_part("data.tar", data_tar())],
        "another version": [ar_part("debian-binary", b"2.1\n"), control, data],
        "a version with more lines": [ar_part("debian-binary", b"2.0\nevil"), control, data],
        "no control": [version, data],
        "a long name for data": [version, control, ar_part("#1/12", b"data.tar.xz\0" + lzma.compress(data_tar()))],
    }
    for what, parts in layouts.items():
        yield f"deb: {what}", Story("deb", clean, tars.ar(*parts), AMBIGUOUS)
    yield "deb: bytes behind", Story("deb", clean, clean + b"evil", AMBIGUOUS)
    yield "deb: bytes between", Story("deb", clean, tars.ar(version, control, b"\n\n", data), AMBIGUOUS)
    file = Item("./usr/x", b"content", mode=0o755)
    for what, changes in {
        "who may write": {"mode": 0o775}, "who may run": {"mode": 0o754}, "set-id": {"mode": 0o4755}, "an owner": {"uid": 7}, "a group": {"gid": 7},
        "an owner's name": {"user": b"mail"}, "a group's name": {"group": b"mail"}, "content": {"data": b"other"},
    }.items():  # fmt: skip
        yield f"deb: {what}", Story("deb", tars.deb(data=data_tar(file)), tars.deb(data=data_tar(replace(file, **changes))), DIFFERS)  # type: ignore[arg-type]
    yield "deb: a capability", Story("deb", deb(file), deb(CAPABILITY, file), DIFFERS)
    yield (
        "deb: a folder that others may write to",
        Story("deb", tars.deb(), tars.deb(data=tar(folder("./"), folder("./usr/", mode=0o777), Item("./usr/x", b"content", mode=0o755))), DIFFERS),
    )
    scripts = [tar(Item("./control", b"P"), Item("./postinst", b"#!/bin/sh\n", mode=mode)) for mode in (0o644, 0o755)]
    yield "deb: a script that is run", Story("deb", *(tars.deb(control=control) for control in scripts), verdict=DIFFERS)
    for what, rows in {
        "wrong md5sums": md5_row(b"other", "usr/x"),
        "md5sums of nothing": md5_row(b"content", "usr/x") + md5_row(b"x", "usr/ghost"),
        "md5sums twice": md5_row(b"content", "usr/x") * 2,
    }.items():
        true, false = md5sums_tar(md5_row(b"content", "usr/x")), md5sums_tar(rows)
        yield f"deb: {what}", Story("deb", tars.deb(control=true), tars.deb(control=false), DIFFERS)
        yield f"deb: {what} on both sides", Story("deb", tars.deb(control=false), tars.deb(control=false + bytes(512)), DIFFERS)
    for what, text in {"a wrong checksum": b"  metadata.gz: " + b"0" * 64, "a checksum of nothing": b"  evil.gz: " + b"0" * 64}.items():
        false = b"---\nSHA256:\n" + text + b"\n"
        yield f"gem: {what}", Story("gem", gem(), gem(checksums=false), DIFFERS)
        yield f"gem: {what} on both sides", Story("gem", *(gem(checksums=false, time=time) for time in (0, 1)), verdict=DIFFERS)
    yield "gem: a member more", Story("gem", gem(), gem(extra=[Item("evil", b"x")]), AMBIGUOUS)
    yield "gem: data twice", Story("gem", gem(), gem(extra=[Item("data.tar.gz", gzip.compress(tar(Item("lib/evil.rb"))))]), AMBIGUOUS)
    yield "gem: a second archive in data", Story("gem", gem(), gem(tar(Item("lib/demo.rb", b"puts 1\n")) + tar(Item("lib/evil.rb"))), AMBIGUOUS)
    yield "gem: set-id", Story("gem", gem(), gem(tar(Item("lib/demo.rb", b"puts 1\n", mode=0o4755))), AMBIGUOUS)
    yield "gem: an x bit", Story("gem", gem(), gem(tar(Item("lib/demo.rb", b"puts 1\n", mode=0o755))), DIFFERS)
    lie = jar_parts(jar_digest(b"other"))
    yield "jar: a wrong digest", Story("jar", zip_bytes(jar_parts()), zip_bytes(lie), DIFFERS)
    yield "jar: a wrong digest on both sides", Story("jar", zip_bytes(lie), zip_bytes([replace(part, time=LATER) for part in lie]), DIFFERS)
    ghost = jar_parts(jar_digest(b"x", "demo/Ghost.class"))
    yield "jar: a digest of nothing", Story("jar", zip_bytes(ghost), zip_bytes([replace(part, time=LATER) for part in ghost]), DIFFERS)
    one, two = ("a.o/", b"one"), ("b.o/", b"two2")
    yield "ar: another order", Story("ar", library(one, two), library(two, one), DIFFERS)
    yield "ar: bytes behind", Story("ar", library(), library() + b"\n", AMBIGUOUS)
    yield "ar: other padding", Story("ar", library(), library().replace(b"one\n", b"one\0"), AMBIGUOUS)
    yield "ar: another object", Story("ar", library(), library(one, ("b.o/", b"evil")), DIFFERS)


ATTACKS: dict[str, dict[str, Story]] = {}
"""Every attack on the structure of a format, by format and by what it does."""
for _what, _story in itertools.chain(_zip_confusion(), _tar_confusion(), _streams(), _debs_and_gems()):
    assert _what not in ATTACKS.setdefault(_what.partition(":")[0], {})
    ATTACKS[_what.partition(":")[0]][_what] = _story


def told(folder_: Path, stories: dict[str, Story]) -> list[str]:
    """Stories that do not end as they should, either way round, and those that have no two sides."""
    wrong = [name for name, story in stories.items() if story.old == story.new]
    for turned in (False, True):
        found = {name: judge(folder_, story, turned=turned) for name, story in stories.items()}
        wrong += [f"{name}: {found[name]}" for name, story in stories.items() if found[name] != story.verdict]
        wrong += [name for name in stories if found[name] in EQUAL]
    return wrong


@pytest.mark.parametrize("row", STUDY)
def test_what_others_call_equal_is_told_apart(tmp_path: Path, row: str) -> None:
    assert told(tmp_path, {f"{row} {number}": story for number, story in enumerate(STUDY[row])}) == []


@pytest.mark.parametrize("form", ZIPS)
def test_a_harmless_comment_does_not_break_equality(tmp_path: Path, form: str) -> None:
    """Row 15 of the study, the opposite error: a named pass leaves the comment out, and says so."""
    result = compared(tmp_path, form, *(zip_bytes(ZIPS[form](), comment=comment) for comment in (b"", b"built on a Monday")))
    assert (verdict(result), [used.id for used in result.passes]) == ("normalized", ["archive-comment"])


def test_a_lie_about_itself_is_a_finding(tmp_path: Path) -> None:
    for story in STUDY["9 a RECORD lies"]:
        assert Finding.FALSE_MANIFEST in {row.code for row in compared(tmp_path, story.form, story.new, story.old).findings}


@pytest.mark.parametrize("form", ATTACKS)
def test_no_confusion_of_readers_is_ever_equal(tmp_path: Path, form: str) -> None:
    assert told(tmp_path, ATTACKS[form]) == []


def test_there_are_hundreds_of_tampered_pairs() -> None:
    pairs = [(story.form, story.old, story.new) for stories in ATTACKS.values() for story in stories.values()]
    pairs += [(story.form, story.old, story.new) for stories in STUDY.values() for story in stories]
    assert len(set(pairs)) >= 500
    assert {int(row.partition(" ")[0]) for row in STUDY} == {*range(1, 17)} - {15}
    assert all(story.verdict not in EQUAL for stories in ATTACKS.values() for story in stories.values())
