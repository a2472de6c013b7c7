"""Check a wheel's RECORD against its members: an embedded list is a claim, recomputed and never believed (PEP 376, PEP 427, PEP 491)."""

from __future__ import annotations

import binascii
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping

from reprove.archive.limits import ArchiveError
from reprove.archive.tree import Content, Kind, Member, Tree

MAX_RECORD = 32 * 1024**2
_MAX_HASHED = 256 * 1024**2
"""Bytes of a member that is hashed again, by a hash that the reader did not take."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STRONGER = frozenset({"sha384", "sha512"})
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


def false_rows(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield (path, what is false) for every row of RECORD that is missing, doubled, a ghost, or wrong or weak in hash or size.

    A wheel without RECORD, or with two, or one that cannot be read, is false as a whole (path ``RECORD``'s own, or empty).
    """
    files = {member.path: member for member in tree.members if member.kind is not Kind.FOLDER}
    records = [path for path in files if path.endswith(".dist-info/RECORD") and path.count("/") == 1]
    if len(records) != 1:
        yield "", f"the wheel has {len(records)} RECORD files"
        return
    record = records[0]
    if files[record].size > MAX_RECORD:
        yield record, "RECORD is too large to check"
        return
    try:
        with tree.contents({record}, MAX_RECORD) as found:
            text = found[record].read().decode("utf-8") if record in found else ""
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (ArchiveError, UnicodeDecodeError, csv.Error) as error:
        yield record, f"RECORD cannot be read: {error}"
        return
    folder = record.removesuffix("RECORD")
    unhashed = {record, *(folder + name for name in _SIGNATURES)}
    count = Counter(row[0] for row in rows)
    rehashed = {row[0] for row in rows if len(row) == 3 and row[1].partition("=")[0] in _STRONGER and row[0] in files}
    with tree.contents(rehashed, _MAX_HASHED) as contents:
        for row in rows:
            complaint = _complaint(row, count[row[0]], files, unhashed, contents)
            if complaint:
                yield row[0], complaint
    for path in files:
        if path not in count and path not in unhashed - {record}:
            yield path, "no row in RECORD"


def _complaint(row: list[str], count: int, files: Mapping[str, Member], unhashed: set[str], contents: Mapping[str, Content]) -> str | None:
    if len(row) != 3:  # path, hash, size
        return f"a row of {len(row)} columns"
    path, claimed, size = row
    if count > 1:
        return f"{count} rows in RECORD"
    member = files.get(path)
    if member is None:
        return "a row without a member"
    if not claimed:
        return None if path in unhashed else "a row without a hash"
    if claimed != _row_hash(member):
        algorithm = claimed.partition("=")[0]
        if algorithm != "sha256" and algorithm not in _STRONGER:
            return f"a hash by {algorithm[:20]}"
        if algorithm == "sha256" or claimed != _strong_hash(contents.get(path), algorithm):
            return "a wrong hash"
    if size and size != str(member.size):
        return "a wrong size"
    return None


def _row_hash(member: Member) -> str | None:
    """What the row of a member has to say: URL-safe base64 without padding. Comparing texts refuses every other way to write the same digest."""
    if member.sha256 is None:
        return None
    return "sha256=" + _base64(bytes.fromhex(member.sha256))


def _strong_hash(content: Content | None, algorithm: str) -> str | None:
    """The same by a hash that is as good (PEP 427: sha256 or better)."""
    if content is None:
        return None
    digest = hashlib.new(algorithm)
    try:
        for chunk in content.chunks():
            digest.update(chunk)
    except ArchiveError:
        return None
    return f"{algorithm}={_base64(digest.digest())}"


def _base64(digest: bytes) -> str:
    return binascii.b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode("ascii")
