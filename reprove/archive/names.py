"""Names of members: which ones every extractor writes to the same place, and nowhere outside."""

from __future__ import annotations

import re
import unicodedata
import zlib

_UTF8_FLAG = 0x0800
MAX_PARTS = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_PLAIN = re.compile(r"(?:[A-Za-z0-9_+=@~-][A-Za-z0-9_.+=@~ -]*/){0,60}[A-Za-z0-9_+=@~-][A-Za-z0-9_.+=@~ -]*/?")
"""What most names look like, so that the slower rules need not look at them."""
_DRIVE = re.compile(r"[A-Za-z]:")


def decode(raw: bytes, flags: int) -> tuple[str, str | None]:
    """Return the name and, when extractors would read other characters, what is wrong with its encoding."""
    try:
        return raw.decode("ascii"), None
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "a name that is not UTF-8"
    return text, None if flags & _UTF8_FLAG else "a name beyond ASCII without the UTF-8 flag"


def complaint(name: str, limit: int) -> str | None:
    """Say why a member name is not a plain relative path, or None. A trailing slash (a directory) is fine."""
    if len(name) <= limit and _PLAIN.fullmatch(name):
        return None
    path = name.removesuffix("/")
    if not path:
        return "an empty name"
    if len(name.encode("utf-8", "replace")) > limit:
        return f"a name longer than {limit} bytes"
    if _CONTROL.search(name):
        return "a backslash, control or direction character in a name"
    if path.startswith("/") or _DRIVE.match(path):
        return "an absolute name"
    parts = path.split("/")
    if len(parts) > MAX_PARTS:
        return f"a name of more than {MAX_PARTS} folders"
    if any(part in ("", ".", "..") for part in parts):
        return "an empty, dot or dot-dot part in a name"
    return None


def fold(name: str) -> str:
    """What a file system that ignores case and Unicode forms makes of a name."""
    if name.isascii():
        return name.removesuffix("/").lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name.removesuffix("/")).casefold())


def unicode_complaint(data: bytes | None, plain: bytes, what: str) -> str | None:
    """Say how an Info-ZIP Unicode field (path 0x7075, comment 0x6375; APPNOTE 4.6.8, 4.6.9), if any, disagrees with the plain one, or None."""
    if data is None:
        return None
    if len(data) < 5 or data[0] != 1:  # version byte and CRC come before the text
        return f"a Unicode {what} field of unknown form"
    if data[5:] != plain or int.from_bytes(data[1:5], "little") != zlib.crc32(plain):
        return f"a Unicode {what} field that disagrees with the plain one"
    return None
