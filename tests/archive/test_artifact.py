"""Any file becomes a tree: its format by its bytes, its profile by content and name, its contents on demand, two files at once."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import random
import tempfile
from pathlib import Path
from threading import Event, Timer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive import artifact, parts, readers
from reprove.archive.artifact import open_artifact, open_pair
from reprove.archive.limits import ArchiveError, LimitError
from reprove.archive.tree import Kind, Profile
from tests.archive.tars import END, Item, ar, ar_part, control_tar, deb, folder, gem, long_name, packed, pax, tar
from tests.archive.trees import Read, read

SDIST = packed(tar(Item("demo-1/PKG-INFO", b"Name: demo\n"), Item("demo-1/a.py", b"x = 1\n")))
NPM = packed(tar(Item("package/package.json", b"{}"), Item("package/index.js", b"1\n")))
CRATE = packed(tar(Item("demo-1/Cargo.toml", b"x"), Item("demo-1/Cargo.toml.orig", b"y")))
PROFILES = {
    "an sdist": (SDIST, "", Profile.SDIST),
    "an npm package": (NPM, "", Profile.NPM),
    "an npm package with more": (packed(tar(Item("package/package.json"), Item("other"))), "", Profile.TAR),
    "a crate": (CRATE, "", Profile.CRATE),
    "a crate by name": (packed(tar(Item("demo-1/Cargo.toml", b"x"))), "demo-1.crate", Profile.CRATE),
    "a gem": (gem(), "", Profile.GEM),
    "a deb": (deb(), "", Profile.DEB),
    "a tar": (tar(Item("a")), "", Profile.TAR),
    "a plain tar of an sdist": (tar(Item("demo-1/PKG-INFO")), "", Profile.TAR),
    "a library": (ar(ar_part("a.o/", b"x")), "liba.a", Profile.AR),
    "an empty library": (ar(), "", Profile.AR),
    "a stream": (gzip.compress(b"text"), "", Profile.STREAM),
    "an empty tar by name": (bytes(10240), "x.tar", Profile.TAR),
    "an empty packed tar by name": (gzip.compress(bytes(10240)), "x.tar.gz", Profile.TAR),
    "zeros": (bytes(10240), "", Profile.BYTES),
    "text": (b"text", "", Profile.BYTES),
    "nothing": (b"", "", Profile.BYTES),
}


@pytest.mark.parametrize("what", PROFILES)
def test_the_profile_is_known(tmp_path: Path, what: str) -> None:
    data, name, profile = PROFILES[what]
    found = read(tmp_path, data, name)
    assert (found.profile, found.violations) == (profile, ())


def test_unknown_bytes_are_one_file(tmp_path: Path) -> None:
    found = read(tmp_path, b"text")
    assert found.order == [""]
    assert found.members[""].kind is Kind.FILE
    assert found.members[""].sha256 == hashlib.sha256(b"text").hexdigest()
    assert found.contents == {"": b"text"}


def test_a_gem_is_one_tree(tmp_path: Path) -> None:
    data = gem()
    found = read(tmp_path, data)
    assert found.order == ["metadata", "data.tar", "data.tar!/lib/demo.rb", "checksums.yaml"]
    assert found.contents["metadata"].startswith(b"--- !ruby")
    assert found.contents["data.tar!/lib/demo.rb"] == b"puts 1\n"
    inner = gzip.compress(tar(Item("lib/demo.rb", b"puts 1\n")), mtime=0)
    assert found.stored["data.tar.gz"].sha256 == hashlib.sha256(inner).hexdigest()
    assert found.stored["data.tar.gz"].sha512 == hashlib.sha512(inner).hexdigest()
    assert set(found.stored) == {"metadata.gz", "data.tar.gz", "checksums.yaml.gz"}
    assert found.value("metadata", "gzip:time") == "none"
    assert found.value("data.tar", "compression") == "gzip"
    assert found.ordered == frozenset()


GEMS = {
    "an extra member": (gem(Item("evil", b"x")), "layout"),
    "a member twice": (gem(Item("metadata.gz", gzip.compress(b"x"))), "duplicate-name"),
    "no data": (tar(Item("metadata.gz", gzip.compress(b"x"))), "layout"),
    "a set-id bit inside": (gem(data=tar(Item("lib/x", mode=0o4755))), "set-id"),
    "a hidden file inside": (gem(data=tar(Item("lib/x")) + tar(Item("lib/y"))), "suffix"),
    "a link for metadata": (tar(Item("metadata.gz", kind=b"2", link="x"), Item("data.tar.gz", gzip.compress(tar(Item("a"))))), "layout"),
}


@pytest.mark.parametrize("what", GEMS)
def test_a_gem_that_leaves_a_doubt_is_a_violation(tmp_path: Path, what: str) -> None:
    data, code = GEMS[what]
    assert code in read(tmp_path, data, "x.gem").codes


def test_signatures_of_a_gem_are_files(tmp_path: Path) -> None:
    found = read(tmp_path, gem(Item("metadata.gz.sig", b"x")))
    assert (found.violations, found.contents["metadata.gz.sig"]) == ((), b"x")


def _pair(folder_: Path, one: bytes, other: bytes) -> tuple[Read, Read]:
    (folder_ / "one").write_bytes(one)
    (folder_ / "other").write_bytes(other)
    with open_pair(folder_ / "one", folder_ / "other") as (left, right):
        return Read(left), Read(right)


@pytest.mark.parametrize("at_once", [0, 1 << 30])
def test_a_pair_is_read_as_each_of_its_sides(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "_BOTH_AT_ONCE", at_once)
    for one, other in ((deb(), deb(control=control_tar(b"other"))), (SDIST, NPM), (gem(), deb())):
        left, right = _pair(tmp_path, one, other)
        for mine, alone in ((left, read(tmp_path, one)), (right, read(tmp_path, other))):
            assert (mine.told, mine.contents, mine.md5, mine.canonical) == (alone.told, alone.contents, alone.md5, alone.canonical)


@pytest.mark.parametrize("at_once", [0, 1 << 30])
def test_what_both_sides_hold_packed_alike_is_read_once(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[str] = []

    class Counted(readers.Walk):
        def run(self) -> readers.Tar:
            walked.append(self.container)
            return super().run()

    monkeypatch.setattr(artifact, "_BOTH_AT_ONCE", at_once)
    monkeypatch.setattr(readers, "Walk", Counted)
    _pair(tmp_path, deb(), deb(control=control_tar(b"other")))
    assert sorted(walked) == ["control.tar", "control.tar", "data.tar"]


@pytest.mark.parametrize("at_once", [0, 1 << 30])
def test_a_side_that_cannot_be_read_is_a_fault_of_the_pair(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "_BOTH_AT_ONCE", at_once)
    broken = deb()[:-40]
    for one, other in ((deb(), broken), (broken, deb()), (broken, broken)):
        with pytest.raises(ArchiveError):
            _pair(tmp_path, one, other)


@pytest.mark.parametrize("in_a_thread", [0, 1 << 30])
def test_contents_take_no_more_than_their_budget(tmp_path: Path, in_a_thread: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_IN_A_THREAD", in_a_thread)
    (tmp_path / "x").write_bytes(packed(tar(Item("a", b"1" * 900), Item("b", b"2" * 900), Item("c", b"3" * 90))))
    with open_artifact(tmp_path / "x") as tree:
        for paths, budget, expected in (("abc", 1000, "ac"), ("b", 899, ""), ("bc", 10**6, "bc"), ("c", 90, "c"), ("z", 90, "")):
            with tree.contents(set(paths), budget) as contents:
                assert set(contents) == set(expected)
                assert len(contents) == len(expected)
                assert all(contents[path].size for path in expected)
                assert contents.get("nothing") is None
                assert all(content.read() == b"".join(content.chunks()) for content in contents.values())
                assert sum(content.size for content in contents.values()) <= budget


def test_contents_that_nobody_looks_at_are_not_read_to_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_IN_A_THREAD", 0)
    read_, written = Event(), parts.Span.read

    def slow(self: parts.Span, at: int, size: int) -> bytes:
        assert read_.wait(10)
        return written(self, at, size)

    (tmp_path / "x").write_bytes(packed(tar(Item("a", random.Random(1).randbytes(3_000_000)))))
    with open_artifact(tmp_path / "x") as tree:
        monkeypatch.setattr(parts.Span, "read", slow)
        with tree.contents({"a"}, 1 << 24) as contents:
            assert isinstance(contents, parts.Later)
            Timer(0.05, read_.set).start()
        assert dict(contents) == {}


def test_a_full_disk_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(packed(tar(Item("a", b"1" * 900))))

    def full() -> object:
        return open("/dev/full", "wb", buffering=0)  # noqa: PTH123

    with open_artifact(tmp_path / "x") as tree:
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        with pytest.raises(LimitError, match="No space left"), tree.contents({"a"}, 1000):
            pass


def test_a_file_that_is_cut_while_it_is_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(tar(Item("a", b"1" * 900)))
    with open_artifact(tmp_path / "x") as tree, tree.contents({"a"}, 1000) as contents:
        os.truncate(tmp_path / "x", 600)
        with pytest.raises(ArchiveError, match="shorter"):
            contents["a"].read()


SMALL = {
    "a tar": tar(Item("top/a", b"x", time=0), pax(("mtime", "1.5")), Item("top/b", b"y"), end=END),
    "a tar with long names": tar(long_name("top/" + "n" * 110), Item("top/" + "n" * 96, b"z"), folder("d/"), Item("d/l", kind=b"2", link="x")),
    "a packed tar": packed(tar(Item("top/a", b"x"))),
    "a deb": ar(
        ar_part("debian-binary", b"2.0\n"), ar_part("control.tar", tar(Item("control", b"P"))), ar_part("data.tar.xz", lzma.compress(tar(Item("x"))))
    ),
    "a library": ar(ar_part("//", b"a-long-name-of-an-object.o/\n"), ar_part("/0", b"x"), ar_part("b.o/", b"yy")),
    "a gem": gem(metadata=b"m", data=tar(Item("a", b"b"))),
}
_STEP = {"a packed tar": 1, "a deb": 5, "a gem": 11}


@pytest.mark.parametrize("what", SMALL)
def test_every_byte_is_accounted_for(tmp_path: Path, what: str) -> None:
    """Any other value of any byte is damage, a violation, another member or another field."""
    data = SMALL[what]
    base = read(tmp_path, data)
    assert base.violations == ()
    draw = random.Random(1)
    for at in range(0, len(data), _STEP.get(what, 3)):
        changed = bytearray(data)
        changed[at] ^= 1 << draw.randrange(8)
        try:
            found = read(tmp_path, bytes(changed))
        except ArchiveError:
            continue
        assert found.codes or found.told != base.told, at


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=12)), max_size=6),
    st.integers(0, 1 << 16),
)
def test_only_archive_errors_come_out(tmp_path: Path, what: str, changes: list[tuple[int, bytes]], cut: int) -> None:
    """And what comes out without a violation says everything: told alike, the bytes are the same."""
    original = SMALL[what]
    data = bytearray(original)
    for at, new in changes:
        place = at % len(data)
        data[place : place + len(new)] = new
    del data[cut + 1 :]
    (tmp_path / "x").write_bytes(bytes(data))
    try:
        with open_artifact(tmp_path / "x", name="x.tar") as tree:
            found = Read(tree)
    except ArchiveError:
        return
    if not found.violations and found.told == read(tmp_path, original, "x.tar").told:
        assert bytes(data) == original
