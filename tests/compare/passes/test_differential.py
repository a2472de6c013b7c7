"""What passes make equal reads the same by a reader that knows nothing of them, but for what the pass names."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.compare.passes.registry import PASSES
from tests.compare.anatomies import samples
from tests.compare.anatomies.test_lossless import edits
from tests.compare.passes.cases import EQUAL
from tests.compare.passes.test_passes import OVER_PIECES, left, mask


def metadata(data: bytes) -> object:
    message = message_from_bytes(data)
    requirements = [str(value) for name, value in message.items() if name.lower() == "requires-dist"]
    return requirements, sorted((name, str(value)) for name, value in message.items()), message.get_payload(), message.defects == []


def wheel(data: bytes) -> object:
    message = message_from_bytes(data)
    return sorted((name, str(value)) for name, value in message.items() if name.lower() != "generator"), message.get_payload()


def properties(data: bytes) -> object:
    """java.util.Properties, as far as these texts go: logical lines without comments."""
    lines = re.sub(rb"(?<!\\)((?:\\\\)*)\\(?:\r\n|\r|\n)[ \t\f]*", rb"\1", data)
    return sorted(line.lstrip(b" \t\f") for line in re.split(rb"\r\n|\r|\n", lines) if line.lstrip(b" \t\f")[:1] not in (b"#", b"!", b""))


def manifest(data: bytes) -> object:
    """java.util.jar.Manifest without the attributes that name who built it, and digests."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n ", b"")
    sections = re.split(rb"\n{2,}", text)
    main = [line for line in sections[0].split(b"\n") if not line.startswith((b"Built-By:", b"Build-Jdk:", b"Git-Commit-Id:"))]
    rest = [[line for line in section.split(b"\n") if line and b"-Digest:" not in line] for section in sections[1:]]
    exported = [line for line in main if line.startswith(b"Export-Package:")]
    others = [line for line in main if not line.startswith(b"Export-Package:")]
    kept = [section for section in rest if len(section) > 1]
    return others, [sorted(line.partition(b": ")[2].replace(b",", b" ").split()) and len(line) for line in exported], kept


def crate(data: bytes) -> object:
    found = json.loads(data)
    if isinstance(found.get("git"), dict):
        found["git"] = {**found["git"], "sha1": ""}
    return found


def unhashed(data: bytes) -> object:
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    return [row for row in rows if len(row) != 3 or not row[1]]


def unpacked(data: bytes) -> object:
    return gzip.decompress(data)


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "metadata": (samples.METADATA, metadata),
    "wheel": (samples.WHEEL, wheel),
    "properties": (samples.POM, properties),
    "manifest": (samples.MANIFEST, manifest),
    "crate": (samples.CARGO, crate),
    "record": (samples.RECORD, unhashed),
    "gzip": (samples.gz(), unpacked),
}
ANATOMIES = {"metadata": "wheel-metadata", "wheel": "wheel-metadata", "crate": "json"}
WITHOUT = {"properties": {"jar-git-properties"}, "crate": {"jar-git-json"}}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=80, deadline=None)
@given(first=edits(), second=edits(), other=st.data())
def test_what_is_equal_reads_the_same(name: str, first: Callable[[bytes], bytes], second: Callable[[bytes], bytes], other: st.DataObject) -> None:
    sample, read = READERS[name]
    passes = [one for one in OVER_PIECES if mask(one).anatomy.name == ANATOMIES.get(name, name) and one.id not in WITHOUT.get(name, set())]
    assert passes
    start = first(sample) if other.draw(st.booleans()) else sample
    end = second(start)
    old, new = mask(passes[0]).anatomy.split(start), mask(passes[0]).anatomy.split(end)
    if old is not None and new is not None and left(passes, old) == left(passes, new):
        assert read(start) == read(end)


def test_the_readers_see_what_passes_leave_out() -> None:
    """The readers agree on the pairs that passes make equal, so they are no stricter than the passes."""
    seen = 0
    for pair in EQUAL:
        for name, (_, read) in READERS.items():
            anatomy = mask(next(one for one in PASSES if one.id == pair.id)).anatomy.name
            if anatomy == ANATOMIES.get(name, name) and pair.id not in WITHOUT.get(name, set()) | {"wheel-generator", "wheel-metadata-order"}:
                assert read(pair.old) == read(pair.new), (pair.id, name)
                seen += 1
    assert seen > 6
