"""The folder of the build in compiled Python: file names stand in it behind their lengths (``marshal``, format versions 3 and later)."""

from __future__ import annotations

from reprove.compare.anatomies.pyc import PYC
from reprove.compare.causes.fields import Guess
from reprove.core.outcomes import Certainty

_SHORT, _LONG = b"zZ\xfa\xda", b"aA\xe1\xc1u\xf5"
"""Types of strings with a length of one byte and of four, with and without the flag of a reference."""
_MAX_NAME = 1024
_MAX_TRIES = 32
"""Ends of names, and slashes before each, that are looked at."""


def compiled_path(old: bytes, new: bytes) -> list[Guess]:
    """The cause ``build-path`` where the code is the same but for one absolute file name; also of the time, where that differs too."""
    pieces = [PYC.split(side) for side in (old, new)]
    if pieces[0] is None or pieces[1] is None:
        return []
    mine, theirs = ({piece.name: piece.data for piece in each} for each in pieces if each is not None)
    if any(mine.get(name) != theirs.get(name) for name in ("magic", "flags", "size")):
        return []
    names = [_file_name(code) for code in (mine["code"], theirs["code"])]
    if names[0] is None or names[1] is None:
        return []
    # the stem and all else has to be the same: what is replaced is one string with its length
    if names[0].rpartition(b"/")[2] != names[1].rpartition(b"/")[2] or _replaced(mine["code"], names[0]) != _replaced(theirs["code"], names[1]):
        return []
    found: list[Guess] = [("build-path", Certainty.LIKELY)]
    return found + ([("pyc-time", Certainty.LIKELY)] if mine.get("mtime") != theirs.get("mtime") else [])


def _file_name(code: bytes) -> bytes | None:
    """The last string that is an absolute path of a module."""
    end = len(code)
    for _ in range(_MAX_TRIES):
        end = code.rfind(b".py", 0, end)
        if end < 0:
            return None
        start = code.find(b"/", max(0, end - _MAX_NAME), end)
        for _ in range(_MAX_TRIES):
            if start < 0:
                break
            if any(_is_string(code, start, end + 3 - start, kinds, width) for kinds, width in ((_SHORT, 1), (_LONG, 4))):
                return code[start : end + 3]
            start = code.find(b"/", start + 1, end)
    return None


def _is_string(code: bytes, start: int, size: int, kinds: bytes, width: int) -> bool:
    """Whether a string of this size starts here: its type and length stand before it."""
    at = start - width
    return at >= 1 and code[at - 1] in kinds and int.from_bytes(code[at:start], "little") == size


def _replaced(code: bytes, name: bytes) -> bytes:
    """The code with the name, its length and its type replaced."""
    for kinds, width in ((_SHORT, 1), (_LONG, 4)):
        length = len(name).to_bytes(width, "little") if len(name) < 256**width else None
        if length is not None:
            for kind in kinds:
                code = code.replace(bytes([kind]) + length + name, bytes([kind & 0x80]) + b"\0path\0")
    return code
