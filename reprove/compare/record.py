"""Check a wheel's RECORD against its members: an embedded list is a claim, recomputed and never believed (PEP 376, PEP 427, PEP 491)."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping

from reprove.archive.limits import ArchiveError
from reprove.archive.zipfiles import OpenZip

MAX_RECORD = 32 * 1024**2
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


def false_rows(archive: OpenZip) -> Iterator[tuple[str, str]]:
    """Yield (path, what is false) for every row of RECORD that is missing, doubled, a ghost, or wrong or weak in hash or size.

    A wheel without RECORD, or with two, or one that cannot be read, is false as a whole (path ``RECORD``'s own, or empty).
    """
    entries = archive.zip.entries
    records = [entry for entry in entries if entry.name.endswith(".dist-info/RECORD") and entry.name.count("/") == 1]
    if len(records) != 1:
        yield "", f"the wheel has {len(records)} RECORD files"
        return
    record = records[0]
    if record.central.size > MAX_RECORD:
        yield record.name, "RECORD is too large to check"
        return
    try:
        text = b"".join(archive.content(record)).decode("utf-8")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (ArchiveError, UnicodeDecodeError, csv.Error) as error:
        yield record.name, f"RECORD cannot be read: {error}"
        return
    folder = record.name.removesuffix("RECORD")
    unhashed = {record.name, *(folder + name for name in _SIGNATURES)}
    digests = dict(zip((entry.name for entry in entries), archive.zip.digests, strict=True))
    sizes = {entry.name: entry.central.size for entry in entries if not entry.is_dir}
    count = Counter(row[0] for row in rows if row)
    for row in rows:
        if not row:
            continue
        complaint = _row_complaint(row, count[row[0]], sizes, digests, unhashed)
        if complaint:
            yield row[0], complaint
    for name in sizes:
        if name not in count and name not in unhashed - {record.name}:
            yield name, "no row in RECORD"


def _row_complaint(row: list[str], count: int, sizes: dict[str, int], digests: Mapping[str, str | None], unhashed: set[str]) -> str | None:
    if len(row) != 3:  # path, hash, size
        return f"a row of {len(row)} columns"
    path, claimed, size = row
    if count > 1:
        return f"{count} rows in RECORD"
    if path not in sizes:
        return "a row without a member"
    if not claimed:
        return None if path in unhashed else "a row without a hash"
    algorithm, _, value = claimed.partition("=")
    if algorithm != "sha256":
        return f"a hash by {algorithm[:20]}"
    actual = digests.get(path)
    if actual is None or _hex(value) != actual:
        return "a wrong hash"
    if size and size != str(sizes[path]):
        return "a wrong size"
    return None


def _hex(value: str) -> str:
    """URL-safe base64 without padding as hex; nothing for what is not exactly that."""
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if base64.urlsafe_b64encode(raw).rstrip(b"=") == value.encode() else ""
