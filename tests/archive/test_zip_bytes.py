"""Every byte of a zip belongs to something: whichever is changed, it shows. And however a zip is read, it says the same."""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive import lint, zipdigests, zipfiles
from reprove.archive.artifact import open_artifact, open_pair
from reprove.archive.limits import ArchiveError
from reprove.archive.model import Entry
from reprove.archive.tree import Kind
from reprove.archive.view import View
from tests.archive.trees import Read, read
from tests.archive.zips import Part, deflate, descriptor, wheel_parts, zip_bytes

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
FULL = 0xFFFFFFFF


def extra(ident: int, data: bytes) -> bytes:
    return struct.pack("<HH", ident, len(data)) + data


def wide_descriptor(data: bytes) -> bytes:
    return b"PK\x07\x08" + struct.pack("<LQQ", zlib.crc32(data), len(deflate(data)), len(data))


ZEROS = {"crc": 0, "stored": 0, "size": 0}
ZIP64 = {"size": FULL, "stored": FULL}
RICH = [
    *wheel_parts(),
    Part("d/", mode=0o040755, method=0),
    Part("streamed", b"streamed", flags=8, after=descriptor(b"streamed")),
    Part("unsigned", b"streamed", flags=8, after=descriptor(b"streamed", signed=False), local=ZEROS),
    Part("wide", b"wide", local={**ZIP64, "extra": extra(1, struct.pack("<QQ", 4, len(deflate(b"wide"))))}),
    Part("streamed wide", b"xy", flags=8, after=wide_descriptor(b"xy"), local={**ZIP64, "crc": 0, "extra": extra(1, bytes(16))}),
    Part("stored", b"stored", method=0, comment=b"c\\"),
    Part(
        "times",
        b"x",
        mode=0o100755,
        local={"extra": extra(0x5455, b"\3" + bytes(8))},
        central={"extra": extra(0x5455, b"\3" + bytes(4)) + extra(0xD935, bytes(4)) + bytes(3)},
    ),
    Part("ids", b"y", central={"extra": extra(0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4)) + extra(10, b"\0\0\0\0\1\0\x18\0" + bytes(24))}),
    Part("\u00fc", b"z", flags=0x800, external=0o100644 << 16 | 0x20, system=0),
]


def with_end64(data: bytes, comment: int) -> bytes:
    tail = len(data) - 22 - comment
    (_, _, _, _, entries, length, offset, _) = struct.unpack("<4s4H2LH", data[tail : tail + 22])
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, length, offset)
    return data[:tail] + wide + struct.pack("<4sLQL", b"PK\x06\x07", 0, tail, 1) + data[tail:]


BASE = with_end64(zip_bytes(RICH, comment=b"hello"), 5)


def told(tmp_path: Path, data: bytes) -> object:
    """What a tree says, or that there is none."""
    try:
        return read(tmp_path, data, "x.zip").told
    except ArchiveError as error:
        return type(error)


def test_the_zip_of_everything_is_clean(tmp_path: Path) -> None:
    found = read(tmp_path, BASE, "x.zip")
    assert (found.violations, len(found.members)) == ((), len(RICH))


@pytest.mark.slow
def test_whichever_bit_is_flipped_a_member_a_field_or_a_violation_tells(tmp_path: Path) -> None:
    plain = told(tmp_path, BASE)
    silent = []
    for at in range(len(BASE)):
        flipped = bytearray(BASE)
        flipped[at] ^= 1 << at % 8
        if told(tmp_path, bytes(flipped)) == plain:
            silent.append(at)
    assert silent == []


@settings(QUIET, max_examples=60)
@given(st.integers(0, len(BASE) - 1), st.integers(1, 255))
def test_whichever_byte_is_changed_a_member_a_field_or_a_violation_tells(tmp_path: Path, at: int, change: int) -> None:
    changed = bytearray(BASE)
    changed[at] ^= change
    assert told(tmp_path, bytes(changed)) != told(tmp_path, BASE)


@settings(QUIET, max_examples=100)
@given(st.integers(0, len(BASE) - 1), st.integers(0, len(BASE)))
def test_whichever_bytes_are_taken_out_it_tells(tmp_path: Path, first: int, second: int) -> None:
    start, stop = sorted((first, second))
    if start < stop:
        assert told(tmp_path, BASE[:start] + BASE[stop:]) != told(tmp_path, BASE)


damage = st.lists(st.tuples(st.integers(0, 3), st.integers(0, len(BASE)), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)


def damaged(changes: list[tuple[int, int, bytes]], base: bytes = BASE) -> bytes:
    data = bytearray(base)
    for kind, place, noise in changes:
        at = place % (len(data) + 1)
        if kind == 0:
            data[at:at] = noise
        elif kind == 1:
            del data[at : at + noise[0]]
        else:
            data[at : at + len(noise)] = noise
    return bytes(data)


@settings(QUIET, max_examples=150)
@given(damage)
def test_damage_is_read_or_an_archive_error(tmp_path: Path, changes: list[tuple[int, int, bytes]]) -> None:
    told(tmp_path, damaged(changes))


END = struct.Struct("<4s4H2LH")
WORDS = st.sampled_from([0, 1, 2, 0x7FFF, 0xFFFE, 0xFFFF])
LONGS = st.sampled_from([0, 1, 22, 46, 100, 0x7FFFFFFF, 0xFFFFFFFE, FULL])


@settings(QUIET, max_examples=150)
@given(st.tuples(WORDS, WORDS, WORDS, WORDS, LONGS, LONGS, WORDS), st.binary(max_size=80))
def test_end_records_of_odd_numbers_are_read_or_an_archive_error(tmp_path: Path, numbers: tuple[int, ...], before: bytes) -> None:
    told(tmp_path, before + BASE[:-27] + END.pack(b"PK\5\6", *numbers))


HEADERS = [at for at in range(len(BASE)) if BASE[at : at + 4] in (b"PK\1\2", b"PK\3\4")]


@settings(QUIET, max_examples=150)
@given(st.sampled_from(HEADERS), st.integers(4, 44), LONGS)
def test_headers_of_odd_numbers_are_read_or_an_archive_error(tmp_path: Path, header: int, field: int, number: int) -> None:
    data = bytearray(BASE)
    data[header + field : header + field + 4] = struct.pack("<L", number)
    told(tmp_path, bytes(data))


@settings(QUIET, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 12), st.binary(max_size=12)), max_size=5), st.binary(max_size=3))
def test_extra_fields_of_any_form_are_read(tmp_path: Path, fields: list[tuple[int, int, bytes]], tail: bytes) -> None:
    raw = b"".join(struct.pack("<HH", ident, length) + data for ident, length, data in fields) + tail
    odd = Part("a", b"x", local={"extra": raw}, central={"extra": raw})
    found = read(tmp_path, zip_bytes([odd, Part("b", b"y")]))  # behind the last header, bytes of a field could be a zip64 locator
    assert found.contents == {"a": b"x", "b": b"y"}


def test_extra_fields_cost_time_in_step_with_their_length(tmp_path: Path) -> None:
    import time

    def seconds(length: int) -> float:
        raw = (bytes(length - 1) + b"\1")[:length]
        data = zip_bytes([Part(f"{number}", b"", method=0, central={"extra": raw}) for number in range(20)])
        begun = time.process_time()
        assert read(tmp_path, data, "x.zip").codes == {"malformed-extra"}
        return time.process_time() - begun

    assert seconds(60_000) < 0.5  # quadratic, it is minutes


@settings(QUIET, max_examples=150)
@given(damage)
def test_what_passes_lint_is_the_same_to_the_standard_library(tmp_path: Path, changes: list[tuple[int, int, bytes]]) -> None:
    data = damaged(changes)
    try:
        found = read(tmp_path, data, "x.zip")
    except ArchiveError:
        return
    if not found.violations:
        agrees(found, data)


def test_the_zip_of_everything_is_the_same_to_the_standard_library(tmp_path: Path) -> None:
    agrees(read(tmp_path, BASE, "x.zip"), BASE)


def agrees(found: Read, data: bytes) -> None:
    """The standard library sees the same members with the same content, times, modes and comments."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        assert [info.filename.removesuffix("/") for info in infos] == found.order
        for info, (path, member) in zip(infos, found.members.items(), strict=True):
            assert info.is_dir() == (member.kind is Kind.FOLDER)
            assert found.value(path, "mode") == f"{info.external_attr >> 16:06o}"
            assert (info.create_system, info.compress_type, info.file_size) == (
                found.value(path, "create-system"),
                found.value(path, "method"),
                member.size,
            )
            if member.kind is Kind.FILE:
                assert hashlib.sha256(archive.read(info)).hexdigest() == member.sha256


SYSTEMS = st.sampled_from([0, 3, 11, 19])
FILES = st.dictionaries(st.text("abAB.;_-\u00e9\u00df", min_size=1, max_size=6), st.binary(max_size=40), min_size=1, max_size=6)
PERMISSIONS = st.sampled_from([0, 0o644, 0o755, 0o100644, 0o100755, 0o100600, 0o120777, 0o040755])


@settings(QUIET, max_examples=100)
@given(FILES, st.lists(PERMISSIONS, min_size=6, max_size=6), SYSTEMS, st.sampled_from([0, 8]))
def test_what_is_written_honestly_is_read_back(tmp_path: Path, files: dict[str, bytes], modes: list[int], system: int, method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for (name, content), mode in zip(files.items(), modes, strict=False):
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = mode << 16, system
            archive.writestr(info, content, method)
    found = read(tmp_path, out.getvalue(), "x.zip")
    agrees(found, out.getvalue())
    assert found.contents.items() <= files.items()


@contextmanager
def slow_way() -> Iterator[None]:
    """Without the tests that let plain members pass, and without the short way for small ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lint, "_is_plain", lambda _entry: False)
        patch.setattr(zipdigests, "_digest_small", lambda _view, _entry: None)
        patch.setattr(zipdigests, "_LARGE", 0)
        yield


def outcome(tmp_path: Path, data: bytes) -> object:
    try:
        found = read(tmp_path, data, "x.zip")
    except ArchiveError as error:
        return type(error), error.detail, error.offset
    return found.told, found.violations, found.contents, found.details


@settings(QUIET, max_examples=60)
@given(damage)
def test_the_short_way_and_the_long_way_say_the_same(tmp_path: Path, changes: list[tuple[int, int, bytes]]) -> None:
    data = damaged(changes)
    short = outcome(tmp_path, data)
    with slow_way():
        assert outcome(tmp_path, data) == short


@settings(QUIET, max_examples=60)
@given(damage, st.booleans())
def test_a_pair_says_what_each_says_alone(tmp_path: Path, changes: list[tuple[int, int, bytes]], swap: bool) -> None:
    both = [tmp_path / "original", tmp_path / "rebuilt"]
    for path, data in zip(both, (BASE, damaged(changes)), strict=True):
        path.write_bytes(data)
    names = ("x.whl", "x.whl")
    sides = both[::-1] if swap else both
    alone = []
    for path in sides:
        try:
            with open_artifact(path, name="x.whl") as tree:
                alone.append((Read(tree).told, tree.violations))
        except ArchiveError as error:
            alone.append((type(error), ()))
    try:
        with open_pair(sides[0], sides[1], names=names) as trees:
            together = [(Read(tree).told, tree.violations) for tree in trees]
    except ArchiveError:
        assert any(isinstance(says, type) for says, _ in alone)
    else:
        assert together == alone


def test_what_both_sides_hold_in_the_same_bytes_is_inflated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    real = zipdigests._digest

    def counting(view: View, entry: Entry) -> zipdigests.Digested:
        counted.append(entry.name)
        return real(view, entry)

    monkeypatch.setattr(zipdigests, "_digest", counting)
    one = [Part("same", b"x" * 5000), Part("other", b"a"), Part("packed", b"y" * 5000)]
    two = [Part("other", b"b"), Part("packed", b"y" * 5000, method=0), Part("same", b"x" * 5000, mode=0o100755)]
    (tmp_path / "one").write_bytes(zip_bytes(one))
    (tmp_path / "two").write_bytes(zip_bytes(two))
    with open_pair(tmp_path / "one", tmp_path / "two") as (old, new):
        assert {member.path: member.sha256 for member in old.members}["same"] == {member.path: member.sha256 for member in new.members}["same"]
    assert sorted(counted) == ["other", "other", "packed", "packed", "same"]


def test_a_false_crc_in_the_same_bytes_is_found_on_both_sides(tmp_path: Path) -> None:
    lie = {"crc": 1}
    for name, time in (("one", b"\0\0!\0"), ("two", b'\0\0"\0')):
        (tmp_path / name).write_bytes(zip_bytes([Part("a", b"x", local=lie, central=lie, time=time)]))
    with open_pair(tmp_path / "one", tmp_path / "two") as trees:
        assert [[found.code.value for found in tree.violations] for tree in trees] == [["crc-differs"]] * 2


def test_sizes_that_contradict_each_other_are_a_violation_and_no_limit(tmp_path: Path) -> None:
    found = read(tmp_path, zip_bytes([Part("a", b"x", central={"size": 2**31}), Part("b", b"y")]))
    assert found.codes == {"local-differs"}
    assert {member.sha256 for member in found.members.values()} == {None}


def test_reading_a_large_zip_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(2**15))
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(24):
            archive.writestr(f"{number}", noise)
    tracemalloc.start()
    with open_artifact(path) as tree:
        assert len(tree.members) == 24
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 1024**2 < path.stat().st_size


def test_a_file_that_is_cut_while_it_is_read_is_an_archive_error(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zip_bytes([Part("a", hashlib.sha256(b"x").digest() * 20_000, method=0)]))
    with zipfiles.open_zip(path) as archive:
        with path.open("r+b") as stream:
            stream.truncate(1000)
        with pytest.raises(ArchiveError, match="shorter"):
            b"".join(archive.content(archive.zip.entries[0]))


def extracted(folder: Path, tool: list[str]) -> dict[str, object]:
    """What a tool makes of ``x.zip`` in ``folder``: kind, x bit and content or target of each path; a refusal counts as one too."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    done = subprocess.run([*tool, str(folder / "x.zip")], cwd=out, check=False, capture_output=True, timeout=10)
    found: dict[str, object] = {"": done.returncode}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_symlink():
            found[name] = "link", path.readlink()
        elif path.is_dir():
            found[name] = "folder"
        else:
            path.chmod(path.stat().st_mode | stat.S_IRUSR)
            found[name] = path.stat().st_mode & 0o111 != 0, path.read_bytes()
    return found


TOOLS = [["unzip", "-qq", "-o"], ["bsdtar", "-xf"]]
PLAIN = [
    *wheel_parts()[:2],
    Part("d/", mode=0o040755, method=0),
    Part("run", b"#!/bin/sh\n", mode=0o100755),
    Part("link", b"run", mode=0o120777),
    Part("s", b"streamed", flags=8, after=descriptor(b"streamed")),
]


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool[0])
def test_two_zips_of_one_canonical_form_are_extracted_alike(tmp_path: Path, tool: list[str]) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    base = zip_bytes(PLAIN)
    plain = read(tmp_path, base)
    (tmp_path / "x.zip").write_bytes(base)
    expected = extracted(tmp_path, tool)
    assert expected[""] == 0
    tried = 0
    for at in range(len(base)):
        changed = bytearray(base)
        changed[at] ^= 1 << at * 5 % 8
        try:
            found = read(tmp_path, bytes(changed), "x.zip")
        except ArchiveError:
            continue
        if found.violations or found.canonical != plain.canonical:
            continue
        tried += 1
        (tmp_path / "x.zip").write_bytes(bytes(changed))
        assert extracted(tmp_path, tool) == expected, f"byte {at}"
    assert tried > 50


ATTRIBUTES = st.fixed_dictionaries(
    {
        "external": st.builds(
            lambda mode, dos: mode << 16 | dos,
            st.sampled_from([0, 0o644, 0o755, 0o100644, 0o100755, 0o100664, 0o100000, 0o120777, 0o040755]),
            st.sampled_from([0, 1, 2, 8, 0x10, 0x20, 0xFF00]),
        ),
        "system": st.sampled_from([0, 2, 3, 7, 10, 11, 14, 19]),
        "internal": st.sampled_from([0, 1, 2, 4]),
        "flags": st.sampled_from([0, 2, 0x800]),
        "method": st.sampled_from([0, 8]),
        "central": st.sampled_from([{"version": 10}, {"version": 20}, {"version": 45}, {"version": 63}]),
        "comment": st.sampled_from([b"", b"c"]),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool[0])
@settings(QUIET, max_examples=150)
@given(
    st.sampled_from(["a", "b.sh", "d/"]), ATTRIBUTES, ATTRIBUTES, st.sampled_from(["external", "system", "internal", "flags", "method", "central"])
)
def test_attributes_of_one_canonical_form_are_extracted_alike(
    tmp_path: Path, tool: list[str], name: str, one: dict[str, object], two: dict[str, object], changed: str
) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    content = b"" if name.endswith("/") else b"../x"
    sides = [zip_bytes([Part(name, content, **facts), Part("z", b"end")]) for facts in (one, {**one, changed: two[changed]})]  # type: ignore[arg-type]
    found = [read(tmp_path, side, "x.zip") for side in sides]
    if any(side.violations for side in found) or found[0].canonical != found[1].canonical:
        return
    made = []
    for side in sides:
        (tmp_path / "x.zip").write_bytes(side)
        made.append(extracted(tmp_path, tool) | {"": 0})  # some complain of a system that they do not know, and go on
    assert made[0] == made[1]
