"""The records of a pax extended header (POSIX.1-2001, "pax Header Block"): ``length key=value`` and a newline, nothing else."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from reprove.archive.model import Code
from reprove.archive.tarblocks import Complain
from reprove.archive.texts import as_text

Records = dict[bytes, bytes]
_LENGTH = re.compile(rb"([1-9][0-9]{0,9}) ")
_TIME = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{1,30})?")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SHAPES = {
    b"mtime": _TIME,
    b"atime": _TIME,
    b"ctime": _TIME,
    b"LIBARCHIVE.creationtime": _TIME,
    b"uid": _NUMBER,
    b"gid": _NUMBER,
    b"size": _NUMBER,
    b"GNU.sparse.major": _NUMBER,
    b"GNU.sparse.minor": _NUMBER,
    b"GNU.sparse.size": _NUMBER,
    b"GNU.sparse.realsize": _NUMBER,
    b"GNU.sparse.numblocks": _NUMBER,
}
_CHARSETS = frozenset({b"BINARY", b"ISO-IR 10646 2000 UTF-8"})
_TEXTS = frozenset({b"path", b"linkpath", b"uname", b"gname", b"GNU.sparse.name"})
REPEATED = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})
"""GNU's sparse format 0.0 is a list of these pairs; no other key may come twice. Values are joined by a space."""
XATTR, XATTR_BASE64, ACL = b"SCHILY.xattr.", b"LIBARCHIVE.xattr.", b"SCHILY.acl."
FLAGS = b"SCHILY.fflags"
SELINUX = b"RHT.security.selinux"


def records(payload: bytes, offset: int, complain: Complain) -> Records:
    """Take a payload apart; what readers do not agree on is a violation, and reading stops where lengths no longer add up."""
    found: Records = {}
    repeated: dict[bytes, list[bytes]] = {}
    at = 0
    while at < len(payload):
        length = _LENGTH.match(payload, at)
        end = at + int(length[1]) if length else 0
        if length is None or end > len(payload) or end <= length.end() or payload[end - 1] != 0x0A:
            complain(Code.PAX, offset + at, "a record with a false length")
            break
        key, equals, value = payload[length.end() : end - 1].partition(b"=")
        _check(key, equals, value, offset + at, complain)
        if key in REPEATED:
            repeated.setdefault(key, []).append(value)
        elif key in found:
            complain(Code.PAX, offset + at, f"the key {_shown(key)} comes twice")
        found[key] = value
        at = end
    return found | {key: b" ".join(values) for key, values in repeated.items()}


def _check(key: bytes, equals: bytes, value: bytes, offset: int, complain: Complain) -> None:
    if not key or not equals or b"\n" in key or b"\0" in key or not _decodes(key):
        complain(Code.PAX, offset, f"a record without a plain key: {_shown(key)}")
    if b"\n" in value:
        complain(Code.PAX, offset, f"a line break in the value of {_shown(key)}")
    shape = _SHAPES.get(key)
    if shape is not None and not shape.fullmatch(value):
        complain(Code.PAX, offset, f"{_shown(key)} is {_shown(value)}")
    if key in _TEXTS and (not value or b"\0" in value):
        complain(Code.PAX, offset, f"{_shown(key)} is empty or has a NUL")
    if key == b"hdrcharset" and value not in _CHARSETS:
        complain(Code.PAX, offset, f"an unknown character set {_shown(value)}")


def _decodes(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: bytes) -> str:
    return repr(value[:80])[1:]


def is_attribute(key: bytes) -> bool:
    """Whether :func:`attributes` tells of the key."""
    return key.startswith((XATTR, XATTR_BASE64, ACL)) or key in (FLAGS, SELINUX)


def attributes(found: Records) -> tuple[dict[str, str], str | None]:
    """The extended attributes, ACLs and file flags by name, as text, and what two spellings of one of them disagree on, if so."""
    result: dict[str, str] = {}
    wrong: str | None = None
    for key, value in found.items():
        plain: bytes | None = value
        if key.startswith(XATTR):
            name = key[len(XATTR) :]
        elif key.startswith(XATTR_BASE64):
            name, plain = unquote_to_bytes(key[len(XATTR_BASE64) :]), _base64(value)
        elif key.startswith(ACL):
            name = b"acl." + key[len(ACL) :]
        elif key in (FLAGS, SELINUX):
            name = b"flags" if key == FLAGS else b"security.selinux"
        else:
            continue
        text, shown = as_text(name), "unreadable" if plain is None else as_text(plain)
        if plain is None or result.setdefault(text, shown) != shown:
            wrong = f"the attribute {text} in two spellings that disagree, or in none that can be read"
    return result, wrong


def _base64(value: bytes) -> bytes | None:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
