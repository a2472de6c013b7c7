"""Writers of tar, ar, deb and gem that can lie in every field."""

from __future__ import annotations

import gzip
import lzma
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = 512
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
TIME = 1704164644
"""2024-01-02 03:04:04 UTC."""
END = bytes(2 * BLOCK)


@dataclass
class Item:
    """One header block and its content. ``size`` and ``checksum`` are true unless given; texts and numbers may be given as raw bytes."""

    name: bytes | str = b"top/a"
    data: bytes = b""
    kind: bytes = b"0"
    mode: int | bytes = 0o644
    uid: int | bytes = 0
    gid: int | bytes = 0
    size: int | bytes | None = None
    time: int | bytes = TIME
    link: bytes | str = b""
    magic: bytes = USTAR
    user: bytes = b"root"
    group: bytes = b"root"
    major: int | bytes = 0
    minor: int | bytes = 0
    prefix: bytes = b""
    tail: bytes = b""
    checksum: bytes | None = None
    padding: bytes | None = None

    def header(self) -> bytes:
        old = self.magic == V7
        parts = [
            _raw(self.name).ljust(100, b"\0"),
            octal(self.mode, 8),
            octal(self.uid, 8),
            octal(self.gid, 8),
            octal(len(self.data) if self.size is None else self.size, 12),
            octal(self.time, 12),
            b" " * 8,
            self.kind,
            _raw(self.link).ljust(100, b"\0"),
            self.magic,
            (b"" if old else self.user).ljust(32, b"\0"),
            (b"" if old else self.group).ljust(32, b"\0"),
            bytes(8) if old else octal(self.major, 8),
            bytes(8) if old else octal(self.minor, 8),
            self.prefix.ljust(155, b"\0"),
            self.tail.ljust(12, b"\0"),
        ]
        block = b"".join(parts)
        assert len(block) == BLOCK
        checksum = b"%06o\0 " % sum(block) if self.checksum is None else self.checksum
        return block[:148] + checksum + block[156:]

    def written(self) -> bytes:
        room = -len(self.data) % BLOCK
        return self.header() + self.data + (bytes(room) if self.padding is None else self.padding)


def _raw(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def octal(value: int | bytes, width: int) -> bytes:
    """A number as most writers spell it, or bytes as they are."""
    return value.ljust(width, b"\0") if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)


def tar(*items: Item | bytes, end: bytes = END) -> bytes:
    return b"".join(item if isinstance(item, bytes) else item.written() for item in items) + end


def record(key: bytes | str, value: bytes | str) -> bytes:
    body = b" " + _raw(key) + b"=" + _raw(value) + b"\n"
    size = len(body)
    while len(b"%d" % size) + len(body) != size:
        size = len(b"%d" % size) + len(body)
    return b"%d" % size + body


def pax(*pairs: tuple[bytes | str, bytes | str], kind: bytes = b"x", payload: bytes | None = None) -> Item:
    """An extended header; ``payload`` instead of pairs writes anything."""
    data = b"".join(record(key, value) for key, value in pairs) if payload is None else payload
    return Item("PaxHeaders/x", data, kind=kind)


def long_name(name: bytes | str, kind: bytes = b"L") -> Item:
    return Item("././@LongLink", _raw(name) + b"\0", kind=kind, magic=GNU, time=0)


def packed(data: bytes, *, time: int = TIME, name: bytes = b"", flags: int = 0, extra: bytes = b"", os: int = 3, level: int = 6) -> bytes:
    """One gzip member; ``extra`` is whatever stands between the fixed header and the deflate data."""
    machine = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = machine.compress(data) + machine.flush()
    flags |= 8 if name else 0
    head = struct.pack("<2sBBLBB", b"\x1f\x8b", 8, flags, time, 0, os) + extra + (name + b"\0" if name else b"")
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data))


def ar_part(name: bytes | str, data: bytes, *, time: bytes = b"1704164644", uid: bytes = b"0", mode: bytes = b"100644", pad: bytes = b"\n") -> bytes:
    head = _raw(name).ljust(16) + time.ljust(12) + uid.ljust(6) + b"0".ljust(6) + mode.ljust(8) + (b"%d" % len(data)).ljust(10) + b"`\n"
    return head + data + (pad if len(data) % 2 else b"")


def ar(*parts: bytes) -> bytes:
    return b"!<arch>\n" + b"".join(parts)


def folder(name: str, **fields: int) -> Item:
    return Item(name, kind=b"5", mode=fields.get("mode", 0o755))


def control_tar(text: bytes = b"Package: demo\nVersion: 1\n") -> bytes:
    return tar(folder("./"), Item("./control", text))


def data_tar(*items: Item) -> bytes:
    return tar(folder("./"), folder("./usr/"), *(items or (Item("./usr/x", b"content", mode=0o755),)))


def deb(
    *, control: bytes | None = None, data: bytes | None = None, before: Iterable[bytes] = (), after: Iterable[bytes] = (), version: bytes = b"2.0\n"
) -> bytes:
    """An honest package of two .tar.xz, but for what is given."""
    parts = [
        ar_part("debian-binary", version),
        *before,
        ar_part("control.tar.xz", lzma.compress(control_tar() if control is None else control)),
        ar_part("data.tar.xz", lzma.compress(data_tar() if data is None else data)),
        *after,
    ]
    return ar(*parts)


def gem(*extra: Item, data: bytes | None = None, metadata: bytes = b"--- !ruby/object:Gem::Specification\nname: demo\n") -> bytes:
    inner = tar(Item("lib/demo.rb", b"puts 1\n")) if data is None else data
    return tar(
        Item("metadata.gz", gzip.compress(metadata, mtime=0), mode=0o444),
        Item("data.tar.gz", gzip.compress(inner, mtime=0), mode=0o444),
        Item("checksums.yaml.gz", gzip.compress(b"---\nSHA256:\n", mtime=0), mode=0o444),
        *extra,
    )
