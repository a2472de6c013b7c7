"""A zip writer that can lie in every field, and small honest wheels and sdists."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TIME = struct.pack("<HH", 3 << 11 | 4 << 5 | 2, (2024 - 1980) << 9 | 1 << 5 | 2)
"""2024-01-02 03:04:04 as DOS time and date words."""
LATER = struct.pack("<HH", 5 << 11 | 6 << 5 | 4, (2024 - 1980) << 9 | 1 << 5 | 2)
MTIME = 1704164644
"""The same moment as TIME in seconds, UTC."""
UPLOADED = MTIME + 7200


@dataclass
class Part:
    """One member to write. ``local`` and ``central`` override fields of one header: name, flags, method, crc, stored, size, version, extra, time."""

    name: str
    data: bytes = b""
    method: int = 8
    mode: int = 0o100644
    time: bytes = TIME
    flags: int = 0
    system: int = 3
    external: int | None = None
    internal: int = 0
    local: Mapping[str, object] = field(default_factory=dict)
    central: Mapping[str, object] = field(default_factory=dict)
    after: bytes = b""
    before: bytes = b""
    at: int | None = None
    comment: bytes = b""
    listed: bool = True


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def descriptor(data: bytes, *, signed: bool = True) -> bytes:
    body = struct.pack("<LLL", zlib.crc32(data), len(deflate(data)), len(data))
    return (b"PK\x07\x08" if signed else b"") + body


def zip_bytes(
    parts: Iterable[Part],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    in_directory: bytes = b"",
    after_directory: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    end: Mapping[str, int] | None = None,
) -> bytes:
    out = bytearray(prefix)
    central = bytearray()
    count = 0
    for part in parts:
        raw = part.name.encode("utf-8", "surrogateescape")
        stored = deflate(part.data) if part.method == 8 else part.data
        facts: dict[str, object] = {"name": raw, "flags": part.flags, "method": part.method, "crc": zlib.crc32(part.data)}
        facts |= {"stored": len(stored), "size": len(part.data), "version": 20, "extra": b"", "time": part.time}
        out += part.before
        offset = len(out) if part.at is None else part.at
        lo = facts | dict(part.local)
        if part.at is None:
            out += struct.pack("<4s3H4s3L2H", b"PK\x03\x04", *_numbers(lo), len(lo["name"]), len(lo["extra"]))  # type: ignore[arg-type]
            out += lo["name"] + lo["extra"] + stored + part.after  # type: ignore[operator]
        if not part.listed:
            continue
        ce = facts | dict(part.central)
        external = part.mode << 16 | (0x10 if part.name.endswith("/") else 0) if part.external is None else part.external
        lengths = (len(ce["name"]), len(ce["extra"]), len(part.comment))  # type: ignore[arg-type]
        central += struct.pack("<4s4H4s3L5H2L", b"PK\x01\x02", part.system << 8 | 20, *_numbers(ce), *lengths, 0, part.internal, external, offset)
        central += ce["name"] + ce["extra"] + part.comment  # type: ignore[operator]
        count += 1
    out += before_directory
    central += in_directory
    values = {"entries": count, "length": len(central), "offset": len(out), **(end or {})}
    out += central + after_directory
    out += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, values["entries"], values["entries"], values["length"], values["offset"], len(comment))
    return bytes(out) + comment + suffix


def _numbers(facts: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(facts[key] for key in ("version", "flags", "method", "time", "crc", "stored", "size"))


def record_row(name: str, data: bytes) -> str:
    return f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"


def wheel_parts(
    files: Mapping[str, bytes] | None = None, *, time: bytes = TIME, info_time: bytes | None = None, record: bytes | None = None
) -> list[Part]:
    """The parts of an honest wheel ``demo-1.0-py3-none-any.whl``; only RECORD can be given false."""
    payload = {"demo/__init__.py": b"x = 1\n", "demo/core.py": b"def f():\n    return 1\n"} if files is None else dict(files)
    info = {
        "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: bdist_wheel (0.40.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n",
    }
    rows = [record_row(name, data) for name, data in {**payload, **info}.items()] + ["demo-1.0.dist-info/RECORD,,"]
    info["demo-1.0.dist-info/RECORD"] = ("\n".join(rows) + "\n").encode() if record is None else record
    parts = [Part(name, data, time=time) for name, data in payload.items()]
    return parts + [Part(name, data, time=info_time or time) for name, data in info.items()]


def wheel(files: Mapping[str, bytes] | None = None, **options: bytes) -> bytes:
    return zip_bytes(wheel_parts(files, **options))


def sdist(files: Mapping[str, bytes] | None = None, *, mtime: int = MTIME, extra: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> bytes:
    """``demo-1.0.tar.gz``; ``extra`` are raw members."""
    content = {"demo/__init__.py": b"x = 1\n", "demo/core.py": b"def f():\n    return 1\n", "setup.py": b"from setuptools import setup\nsetup()\n"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, data in (content if files is None else files).items():
            info = tarfile.TarInfo("demo-1.0/" + name)
            info.size, info.mtime, info.mode = len(data), mtime, 0o644
            archive.addfile(info, io.BytesIO(data))
        for info, data in extra:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
