"""The fields of one zip member: what both headers say beyond name, kind and content, and whether an extractor acts on it (docs/comparison.md)."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from reprove.archive import dostime
from reprove.archive.model import Entry, Header
from reprove.archive.structure import extra_fields
from reprove.archive.tree import Field, Weight
from reprove.archive.zipextras import is_noise

_UNIX, _DOS_LIKE = 3, frozenset({0, 10, 11, 14})
"""Systems whose attributes readers take for Unix modes, or for those of DOS, NTFS and VFAT (APPNOTE 4.4.2; Info-ZIP calls NTFS 11)."""
_DESCRIPTOR_FLAG = 0x0008
_NOISE, _DATA = Weight.NOISE, Weight.DATA
_field: Callable[[tuple[str, str | int, Weight, int]], Field] = partial(tuple.__new__, Field)
"""What ``Field(...)`` does, in half the time: it is done a dozen times for each member that differs."""
_dos_text = lru_cache(maxsize=1024)(dostime.dos_text)


def details(entry: Entry, stored: int, *, marked: bool) -> list[Field]:
    """Every field; ``stored`` is the print of the stored bytes, ``marked`` says that the mark of jars may stand here."""
    central, local, at, external = entry.central, entry.local, entry.central.offset, entry.external
    (_, _, version, flags, method, time, crc, packed, size, extra) = central
    mode = external >> 16
    found = [
        _field(("mode", f"{mode:06o}", _NOISE, at + 38)),
        _field(("executable", _executable(entry.made_by >> 8, mode), _DATA, at + 38)),
        _field(("time", _dos_text(time), _NOISE, at + 12)),
        _field(("method", method, _NOISE, at + 10)),
        _field(("deflate", f"{packed} bytes, crc {stored:08x}", _NOISE, entry.data)),
        _field(("create-system", entry.made_by >> 8, _NOISE, at + 5)),
        _field(("create-version", entry.made_by & 255, _NOISE, at + 4)),
        _field(("extract-version", f"{version}/{local.version}", _NOISE, at + 6)),
        _field(("flags", f"{flags:04x}", _NOISE, at + 8)),
        _field(("internal-attributes", entry.internal, _NOISE, at + 36)),
        _field(("dos-attributes", external & 0xFFFF, _NOISE, at + 38)),
    ]
    if local.time != time:
        found.append(Field("local-time", _dos_text(local.time), _NOISE, local.offset + 10))
    if flags & _DESCRIPTOR_FLAG:
        found.append(Field("descriptor", f"{entry.descriptor} bytes", _NOISE, entry.data + packed))
    if local[6:9] != (crc, packed, size):
        # zeros, or the real numbers: lint lets nothing else stand beside a data descriptor
        found.append(Field("local-sizes", f"crc {local.crc:08x}, {local.stored} bytes, {local.size} inflated", _NOISE, local.offset + 14))
    if entry.made_by >> 8 != _UNIX and not entry.name.isascii():
        # unzip takes the names of some of these for a code page of DOS, whatever the UTF-8 flag says
        found.append(Field("name-system", f"system {entry.made_by >> 8}, version {entry.made_by & 255}, mode {mode:o}", _DATA, at + 4))
    if entry.comment:
        found.append(Field("comment", text_of(entry.comment), _DATA, at))
    if extra:
        found += _extras("", central, marked=marked)
    if local.extra:
        found += _extras("local-", local, marked=marked)
    return found


def _executable(system: int, mode: int) -> str:
    """Whether readers set an x bit. bsdtar and unzip believe the mode only of some systems, pip only of what it says to be a regular file."""
    any_x = mode & 0o111
    if system == _UNIX and (not any_x or stat.S_IFMT(mode)):
        return "yes" if any_x else "no"
    if system in _DOS_LIKE and not any_x:
        return "no"
    return f"as readers take mode {mode:o} of system {system}"


def _extras(place: str, header: Header, *, marked: bool) -> Iterator[Field]:
    try:
        rows = extra_fields(header.extra)
    except ValueError:
        yield Field(f"{place}extra", header.extra.hex(), _DATA, header.offset)
        return
    for ident, data in rows:
        weight = _NOISE if is_noise(ident, data, first=marked) else _DATA
        yield Field(f"{place}extra:{ident:04x}", data.hex(), weight, header.offset)


def text_of(raw: bytes) -> str:
    """Bytes as text, no two alike: a backslash is written twice, what is not UTF-8 as an escape."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
