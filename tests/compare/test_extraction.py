"""What is equal at ``canonical`` is extracted alike: by Python's zipfile and tarfile, unzip, bsdtar and GNU tar, each of which really runs."""

from __future__ import annotations

import random
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reprove.archive.limits import LimitError
from tests.archive.tars import GNU, USTAR, V7, Item, folder, long_name, packed, pax, tar
from tests.archive.zips import LATER, TIME, Part, descriptor, zip_bytes
from tests.compare.stories import EQUAL, Story, compared, judge, verdict

PAIRS, EXTRACTED = 300, 15
"""How many pairs of each kind are drawn, and how many of them must be equal and so extracted."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
Tool = Callable[[Path, Path], None]


def _run(*command: str) -> Tool:
    def extract(archive: Path, target: Path) -> None:
        subprocess.run([*command, str(archive)], cwd=target, check=True, capture_output=True, timeout=10, env=ENVIRONMENT)

    return extract


def _zipfile(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(target)


def _tarfile(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(target)


ZIP_TOOLS: dict[str, Tool] = {"zipfile": _zipfile, "unzip": _run("unzip", "-qq", "-o"), "bsdtar": _run("bsdtar", "--no-same-owner", "-xpf")}
TAR_TOOLS: dict[str, Tool] = {
    "tarfile": _tarfile,
    "tar": _run("tar", "--no-same-owner", "-xpf"),
    "bsdtar": _run("bsdtar", "--no-same-owner", "-xpf"),
}


def extracted(tool: Tool, data: bytes, room: Path) -> object:
    """What the tool makes of the bytes: path to kind, x and set-id bits, content or target, and which paths are one file."""
    (room / "archive").write_bytes(data)
    out = room / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    failed = ""
    try:
        tool(room / "archive", out)
    except subprocess.CalledProcessError:
        failed = "the tool failed"
    except (zipfile.BadZipFile, tarfile.TarError, OSError, OverflowError, ValueError, RuntimeError) as error:
        failed = type(error).__name__
    rows: dict[str, object] = {}
    inodes: dict[int, list[str]] = {}
    for path in sorted(out.rglob("*")):
        facts, name = path.lstat(), path.relative_to(out).as_posix()
        kind = stat.S_IFMT(facts.st_mode)
        if kind == stat.S_IFLNK:
            rows[name] = (kind, str(path.readlink()))
            continue
        rows[name] = (kind, bool(facts.st_mode & 0o111), facts.st_mode & 0o7000, path.read_bytes() if kind == stat.S_IFREG else None)
        inodes.setdefault(facts.st_ino, []).append(name)
    return failed, rows, sorted(names for names in inodes.values() if len(names) > 1)


def tools_of(tools: dict[str, Tool]) -> dict[str, Tool]:
    return {name: tool for name, tool in tools.items() if name.endswith("file") or shutil.which(name)}


EXTRAS = [
    b"",
    struct.pack("<HHBL", 0x5455, 5, 1, 7),
    struct.pack("<HHBB", 0x7875, 3, 1, 0) + b"\0",
    struct.pack("<HHBBLBL", 0x7875, 11, 1, 4, 1000, 4, 1000),
    struct.pack("<HH2L", 0x5855, 8, 1, 2),
    struct.pack("<HH", 0xD935, 4) + bytes(4),
    struct.pack("<HHLHH3Q", 0x000A, 32, 0, 1, 24, 1, 2, 3),
    bytes(6),
]
MODES = [0, 0o644, 0o755, 0o100644, 0o100755, 0o100600, 0o100111, 0o100000, 0o100777]
DOS = [0, 0x20, 0x01, 0x02, 0x04, 0x08, 0x80, 0x27]


def zip_pair(rng: random.Random) -> tuple[bytes, bytes]:
    parts = [Part("top/a.txt", b"alpha" * 9), Part("top/run", b"#!/bin/sh\n", mode=0o100755), Part("top/d/", mode=0o40755, method=0)]
    parts += [Part("top/e/c", b""), Part("top/\u00e9", b"x", flags=0x800)]
    if rng.random() < 0.5:
        parts.append(Part("top/l", b"a.txt", mode=0o120777))
    parts = [replace(part, mode=rng.choice(MODES)) if part.name == "top/a.txt" else part for part in parts]
    return zip_bytes(parts), _bytes(rng, zip_bytes(_other_zip(rng, parts)), 0.15)


def _other_zip(rng: random.Random, parts: list[Part]) -> list[Part]:
    again: list[Part] = []
    for part in parts:
        one = replace(part, time=rng.choice([TIME, LATER, b"\0\0!\0", bytes(4), b"\xff" * 4]), method=rng.choice([part.method, 0]))
        if rng.random() < 0.1:
            one.mode = stat.S_IFMT(part.mode) | rng.choice(MODES) & 0o777 if rng.random() < 0.5 else rng.choice(MODES)
        if rng.random() < 0.1:
            one.system = rng.choice([0, 3, 3, 1, 2, 7, 11, 14, 19, 30])
            one.external = one.mode << 16 | rng.choice(DOS) | (0x10 if part.name.endswith("/") else 0)
        if rng.random() < 0.4:
            extra, version = rng.choice(EXTRAS), rng.choice([10, 20, 45, 46] * 9 + [47, 63, 99, 0x314])
            one.local, one.central = {"extra": extra}, {"extra": rng.choice([extra, b""]), "version": rng.choice([20, version])}
        if one.method and rng.random() < 0.3:
            one.flags, one.after = one.flags | 8, descriptor(one.data, signed=rng.random() < 0.7)
        again.append(one)
    if rng.random() < 0.3:
        again.append(Part("top/", mode=0o40755, method=0))
    rng.shuffle(again)
    return again


def _bytes(rng: random.Random, data: bytes, often: float) -> bytes:
    """Now and then one byte is another."""
    if rng.random() > often:
        return data
    out = bytearray(data)
    out[rng.randrange(len(out))] = rng.choice([0, 1, 8, 0xFF, rng.randrange(256)])
    return bytes(out)


LONG = "top/" + "n" * 110
TIMES: list[int | bytes] = [0, 1_704_164_644, b"\x80\0\0\0\0\0\0\0\x7f\xff\xff\xff", b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777"]
OWNERS: list[int | bytes] = [0, 1000, b"\x80\0\0\0\0\x30\0\0", b"7777777"]


def tar_pair(rng: random.Random) -> tuple[bytes, bytes]:
    items = [Item("top/a", b"content" * 99), Item("top/run", b"#!/bin/sh\n", mode=0o755), Item("top/l", kind=b"2", link="a")]
    items += [folder("top/e/"), Item(LONG, b"x")]
    linked = [Item(name, kind=b"1", link="top/a", mode=rng.choice([0o644] * 5 + [0o755])) for name in ("top/h1", "top/h2") if rng.random() < 0.4]
    form = rng.choice([("old", "tar"), ("packed", "sdist")])[1]
    one, other = (_written(rng, items, linked, honest=honest) for honest in (True, False))
    return (one, other) if form == "tar" else (packed(one), packed(other, time=rng.choice([0, 5]), level=rng.choice([1, 9])))


def _written(rng: random.Random, items: list[Item], linked: list[Item], *, honest: bool) -> bytes:
    again: list[list[Item]] = []
    for item in items:
        one = item
        if not honest:
            one = replace(
                item,
                time=rng.choice(TIMES if rng.random() < 0.1 else TIMES[:2]),
                uid=rng.choice(OWNERS),
                gid=rng.choice(OWNERS),
                user=rng.choice([b"root", b"", b"nobody"]),
            )
            if rng.random() < 0.15:
                one.mode = rng.choice([0o644, 0o755, 0o600, 0o700, 0o111, 0o4755, 0o2755, b"   755 ", b"0"])
            if rng.random() < 0.2 and one.kind == b"0":
                one = replace(one, kind=b"\0", magic=rng.choice([V7, USTAR]))
        again.append(_named(rng, one))
    if not honest:
        rng.shuffle(again)
        linked = rng.sample(linked, len(linked))
        if rng.random() < 0.3:
            again.insert(rng.randrange(len(again)), [folder("top/")])
    rows = [part for group in again for part in group]
    return _bytes(rng, tar(*rows, *linked), 0 if honest else 0.2)


def _named(rng: random.Random, item: Item) -> list[Item]:
    if item.name == LONG:
        return (
            [long_name(LONG), replace(item, name=LONG[:100], magic=GNU)]
            if rng.random() < 0.5
            else [pax(("path", LONG)), replace(item, name=LONG[:99])]
        )
    if rng.random() < 0.2:
        return [pax(("mtime", rng.choice(["1.5", "-7.25", "1704164644", "99999999999999"])), ("atime", "3")), item]
    dotted = f"./{item.name}" if rng.random() < 0.2 else item.name
    return [replace(item, name=dotted, magic=rng.choice([USTAR, GNU]) if item.magic != V7 else V7)]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_pairs_that_are_canonically_equal_are_extracted_alike(tmp_path: Path, form: str) -> None:
    extract_pairs(tmp_path, form, 20261126, limit=PAIRS)


@pytest.mark.soak
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_pairs_drawn_anew_are_extracted_alike(tmp_path: Path, form: str) -> None:
    extract_pairs(tmp_path, form, random.SystemRandom().randrange(2**32), limit=100 * PAIRS)


def extract_pairs(tmp_path: Path, form: str, seed: int, *, limit: int) -> None:
    """Draw pairs, and extract both sides of those that are called equal, with every tool."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    tools = tools_of(ZIP_TOOLS if form == "zip" else TAR_TOOLS)
    equal = 0
    for _ in range(limit):
        old, new = zip_pair(rng) if form == "zip" else tar_pair(rng)
        try:
            result = compared(tmp_path, form, old, new)
        except LimitError:
            continue
        if verdict(result) != "canonical":
            continue
        equal += 1
        for name, tool in tools.items():
            one, other = extracted(tool, old, tmp_path), extracted(tool, new, tmp_path)
            assert one == other, (seed, name, [(row.path, row.field, row.old, row.new) for row in result.differences])
    assert equal >= EXTRACTED


FILE, PLAIN = Item("top/a", b"x"), Item("top/1", kind=b"1", link="top/a")
RUN = replace(PLAIN, name="top/2", mode=0o755)
NAMED = Part("\u00e9", b"x", flags=0x800)
SCRIPT = Part("run", b"#!/bin/sh\n", mode=0o100755)
LINK = Part("link", b"a", mode=0o120777)
STORIES: dict[str, Story] = {
    "links of two modes, of which tarfile sets the last": Story("tar", tar(FILE, PLAIN, RUN), tar(FILE, RUN, PLAIN), "ambiguous-archive"),
    "a link of another mode than its file's": Story("tar", tar(FILE, PLAIN), tar(FILE, replace(PLAIN, mode=0o755)), "ambiguous-archive"),
    "a name that unzip takes for one of DOS": Story("zip", zip_bytes([NAMED]), zip_bytes([replace(NAMED, system=0)]), "differs"),
    "a script of DOS, which unzip and bsdtar do not make executable": Story(
        "zip", zip_bytes([SCRIPT]), zip_bytes([replace(SCRIPT, system=0)]), "differs"
    ),
    "a script without a type, which pip does not make executable": Story(
        "zip", zip_bytes([SCRIPT]), zip_bytes([replace(SCRIPT, mode=0o755)]), "differs"
    ),
    "where a link leads": Story("zip", zip_bytes([LINK]), zip_bytes([replace(LINK, data=b"b")]), "differs"),
    "a link of DOS, which is a file to unzip": Story("zip", zip_bytes([LINK]), zip_bytes([replace(LINK, system=0)]), "ambiguous-archive"),
    "a label that unzip skips": Story("zip", zip_bytes([SCRIPT]), zip_bytes([replace(SCRIPT, system=0, external=8)]), "ambiguous-archive"),
    "a version that unzip skips": Story(
        "zip", zip_bytes([SCRIPT]), zip_bytes([replace(SCRIPT, local={"version": 99}, central={"version": 99})]), "ambiguous-archive"
    ),
}
"""Pairs that some tool extracts differently, found by the test above or by reading the tools."""


@pytest.mark.parametrize("what", STORIES)
def test_what_a_tool_extracts_differently_is_not_equal(tmp_path: Path, what: str) -> None:
    story = STORIES[what]
    assert {judge(tmp_path, story, turned=turned) for turned in (False, True)} == {story.verdict}
    assert story.verdict not in EQUAL
