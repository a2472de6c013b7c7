"""A zip as a tree: what kind of package it is, which of its fields count, and which of its links."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

from reprove.archive import zipfiles
from reprove.archive.artifact import open_artifact, open_pair
from reprove.archive.model import Entry
from reprove.archive.tree import Kind, Profile, Weight
from reprove.archive.view import View
from tests.archive.trees import read
from tests.archive.zips import LATER, TIME, Part, deflate, descriptor, wheel, wheel_parts, zip_bytes

A = Part("a.txt", b"alpha" * 40)
MANIFEST = Part("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")
FOLDER = Part("META-INF/", mode=0o040755, method=0)
SIGNED = [MANIFEST, Part("META-INF/A.SF", b"s"), Part("META-INF/A.RSA", b"r"), Part("A.class", b"c")]


def extra(ident: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", ident, len(data)) + data


PROFILES = {
    "a wheel by its name": ([A], "x-1.whl", Profile.WHEEL),
    "a wheel by its content": (wheel_parts(), "x.zip", Profile.WHEEL),
    "a jar": ([MANIFEST, A], "x.zip", Profile.JAR),
    "a folder of jars is none": ([Part("x/META-INF/MANIFEST.MF")], "x.jar", Profile.ZIP),
    "a plain zip": ([A], "x.zip", Profile.ZIP),
    "a deep dist-info makes no wheel": ([Part("x/y.dist-info/WHEEL")], "x.zip", Profile.ZIP),
}


@pytest.mark.parametrize("what", PROFILES)
def test_the_profile_comes_from_content_and_name(tmp_path: Path, what: str) -> None:
    parts, name, profile = PROFILES[what]
    assert read(tmp_path, zip_bytes(parts), name).profile is profile


def test_members_come_in_the_order_of_the_directory_with_their_content(tmp_path: Path) -> None:
    found = read(tmp_path, zip_bytes([Part("d/", mode=0o040755, method=0), A, Part("d/b", b"", method=0)]))
    assert [(path, member.kind, member.size) for path, member in found.members.items()] == [
        ("d", Kind.FOLDER, 0),
        ("a.txt", Kind.FILE, 200),
        ("d/b", Kind.FILE, 0),
    ]
    assert found.contents["a.txt"] == b"alpha" * 40
    assert found.members["d"].sha256 is None


def test_the_fields_of_a_plain_member_are_these(tmp_path: Path) -> None:
    found = read(tmp_path, zip_bytes([A])).details["a.txt"]
    assert {name: (field.value, field.weight) for name, field in found.items() if name != "deflate"} == {
        "mode": ("100644", Weight.NOISE),
        "executable": ("no", Weight.DATA),
        "time": ("2024-01-02 03:04:04", Weight.NOISE),
        "method": (8, Weight.NOISE),
        "create-system": (3, Weight.NOISE),
        "create-version": (20, Weight.NOISE),
        "extract-version": ("20/20", Weight.NOISE),
        "flags": ("0000", Weight.NOISE),
        "internal-attributes": (0, Weight.NOISE),
        "dos-attributes": (0, Weight.NOISE),
    }


def test_offsets_of_fields_are_where_they_stand(tmp_path: Path) -> None:
    data = zip_bytes([A, Part("b.txt", b"b", time=TIME, local={"time": LATER}, mode=0o100755)])
    found = read(tmp_path, data).details["b.txt"]

    def at(name: str, size: int) -> bytes:
        offset = found[name].offset
        assert offset is not None
        return data[offset : offset + size]

    assert at("time", 4) == TIME
    assert at("local-time", 4) == LATER
    assert at("mode", 4) == struct.pack("<L", 0o100755 << 16)
    assert at("create-system", 1) == b"\3"
    assert at("deflate", len(deflate(b"b"))) == deflate(b"b")


EXTRAS = {
    "times": (0x5455, b"\1" + bytes(4), Weight.NOISE),
    "three times": (0x5455, b"\7" + bytes(12), Weight.NOISE),
    "times with a tail": (0x5455, b"\1" + bytes(5), Weight.DATA),
    "times with unknown bits": (0x5455, b"\x09" + bytes(4), Weight.DATA),
    "old Unix times": (0x5855, bytes(12), Weight.NOISE),
    "old Unix ids": (0x7855, bytes(4), Weight.NOISE),
    "Unix ids": (0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4), Weight.NOISE),
    "Unix ids with a tail": (0x7875, b"\1\1\0\1\0x", Weight.DATA),
    "Unix ids without a group": (0x7875, b"\1\4" + bytes(4), Weight.DATA),
    "NTFS times": (0x000A, bytes(4) + struct.pack("<HH", 1, 24) + bytes(24), Weight.NOISE),
    "an unknown tag of NTFS": (0x000A, bytes(4) + struct.pack("<HH", 2, 24) + bytes(24), Weight.DATA),
    "alignment": (0xD935, b"\4\0" + bytes(7), Weight.NOISE),
    "alignment with bytes": (0xD935, b"\4\0payload", Weight.DATA),
    "zeros": (0, bytes(8), Weight.NOISE),
    "bytes in zeros": (0, b"payload", Weight.DATA),
    "a Unix mode": (0x756E, bytes(14), Weight.DATA),
    "the mark of jars": (0xCAFE, b"", Weight.DATA),
    "unknown": (0x9999, b"", Weight.DATA),
}


@pytest.mark.parametrize("place", ["local", "central"])
@pytest.mark.parametrize("what", EXTRAS)
def test_extra_fields_are_noise_by_a_closed_list_and_data_else(tmp_path: Path, what: str, place: str) -> None:
    ident, data, weight = EXTRAS[what]
    part = Part("a.txt", b"x", **{place: {"extra": extra(ident, data)}})  # type: ignore[arg-type]
    found = read(tmp_path, zip_bytes([part]))
    field = found.details["a.txt"][f"{'local-' if place == 'local' else ''}extra:{ident:04x}"]
    assert (field.weight, found.codes) == (weight, set())


@pytest.mark.parametrize(("parts", "weight"), [([MANIFEST, A], Weight.NOISE), ([A, MANIFEST], Weight.NOISE), ([A], Weight.DATA)])
def test_the_mark_of_jars_is_noise_in_the_first_entry_of_a_jar(tmp_path: Path, parts: list[Part], weight: Weight) -> None:
    from dataclasses import replace

    marked = replace(parts[0], local={"extra": extra(0xCAFE)}, central={"extra": extra(0xCAFE)})
    found = read(tmp_path, zip_bytes([marked, *parts[1:]])).details[marked.name]
    assert {found[name].weight for name in ("extra:cafe", "local-extra:cafe")} == {weight}


def test_the_mark_of_jars_elsewhere_or_with_bytes_is_data(tmp_path: Path) -> None:
    later = Part("b", b"x", central={"extra": extra(0xCAFE)})
    full = Part(MANIFEST.name, b"x", central={"extra": extra(0xCAFE, b"x")})
    assert read(tmp_path, zip_bytes([MANIFEST, later])).details["b"]["extra:cafe"].weight is Weight.DATA
    assert read(tmp_path, zip_bytes([full])).details[MANIFEST.name]["extra:cafe"].weight is Weight.DATA


MODES = {
    "0644 by Unix": ({"mode": 0o100644}, "no"),
    "0755 by Unix": ({"mode": 0o100755}, "yes"),
    "0645 by Unix": ({"mode": 0o100645}, "yes"),
    "no mode by DOS": ({"mode": 0, "system": 0}, "no"),
    "0666 by DOS, as Python on Windows": ({"mode": 0o100666, "system": 0}, "no"),
    "0755 by DOS": ({"mode": 0o100755, "system": 0}, "as readers take mode 100755 of system 0"),
    "0755 by a Mac": ({"mode": 0o100755, "system": 19}, "as readers take mode 100755 of system 19"),
    "0755 without a type": ({"mode": 0o755}, "as readers take mode 755 of system 3"),
}


@pytest.mark.parametrize("what", MODES)
def test_the_executable_bit_is_data_where_all_readers_set_it_and_where_only_some_do(tmp_path: Path, what: str) -> None:
    facts, value = MODES[what]
    assert read(tmp_path, zip_bytes([Part("a", b"x", **facts)])).data("a") == {"executable": value}  # type: ignore[arg-type]


TEXTS = [b"\xff", b"\\xff", b"\\\\xff", b"a\xc3\xa9", b"a\\xc3\xe9", "a\u00e9".encode("latin-1")]


def test_no_two_comments_or_targets_look_alike(tmp_path: Path) -> None:
    comments = {read(tmp_path, zip_bytes([A], comment=text)).fields["comment"].value for text in TEXTS}
    members = {read(tmp_path, zip_bytes([Part("a", b"x", comment=text)])).value("a", "comment") for text in TEXTS}
    targets = {read(tmp_path, zip_bytes([Part("a", text, mode=0o120777)])).value("a", "target") for text in TEXTS}
    assert [len(found) for found in (comments, members, targets)] == [len(TEXTS)] * 3


def test_a_link_in_a_plain_zip_is_data_with_its_target(tmp_path: Path) -> None:
    found = read(tmp_path, zip_bytes([A, Part("l", b"a.txt", mode=0o120777)]))
    assert (found.members["l"].kind, found.value("l", "target"), found.codes) == (Kind.SYMLINK, "a.txt", set())
    other = read(tmp_path, zip_bytes([A, Part("l", b"b.txt", mode=0o120777)]))
    assert found.members["l"].raw != other.members["l"].raw


@pytest.mark.parametrize("parts", [wheel_parts(), [MANIFEST]])
def test_a_link_in_a_wheel_or_jar_is_structural(tmp_path: Path, parts: list[Part]) -> None:
    assert read(tmp_path, zip_bytes([*parts, Part("l", b"a.txt", mode=0o120777)])).codes == {"symlink"}


ODD_LINKS = {
    "an empty target": ([Part("l", b"", mode=0o120777)], {"symlink"}),
    "a target longer than a path may be": ([Part("l", b"x" * 4096, mode=0o120777)], {"symlink"}),
    "a target with a NUL": ([Part("l", b"a\0b", mode=0o120777)], {"symlink"}),
    "a link only on Unix": ([Part("l", b"a", mode=0o120777, system=0)], {"kind-differs"}),
    "a member below a link": ([Part("l", b"a", mode=0o120777), Part("l/x", b"x")], {"name-under-file"}),
    "a link named like a folder": ([Part("l/", b"a", mode=0o120777)], {"kind-differs"}),
}


@pytest.mark.parametrize("what", ODD_LINKS)
def test_a_link_that_readers_make_of_differently_is_structural_everywhere(tmp_path: Path, what: str) -> None:
    parts, codes = ODD_LINKS[what]
    assert read(tmp_path, zip_bytes(parts)).codes == codes


TWO_WAYS = {
    "a volume label": (Part("a", b"x", external=0o100644 << 16 | 8), {"kind-differs"}),
    "a version of VMS": (Part("a.py;1", b"x"), {"bad-name"}),
    "a bare semicolon at the end": (Part("a.py;", b"x"), {"bad-name"}),
    "a semicolon within": (Part("a;1.py", b"x"), set()),
    "a version that unzip does not have": (Part("a", b"x", central={"version": 63}), {"method"}),
    "a version that others do not have, in the local header": (Part("a", b"x", local={"version": 255}), {"method"}),
    "a version of zip64": (Part("a", b"x", central={"version": 45}, local={"version": 45}), set()),
    "an internal attribute by which unzip drops modes": (Part("a", b"x", mode=0o100755, internal=4), {"flags"}),
    "an internal attribute of records": (Part("a", b"x", internal=2), {"flags"}),
    "text by its internal attribute": (Part("a", b"x", internal=1), set()),
    "bzip2": (Part("a", b"x", method=12), {"method", "malformed-deflate"}),
    "zstd": (Part("a", b"x", method=93), {"method", "malformed-deflate"}),
}


@pytest.mark.parametrize("what", TWO_WAYS)
def test_what_some_readers_skip_and_others_take_is_structural(tmp_path: Path, what: str) -> None:
    part, codes = TWO_WAYS[what]
    assert read(tmp_path, zip_bytes([part])).codes == codes


REPEATED = {
    "the same field": extra(0x5455, b"\0") * 2,
    "a field of zeros with bytes, and zeros": extra(0, b"payload") + bytes(4),
    "two zip64 fields": extra(1) * 2,
    "too many fields": b"".join(extra(ident) for ident in range(1000, 1033)),
}


@pytest.mark.parametrize("what", REPEATED)
@pytest.mark.parametrize("place", ["local", "central"])
def test_extra_fields_that_repeat_or_do_not_end_are_structural(tmp_path: Path, what: str, place: str) -> None:
    part = Part("a", b"x", **{place: {"extra": REPEATED[what]}})  # type: ignore[arg-type]
    assert read(tmp_path, zip_bytes([part])).codes == {"malformed-extra"}


def test_an_end_record_in_an_extra_field_is_structural(tmp_path: Path) -> None:
    part = Part("a", b"x", central={"extra": extra(0x9999, b"PK\5\6" + bytes(18))})
    assert read(tmp_path, zip_bytes([part])).codes == {"comment"}


def with_end64(data: bytes, *, created: int = 45) -> bytes:
    tail = len(data) - 22
    (_, _, _, _, entries, length, offset, _) = struct.unpack("<4s4H2LH", data[tail:])
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, created, 45, 0, 0, entries, entries, length, offset)
    return data[:tail] + wide + struct.pack("<4sLQL", b"PK\x06\x07", 0, tail, 1) + data[tail:]


def test_the_versions_of_a_zip64_end_record_are_noise_that_is_told(tmp_path: Path) -> None:
    one, two = (read(tmp_path, with_end64(zip_bytes([A]), created=created)) for created in (45, 46))
    assert (one.canonical, one.codes, two.codes) == (two.canonical, set(), set())
    assert one.fields["zip64-versions"] != two.fields["zip64-versions"]


@pytest.mark.parametrize("signed", [True, False])
def test_a_descriptor_and_its_local_sizes_are_noise_that_is_told(tmp_path: Path, signed: bool) -> None:
    streamed = Part(A.name, A.data, flags=8, local={"crc": 0, "stored": 0, "size": 0}, after=descriptor(A.data, signed=signed))
    plain, found = read(tmp_path, zip_bytes([A])), read(tmp_path, zip_bytes([streamed]))
    assert (plain.canonical, found.codes) == (found.canonical, set())
    assert found.value("a.txt", "descriptor") == f"{16 if signed else 12} bytes"
    assert found.value("a.txt", "local-sizes") == "crc 00000000, 0 bytes, 0 inflated"


def test_another_deflate_stream_of_the_same_length_is_told(tmp_path: Path) -> None:
    packed = deflate(b"x")
    assert packed[-1] == 0  # seven bits of it fill the last byte
    other = Part(
        "a", packed[:-1] + b"\x80", method=0, local={"method": 8, "size": 1, "crc": 0x8CDC1683}, central={"method": 8, "size": 1, "crc": 0x8CDC1683}
    )
    one, two = read(tmp_path, zip_bytes([Part("a", b"x")])), read(tmp_path, zip_bytes([other]))
    assert (one.canonical, two.codes) == (two.canonical, set())
    assert one.value("a", "deflate") != two.value("a", "deflate")


FIRSTS = {
    "the manifest": ([MANIFEST, A], {"manifest-first": "yes", "signatures-first": "yes"}),
    "the folder, then the manifest": ([FOLDER, MANIFEST, A], {"manifest-first": "yes", "signatures-first": "yes"}),
    "another member": ([A, MANIFEST], {"manifest-first": "no", "signatures-first": "yes"}),
    "the folder, then another member": ([FOLDER, A, MANIFEST], {"manifest-first": "no", "signatures-first": "yes"}),
    "signatures behind the manifest": (SIGNED, {"manifest-first": "yes", "signatures-first": "yes"}),
    "a class before the signatures": ([SIGNED[0], SIGNED[3], *SIGNED[1:3]], {"manifest-first": "yes", "signatures-first": "no"}),
    "a class between the signatures": ([*SIGNED[:2], SIGNED[3], SIGNED[2]], {"manifest-first": "yes", "signatures-first": "no"}),
}


@pytest.mark.parametrize("what", FIRSTS)
def test_the_first_entries_of_a_jar_are_data(tmp_path: Path, what: str) -> None:
    parts, expected = FIRSTS[what]
    found = read(tmp_path, zip_bytes(parts))
    assert {name: field.value for name, field in found.fields.items()} == expected
    assert {field.weight for field in found.fields.values()} == {Weight.DATA}


def test_order_elsewhere_says_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, wheel())
    assert (found.ordered, found.fields, found.md5, found.stored) == (frozenset(), {}, {}, {})


def test_contents_beyond_the_budget_are_absent(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_bytes([A, Part("b", b"b")]))
    with open_pair(tmp_path / "x.zip", tmp_path / "x.zip") as (tree, _), tree.contents({"a.txt", "b", "none"}, 199) as found:
        assert {path: content.read() for path, content in found.items()} == {"b": b"b"}


def test_a_content_that_is_read_twice_is_inflated_once_and_forgotten_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    real = zipfiles.inflate_whole

    def counting(view: View, entry: Entry) -> bytes:
        counted.append(entry.name)
        return real(view, entry)

    monkeypatch.setattr(zipfiles, "inflate_whole", counting)
    (tmp_path / "x.zip").write_bytes(zip_bytes([A, Part("b", b"b", method=0)]))
    with open_artifact(tmp_path / "x.zip") as tree:
        for _ in range(2):
            with tree.contents({"a.txt", "b"}, 1000) as found:
                assert [found[path].read() for path in ("a.txt", "a.txt", "b", "b")] == [A.data, A.data, b"b", b"b"]
                assert [b"".join(found[path].chunks()) for path in ("a.txt", "b")] == [A.data, b"b"]
    assert counted == ["a.txt", "b"] * 2


BELOW = {
    "at once": (["a", "a/b"], True),
    "far below": (["a", "a/b/c/d"], True),
    "with others between": (["a", "a!", "a-b", "a.b/c", "a/z"], True),
    "in another case": (["A", "a/b"], True),
    "below a folder": (["a/", "a/b"], False),
    "beside it": (["a", "ab/c", "a.d/e", "b/a"], False),
}


@pytest.mark.parametrize("what", BELOW)
def test_a_file_that_is_a_folder_too_is_structural(tmp_path: Path, what: str) -> None:
    names, found = BELOW[what]
    for order in (names, names[::-1]):
        codes = read(tmp_path, zip_bytes([Part(name, mode=0o040755 if name.endswith("/") else 0o100644, method=0) for name in order])).codes
        assert codes == ({"name-under-file"} if found else set())


def test_deep_names_cost_no_more_than_their_bytes(tmp_path: Path) -> None:
    parts = [Part(f"{number}/" + "/".join(f"{number}-{part}" for part in range(60)), method=0) for number in range(500)]
    (tmp_path / "x.zip").write_bytes(zip_bytes(parts))
    tracemalloc.start()
    with open_artifact(tmp_path / "x.zip") as tree:
        assert tree.violations == ()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * (tmp_path / "x.zip").stat().st_size
