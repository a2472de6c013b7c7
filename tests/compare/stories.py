"""Small honest artifacts of every format, and what the comparer says of two of them, in one word."""

from __future__ import annotations

import base64
import gzip
import hashlib
import lzma
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from tests.archive import tars
from tests.archive.tars import Item, ar_part, data_tar, folder, packed, tar
from tests.archive.zips import Part, wheel_parts, zip_bytes

WHEEL_NAME = "demo-1.0-py3-none-any.whl"
NAMES = {
    "wheel": WHEEL_NAME,
    "jar": "demo-1.0.jar",
    "zip": "demo-1.0.zip",
    "sdist": "demo-1.0.tar.gz",
    "npm": "demo-1.0.tgz",
    "crate": "demo-1.0.crate",
    "gem": "demo-1.0.gem",
    "deb": "demo_1.0_all.deb",
    "tar": "demo-1.0.tar",
    "ar": "libdemo.a",
    "gz": "demo.txt.gz",
}
EQUAL = frozenset({"bitwise", "times-stamped", "canonical", "normalized", "semantic"})
MANIFEST = "META-INF/MANIFEST.MF"


class Story(NamedTuple):
    """Two artifacts of one format. ``verdict`` is a level or an outcome."""

    form: str
    old: bytes
    new: bytes
    verdict: str


def compared(folder_: Path, form: str, old: bytes, new: bytes) -> Comparison:
    """Both on disk under the name that their format has, compared without a source."""
    for name, data in (("original", old), ("rebuilt", new)):
        (folder_ / name).write_bytes(data)
    return compare_files(folder_ / "original", folder_ / "rebuilt", names=(NAMES[form],) * 2)


def verdict(result: Comparison) -> str:
    """The level where there is one, else the outcome."""
    return result.outcome.value if result.level is None else result.level.value


def judge(folder_: Path, story: Story, *, turned: bool = False) -> str:
    old, new = (story.new, story.old) if turned else (story.old, story.new)
    return verdict(compared(folder_, story.form, old, new))


def changed(parts: Iterable[Part], index: int = 0, **fields: object) -> list[Part]:
    """The parts with some fields of one of them set."""
    return [replace(part, **fields) if number == index else part for number, part in enumerate(parts)]  # type: ignore[arg-type]


def zip_parts() -> list[Part]:
    return [Part("top/a.txt", b"alpha" * 20), Part("top/b.sh", b"#!/bin/sh\n" * 9, mode=0o100755), Part("top/empty.txt")]


def jar_parts(section: bytes = b"") -> list[Part]:
    text = b"Manifest-Version: 1.0\r\nMain-Class: demo.A\r\n\r\n" + section
    return [Part(MANIFEST, text), Part("demo/A.class", b"\xca\xfe\xba\xbe" * 9), Part("demo/b.properties", b"b=1\n")]


def jar_digest(data: bytes, name: str = "demo/A.class") -> bytes:
    """A named section of a signed jar's manifest."""
    return f"Name: {name}\r\nSHA-256-Digest: {base64.b64encode(hashlib.sha256(data).digest()).decode()}\r\n\r\n".encode()


def sdist_items() -> list[Item | bytes]:
    return [Item("demo-1.0/PKG-INFO", b"Name: demo\n"), Item("demo-1.0/a.py", b"x = 1\n"), Item("demo-1.0/run.sh", b"#!/bin/sh\n", mode=0o755)]


def npm_items() -> list[Item | bytes]:
    return [Item("package/package.json", b"{}"), Item("package/index.js", b"1\n"), Item("package/cli.js", b"2\n", mode=0o755)]


def crate_items() -> list[Item | bytes]:
    return [Item("demo-1.0/Cargo.toml", b"x"), Item("demo-1.0/Cargo.toml.orig", b"y"), Item("demo-1.0/src/lib.rs", b"z\n")]


def tar_items() -> list[Item | bytes]:
    return [Item("top/a", b"content"), Item("top/run", b"#!/bin/sh\n", mode=0o755), Item("top/l", kind=b"2", link="a")]


ITEMS = {"sdist": sdist_items, "npm": npm_items, "crate": crate_items, "tar": tar_items}


def of_items(form: str, items: Iterable[Item | bytes]) -> bytes:
    """The tar of a format, compressed where the format is."""
    data = tar(*items)
    return data if form == "tar" else packed(data)


def with_item(form: str, index: int, **fields: object) -> bytes:
    """An honest tar of the format with some fields of one member set."""
    items = ITEMS[form]()
    items[index] = replace(items[index], **fields)  # type: ignore[type-var]
    return of_items(form, items)


def md5sums_tar(rows: bytes) -> bytes:
    return tar(folder("./"), Item("./control", b"Package: demo\nVersion: 1\n"), Item("./md5sums", rows))


def md5_row(data: bytes, path: str) -> bytes:
    return f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path}\n".encode()


def gem(inner: bytes | None = None, checksums: bytes | None = None, *, time: int = 0, extra: Iterable[Item] = ()) -> bytes:
    """A gem whose checksums hold, unless they are given."""
    metadata = gzip.compress(b"--- !ruby/object:Gem::Specification\nname: demo\n", mtime=time)
    data = gzip.compress(tar(Item("lib/demo.rb", b"puts 1\n")) if inner is None else inner, mtime=time)
    if checksums is None:
        rows = [f"  {name}: {hashlib.sha256(raw).hexdigest()}\n" for name, raw in (("metadata.gz", metadata), ("data.tar.gz", data))]
        checksums = ("---\nSHA256:\n" + "".join(rows)).encode()
    parts = [Item("metadata.gz", metadata), Item("data.tar.gz", data), Item("checksums.yaml.gz", gzip.compress(checksums, mtime=time))]
    return tar(*parts, *extra)


def deb(*items: Item, time: bytes = b"1704164644", level: int = 6) -> bytes:
    """A package with a true ``md5sums``, of two .tar.xz."""
    control = md5sums_tar(md5_row(b"content", "usr/x"))
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(control)), ("data.tar.xz", lzma.compress(data_tar(*items), preset=level))]
    return tars.ar(*(ar_part(name, data, time=time) for name, data in parts))


def library(*parts: tuple[str, bytes], time: bytes = b"0") -> bytes:
    return tars.ar(*(ar_part(name, data, time=time) for name, data in parts or (("a.o/", b"one"), ("b.o/", b"two2"))))


def honest(form: str) -> bytes:
    """An honest artifact of the format."""
    if form in ITEMS:
        return of_items(form, ITEMS[form]())
    made = {
        "wheel": lambda: zip_bytes(wheel_parts()),
        "jar": lambda: zip_bytes(jar_parts()),
        "zip": lambda: zip_bytes(zip_parts()),
        "gem": gem,
        "deb": deb,
        "ar": library,
        "gz": lambda: packed(b"text\n" * 9),
    }
    return made[form]()
