"""One compressed stream: exactly one member, stream or frame, its header known, nothing behind it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import struct
import zlib
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.artifact import open_artifact
from reprove.archive.limits import ArchiveError, LimitError, Limits
from reprove.archive.tree import Profile, Weight
from tests.archive.tars import Item, packed, tar
from tests.archive.trees import read

TEXT = b"some text that is no archive\n" * 40
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0hide"
HEADER_CRC = struct.pack("<H", zlib.crc32(packed(TEXT, flags=2)[:10]) & 0xFFFF)
HONEST = {
    "gzip": gzip.compress(TEXT),
    "gzip with a name": packed(TEXT, name=b"text"),
    "gzip with a checksum of its header": packed(TEXT, flags=2, extra=HEADER_CRC),
    "xz": lzma.compress(TEXT),
    "xz with crc32": lzma.compress(TEXT, check=lzma.CHECK_CRC32),
    "bzip2": bz2.compress(TEXT),
    "zstd": zstd.compress(TEXT),
}
ATTACKS = {
    "two gzip members": (gzip.compress(TEXT) * 2, "more-streams"),
    "an empty second gzip member": (gzip.compress(TEXT) + gzip.compress(b""), "more-streams"),
    "bytes behind gzip": (gzip.compress(TEXT) + b"hidden", "suffix"),
    "zeros behind gzip": (gzip.compress(TEXT) + bytes(512), "suffix"),
    "two xz streams": (lzma.compress(TEXT) * 2, "more-streams"),
    "xz padding": (lzma.compress(TEXT) + bytes(4), "suffix"),
    "bytes behind xz": (lzma.compress(TEXT) + b"hidden", "suffix"),
    "two bzip2 streams": (bz2.compress(TEXT) * 2, "more-streams"),
    "bytes behind bzip2": (bz2.compress(TEXT) + b"hidden", "suffix"),
    "two zstd frames": (zstd.compress(TEXT) * 2, "more-streams"),
    "a skippable frame behind zstd": (zstd.compress(TEXT) + SKIPPABLE, "more-streams"),
    "bytes behind zstd": (zstd.compress(TEXT) + b"hidden", "suffix"),
    "an extra field": (packed(TEXT, flags=4, extra=b"\x06\0hidden"), "stream-header"),
    "a comment": (packed(TEXT, flags=16, extra=b"hidden\0"), "stream-header"),
    "reserved flags": (packed(TEXT, flags=0x20), "stream-header"),
    "a false checksum of the header": (packed(TEXT, flags=2, extra=b"\0\0"), "stream-header"),
    "a false CRC": (gzip.compress(TEXT)[:-8] + bytes(4) + struct.pack("<L", len(TEXT)), "crc-differs"),
    "a false size": (gzip.compress(TEXT)[:-4] + bytes(4), "size-differs"),
}
DAMAGE = {
    "a skippable frame first": SKIPPABLE + zstd.compress(TEXT),
    "another method": b"\x1f\x8b\x07" + gzip.compress(TEXT)[3:],
    "a gzip header alone": gzip.compress(TEXT)[:9],
    "a gzip name without end": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 30,
    "a cut extra field": packed(TEXT, flags=4, extra=b"\xff\xff"),
    **{f"cut {name}": data[:-5] for name, data in HONEST.items()},
    **{f"half of {name}": data[: len(data) // 2] for name, data in HONEST.items()},
    "deflate that is none": HONEST["gzip"][:10] + b"\xff" * 30,
    "xz without its blocks": HONEST["xz"][:12] + b"\xff" * 40,
    "zstd that is none": HONEST["zstd"][:6] + b"\xff" * 40,
    "zstd with a dictionary": b"\x28\xb5\x2f\xfd\x03" + b"\xff" * 20,
}


@pytest.mark.parametrize("form", HONEST)
def test_an_honest_stream_is_one_file(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, HONEST[form])
    assert (found.profile, found.violations) == (Profile.STREAM, ())
    assert found.members[""].sha256 == hashlib.sha256(TEXT).hexdigest()
    assert found.contents[""] == TEXT
    assert found.fields["compression"].value == form.partition(" ")[0]
    assert {field.weight for field in found.fields.values()} == {Weight.NOISE}


@pytest.mark.parametrize("attack", ATTACKS)
def test_where_readers_stop_at_different_places_it_is_a_violation(tmp_path: Path, attack: str) -> None:
    data, code = ATTACKS[attack]
    found = read(tmp_path, data)
    assert found.codes == {code}
    assert data[: found.violations[0].offset]
    assert found.members[""].size == len(TEXT)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_said_to_be_damage(tmp_path: Path, damage: str) -> None:
    with pytest.raises(ArchiveError):
        read(tmp_path, DAMAGE[damage])


def test_gzip_facts_are_noise_with_their_values(tmp_path: Path) -> None:
    found = read(tmp_path, packed(TEXT, time=1704164644, name=b"a.txt", os=255))
    told = {name: field.value for name, field in found.fields.items()}
    assert (told["gzip:time"], told["gzip:name"], told["gzip:os"]) == ("2024-01-02 03:04:04", "a.txt", 255)
    assert read(tmp_path, packed(TEXT, level=1)).fields["gzip:deflate"] != found.fields["gzip:deflate"]


def test_blocks_and_check_of_xz_are_told(tmp_path: Path) -> None:
    told = read(tmp_path, lzma.compress(TEXT, check=lzma.CHECK_SHA256)).fields
    assert (told["xz:blocks"].value, told["xz:check"].value) == (1, "sha256")
    assert read(tmp_path, lzma.compress(TEXT, check=lzma.CHECK_NONE)).fields["xz:check"].value == "none"
    assert read(tmp_path, lzma.compress(b"")).fields["xz:blocks"].value == 0


def test_a_zstd_frame_is_told(tmp_path: Path) -> None:
    sized = read(tmp_path, zstd.compress(TEXT, options={zstd.CompressionParameter.checksum_flag: 1})).fields["zstd:frame"].value
    assert sized == f"single segment, {len(TEXT)} bytes in 2, checksum"
    machine = zstd.ZstdCompressor()
    streamed = read(tmp_path, machine.compress(TEXT) + machine.flush()).fields["zstd:frame"].value
    assert isinstance(streamed, str)
    assert streamed.startswith("window ")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstd.compress])
def test_a_stream_that_grows_without_end_is_a_limit(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    with pytest.raises(LimitError, match="become more than"):
        read(tmp_path, pack(bytes(2_000_000)), "", Limits(ratio_free=1_000_000, ratio=2))


WIDE = b"\x28\xb5\x2f\xfd\x00\x90" + HONEST["zstd"][7:]
"""A frame whose header asks for a window of 256 MiB."""


@pytest.mark.parametrize("data", [lzma.compress(TEXT, preset=9), WIDE])
def test_a_stream_that_needs_too_much_memory_is_a_limit(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(LimitError, match=r"memory|window"):
        read(tmp_path, data, "", Limits(window=1 << 20))


@pytest.mark.parametrize("pack", [packed, lzma.compress, bz2.compress, zstd.compress])
def test_a_packed_tar_is_its_tar(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    plain = read(tmp_path, tar(Item("top/a", b"content")))
    found = read(tmp_path, pack(tar(Item("top/a", b"content"))))
    assert found.canonical == plain.canonical
    assert found.contents == plain.contents == {"top/a": b"content"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(HONEST)), st.binary(min_size=1, max_size=8))
def test_nothing_can_stand_behind_a_stream(tmp_path: Path, form: str, extra: bytes) -> None:
    (tmp_path / "x").write_bytes(HONEST[form] + extra)
    with open_artifact(tmp_path / "x") as tree:
        assert [violation.offset for violation in tree.violations] == [len(HONEST[form])]


@pytest.mark.parametrize("form", HONEST)
def test_no_bit_of_a_small_stream_can_change_unseen(tmp_path: Path, form: str) -> None:
    """Every flip of a bit is damage, a violation, other content, or another value of a field."""
    base = read(tmp_path, HONEST[form])
    for at in range(len(HONEST[form])):
        for bit in (1, 128):
            data = bytearray(HONEST[form])
            data[at] ^= bit
            try:
                found = read(tmp_path, bytes(data))
            except ArchiveError:
                continue
            assert found.codes or found.told != base.told, (at, bit)
