"""The fields of a tar member, read again from its header bytes when somebody asks (most members of a pair are equal, and nobody does)."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime, timedelta

from reprove.archive import pax
from reprove.archive.limits import Limits
from reprove.archive.model import Code
from reprove.archive.spans import Feed
from reprove.archive.tarblocks import BLOCK, form
from reprove.archive.tarentry import Entry, Extension, read_entry
from reprove.archive.texts import as_text
from reprove.archive.tree import Field, Kind, Member, Weight

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPE_BITS = {Kind.FILE: 0o100000, Kind.CONTAINER: 0o100000, Kind.HARDLINK: 0o100000, Kind.FOLDER: 0o040000, Kind.SYMLINK: 0o120000}
_TYPE_BITS |= {Kind.CHARACTER: 0o020000, Kind.BLOCK: 0o060000, Kind.FIFO: 0o010000}
_SHOWN_MAP = 200
_TIMES = ((b"atime", "access-time"), (b"ctime", "change-time"), (b"LIBARCHIVE.creationtime", "creation-time"))
_HEADER_KEYS = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid", b"uname", b"gname", b"mtime", *(key for key, _ in _TIMES)})
_NOISE_KEYS = frozenset({b"hdrcharset"})


def moment(seconds: int, fraction: str = "") -> str:
    """Seconds since 1970 as ``YYYY-MM-DD HH:MM:SS`` in UTC, or as they are where that is no date."""
    try:
        return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S") + fraction
    except OverflowError:
        return f"@{seconds}{fraction}"


def details(member: Member, limits: Limits, *, deb: bool) -> tuple[Field, ...]:
    """Every field of a member; ``deb`` makes modes and owners data. ``member.raw`` is what :meth:`Entry.raw` gave, whatever follows it."""
    entry, _ = read_entry(Feed(iter((member.raw,))), limits, _hush)
    if entry is None:
        return ()
    header, at = entry.header, member.offset + sum(len(extension.raw) for extension in entry.extensions)
    owned = Weight.DATA if deb else Weight.NOISE
    kind, mode = member.kind, header.mode
    found = [Field("mode", f"{_TYPE_BITS[kind] | mode & 0o7777:o}", owned, at + 100)]
    if kind is not Kind.SYMLINK:  # nothing acts on the mode of a link
        found.append(Field("executable", "yes" if mode & 0o111 else "no", Weight.DATA, at + 100))
        if mode & 0o7000:
            found.append(Field("set-id", f"{mode & 0o7000:o}", Weight.DATA, at + 100))
    found += [
        Field("time", _time(entry.records.get(b"mtime"), header.time), Weight.NOISE, at + 136),
        Field("uid", entry.uid, owned, at + 108),
        Field("gid", entry.gid, owned, at + 116),
        Field("user", as_text(entry.user), owned, at + 265),
        Field("group", as_text(entry.group), owned, at + 297),
    ]
    if kind in (Kind.FILE, Kind.CONTAINER):
        found.append(Field("sparse", _map(entry), Weight.DATA, at))
    elif kind in (Kind.SYMLINK, Kind.HARDLINK):
        target = as_text(entry.link)
        found.append(Field("target", target.removeprefix("./") if kind is Kind.HARDLINK else target, Weight.DATA, at + 157))
    elif kind in (Kind.CHARACTER, Kind.BLOCK):
        found.append(Field("device", f"{header.major}:{header.minor}", Weight.DATA, at + 329))
    found.append(Field("dialect", _dialect(entry), Weight.NOISE, at + 257))
    found.append(Field("header-form", _form(entry), Weight.NOISE, member.offset))
    return (*found, *_extended(entry, member.offset))


def _hush(code: Code, offset: int, detail: str) -> None:
    """Violations were kept when the archive was walked."""


def _time(wide: bytes | None, plain: int) -> str:
    if wide is None:
        return moment(plain)
    whole, point, fraction = wide.decode("ascii", "replace").partition(".")
    try:
        seconds = int(whole)
    except ValueError:
        return as_text(wide)
    return moment(seconds, point + fraction)


def _map(entry: Entry) -> str:
    if entry.sparse is None:
        return "no"
    text = entry.sparse.text
    return text if len(text) <= _SHOWN_MAP else f"{len(entry.sparse.extents)} parts, sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def _dialect(entry: Entry) -> str:
    kinds = {extension.kind for extension in entry.extensions}
    if b"x" in kinds:
        return "pax"
    return "gnu" if kinds else entry.header.dialect


def _form(entry: Entry) -> str:
    """How the headers spell what the other fields say: the kinds of blocks, the names as written, and a sum over everything else in them."""
    summed = zlib.crc32(form(entry.header.block))
    for extension in entry.extensions:
        summed = zlib.crc32(_extension_form(extension), summed)
    if entry.sparse is not None:
        summed = zlib.crc32(entry.sparse.raw, summed)
    kinds = "".join(extension.kind.decode("latin-1") for extension in entry.extensions)
    spelled = [as_text(entry.header.full_name)] + ([as_text(entry.path)] if entry.path != entry.header.full_name else [])
    return f"{kinds}+{entry.header.kind.decode('latin-1')} {' '.join(spelled)} {summed:08x}"


def _extension_form(extension: Extension) -> bytes:
    """An extension header without the values that are fields."""
    if extension.kind != b"x":
        return extension.raw
    keys = b",".join(pax.records(extension.payload, 0, _hush))
    return form(extension.raw[:BLOCK]) + extension.raw[:100] + keys


def _extended(entry: Entry, offset: int) -> list[Field]:
    """What only pax headers say: more times (noise), attributes and unknown keys (data)."""
    if not entry.records:
        return []
    found = [Field(name, _time(entry.records[key], 0), Weight.NOISE, offset) for key, name in _TIMES if key in entry.records]
    attributes, _ = pax.attributes(entry.records)
    found += [Field(f"xattr:{name}", value, Weight.DATA, offset) for name, value in sorted(attributes.items())]
    for key, value in sorted(entry.records.items()):
        if key in _HEADER_KEYS or pax.is_attribute(key) or key.startswith(b"GNU.sparse."):
            continue
        weight = Weight.NOISE if key in _NOISE_KEYS else Weight.DATA
        found.append(Field(f"pax:{as_text(key)}", as_text(value), weight, offset))
    return found
