"""Structural rules of zip archives: what makes an archive mean two things, or hides bytes (DESIGN section 6)."""

from __future__ import annotations

import re
import stat
from itertools import pairwise

from reprove.archive.limits import Limits
from reprove.archive.model import Code, Entry
from reprove.archive.names import complaint, fold, unicode_complaint
from reprove.archive.structure import UNICODE_COMMENT_ID, UNICODE_PATH_ID, Notes, extra_fields

_ENCRYPTED = 0x2041
"""Bits 0 (encrypted), 6 (strong encryption) and 13 (masked headers), APPNOTE 4.4.4."""
_KNOWN_FLAGS = 0x080E
"""Bits 1-2 (deflate effort), 3 (data descriptor) and 11 (UTF-8)."""
_DESCRIPTOR_FLAG = 0x0008
_END_SIGNATURES = (b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")
_PLAIN_FLAGS = 0x0806
_TEXT = 0x0001
"""The one internal attribute that means the same to all readers (APPNOTE 4.4.10). Bit 2 makes Info-ZIP's unzip drop modes and links."""
_PLAIN_KINDS = frozenset({0, stat.S_IFREG})
_METHODS = frozenset({0, 8})
_DOS_DIRECTORY, _DOS_LABEL = 0x10, 0x08
_MAX_VERSION = 46
"""Info-ZIP's unzip skips members that need a later one, or that have a system in the upper byte; stored and deflated members never do."""
_UNIX = 3
_VMS_VERSION = re.compile(r";[0-9]*\Z")


def check_layout(entries: tuple[Entry, ...], directory: int, notes: Notes) -> None:
    """Members must tile the file from its first byte to the central directory: no prefix, gap, overlap or hidden member."""
    at = 0
    for entry in sorted(entries, key=lambda item: item.local.offset):
        if entry.local.offset > at:
            code = Code.PREFIX if at == 0 else Code.GAP
            notes.add(code, entry.name, at, f"{entry.local.offset - at} bytes before the member belong to nothing")
        elif entry.local.offset < at:
            notes.add(Code.OVERLAP, entry.name, entry.local.offset, f"the member starts {at - entry.local.offset} bytes before the end of another")
        if entry.data + entry.central.stored > entry.end:
            notes.add(Code.OVERLAP, entry.name, entry.data, "the member's data runs into what follows")
        at = max(at, entry.end)
    if at != directory:
        code = Code.PREFIX if at == 0 else Code.GAP
        notes.add(code, "", at, f"{directory - at} bytes before the central directory belong to nothing")


def check_names(entries: tuple[Entry, ...], limits: Limits, notes: Notes) -> None:
    """Every name a plain relative path, and no two that land on the same file on any common file system."""
    seen: dict[str, str] = {}
    files: set[str] = set()
    for entry in entries:
        name = entry.name
        wrong = complaint(name, limits.name)
        if wrong is None and ";" in name and _VMS_VERSION.search(name):
            wrong = "a name that ends like a version of VMS, which unzip takes off"
        if wrong:
            notes.add(Code.BAD_NAME, name, entry.central.offset, wrong)
        key = fold(name)
        if key in seen:
            code = Code.DUPLICATE if seen[key] == name else Code.FOLDED
            notes.add(code, name, entry.central.offset, f"the same file as {seen[key]}")
        seen[key] = name
        if name[-1:] != "/":
            files.add(key)
    _check_folders(seen, files, notes)


def _check_folders(names: dict[str, str], files: set[str], notes: Notes) -> None:
    """No file has members below it. ``names`` maps what a file system makes of a name to the name.

    With the slash before every other character, what is below a name follows it at once: no set of all folders, which deep names would blow up.
    """
    for key, below in pairwise(sorted(name.replace("/", "\0") for name in names)):
        if below.startswith(key + "\0") and (path := key.replace("\0", "/")) in files:
            name = names.get(below.replace("\0", "/"), path)
            notes.add(Code.UNDER_FILE, name, 0, f"{path} is a file and a folder")


def check_entry(entry: Entry, notes: Notes) -> None:
    """The rules of one member: local = central, known flags and methods, plain kinds and modes, readable extra fields."""
    if _is_plain(entry):
        return
    _check_agreement(entry, notes)
    where = entry.central.offset
    flags = entry.central.flags
    if flags & _ENCRYPTED:
        notes.add(Code.ENCRYPTED, entry.name, where, "encrypted")
    elif flags & ~_KNOWN_FLAGS:
        notes.add(Code.FLAGS, entry.name, where, f"flags {flags:#06x} are not known")
    if entry.internal & ~_TEXT:
        notes.add(Code.FLAGS, entry.name, where, f"internal attributes {entry.internal:#06x} are not known, and some readers act on them")
    if entry.central.method not in _METHODS:
        notes.add(Code.METHOD, entry.name, where, f"compression method {entry.central.method} is neither stored nor deflated")
    version = max(entry.central.version, entry.local.version)
    if version > _MAX_VERSION:
        notes.add(Code.METHOD, entry.name, where, f"version {version} is needed to extract, which some readers do not have")
    _check_kind(entry, notes)
    if any(signature in text for signature in _END_SIGNATURES for text in (entry.comment, entry.central.extra)):
        notes.add(Code.COMMENT, entry.name, where, "the comment or an extra field holds an end record")
    for header in (entry.central, entry.local):
        try:
            fields = dict(extra_fields(header.extra))
        except ValueError:
            continue  # noted where it was read
        wrong = unicode_complaint(fields.get(UNICODE_PATH_ID), header.raw_name, "path")
        wrong = wrong or unicode_complaint(fields.get(UNICODE_COMMENT_ID), entry.comment, "comment")
        if wrong:
            notes.add(Code.UNICODE_PATH, entry.name, header.offset, wrong)


def _is_plain(entry: Entry) -> bool:
    """Whether a member is as most are, so that no rule can be broken: both headers alike, nothing extra, a regular file."""
    central, local = entry.central, entry.local
    return (
        central[1:2] == local[1:2]
        and central[3:5] == local[3:5]
        and central[6:9] == local[6:9]
        and not (central.extra or local.extra or entry.comment or central.flags & ~_PLAIN_FLAGS or entry.external & (_DOS_DIRECTORY | _DOS_LABEL))
        and not entry.internal & ~_TEXT
        and central.method in _METHODS
        and max(central.version, local.version) <= _MAX_VERSION
        and entry.mode & ~0o777 in _PLAIN_KINDS
        and not entry.is_dir
    )


def _check_agreement(entry: Entry, notes: Notes) -> None:
    central, local = entry.central, entry.local
    for field, low, high in (
        ("name", local.raw_name, central.raw_name),
        ("flags", local.flags, central.flags),
        ("method", local.method, central.method),
    ):
        if low != high:
            notes.add(Code.LOCAL, entry.name, local.offset, f"{field} is {low!r} in the local header and {high!r} in the central directory")
    described = bool(central.flags & _DESCRIPTOR_FLAG)
    for field, mine, theirs in (("crc", local.crc, central.crc), ("stored size", local.stored, central.stored), ("size", local.size, central.size)):
        if mine != theirs and not (described and mine == 0):
            notes.add(Code.LOCAL, entry.name, local.offset, f"{field} is {mine} in the local header and {theirs} in the central directory")


def _check_kind(entry: Entry, notes: Notes) -> None:
    where, mode = entry.central.offset, entry.mode
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        notes.add(Code.SYMLINK, entry.name, where, "a symbolic link")
        if entry.system != _UNIX:
            notes.add(Code.KIND, entry.name, where, f"a symbolic link of system {entry.system}, which some readers take for a file")
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        notes.add(Code.SPECIAL, entry.name, where, f"mode {mode:o} is no file or folder")
    if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        notes.add(Code.SET_ID, entry.name, where, f"mode {mode:o} has a set-id or sticky bit")
    if entry.external & _DOS_LABEL:
        notes.add(Code.KIND, entry.name, where, "a volume label, which some readers skip and others take for a file")
    folder = kind == stat.S_IFDIR or bool(entry.external & _DOS_DIRECTORY)
    if (folder and not entry.is_dir) or (entry.is_dir and kind == stat.S_IFREG):
        notes.add(Code.KIND, entry.name, where, "the name and the attributes disagree on whether it is a folder")
    if entry.is_dir and (entry.central.size or entry.central.stored > 2):  # an empty deflate stream has 2 bytes
        notes.add(Code.KIND, entry.name, where, "a folder with content")
