"""A gem's ``metadata``: the YAML of one Gem::Specification, taken apart by top-level keys.

Not a YAML reader: it walks lines and accepts the forms that RubyGems emits. What it must never miss is a quoted text that stays open over a line
at column 0, since such a line only looks like a key; so it knows where every quoted, literal and plain text ends, and refuses what it does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 4 * 1024**2
_TOP = re.compile(rb"([a-z][a-z_]{0,40}):(?= |\n)")
_KEY = re.compile(rb"([A-Za-z_][A-Za-z0-9_.\-]*):(?: +|\n)")
_PROPERTY = re.compile(rb"[!&][^ \n]*(?: +|\n)")
_DASH = re.compile(rb"-(?: +|\n)")
_QUOTED = {b'"': re.compile(rb'(?:[^"\\]|\\.|\\\n)*?"', re.DOTALL), b"'": re.compile(rb"(?:[^']|'')*'(?!')", re.DOTALL)}
_LITERAL = (b"|", b">")
_PLAIN = re.compile(rb"[A-Za-z0-9_./<=~($+^\x80-\xff-]|:(?! )")
"""How a plain text starts; the marks that start anything else are left out."""
_CLOSED = re.compile(rb"(?:\[\]|\{\}|\*[A-Za-z0-9_]+) *\n")
_ODD = (b"\r", b"\t", b"\0", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xef\xbb\xbf")
"""Tabs, and what YAML 1.1 breaks lines at beside the line feed."""


class _RefusedError(ValueError):
    """A form that the walk does not know."""


@dataclass(slots=True)
class _Walk:
    """Where the walk is: inside a quoted text, or inside a literal or plain one that ends at a line indented no deeper than ``deeper``."""

    quote: bytes = b""
    deeper: int | None = None


def split(data: bytes) -> Pieces | None:
    """``head``, then ``key:<name>`` for each top-level key: all from behind its colon to the next key."""
    if len(data) > _MAX or not data.startswith(b"--- !ruby/object:Gem::Specification\n") or not data.endswith(b"\n"):
        return None
    if any(odd in data for odd in _ODD):
        return None
    try:
        return _pieces(data.splitlines(keepends=True))
    except _RefusedError:
        return None


def _pieces(lines: list[bytes]) -> Pieces:
    pieces = [Piece("head", lines[0], 0)]
    name, start, parts = "", len(lines[0]), list[bytes]()
    at, walk = start, _Walk()
    for line in lines[1:]:
        top = _TOP.match(line)
        if top:
            if walk.quote:
                raise _RefusedError
            if name:
                pieces.append(Piece(name, b"".join(parts), start))
            name, start, parts = f"key:{top[1].decode()}", at + top.end(), [line[top.end() :]]
        elif not name:
            raise _RefusedError
        else:
            parts.append(line)
        _step(walk, line)
        at += len(line)
    if walk.quote or len({piece.name for piece in pieces}) != len(pieces) or f"{name}" in {piece.name for piece in pieces}:
        raise _RefusedError
    return (*pieces, Piece(name, b"".join(parts), start)) if name else tuple(pieces)


def _step(walk: _Walk, line: bytes) -> None:
    """Follow one line."""
    if not line.strip():
        return
    indent = len(line) - len(line.lstrip(b" "))
    if walk.quote:
        if indent == 0:
            raise _RefusedError
        _close(walk, line, 0)
        return
    if walk.deeper is not None and indent > walk.deeper:
        return
    walk.deeper = None
    _node(walk, line, indent)


def _node(walk: _Walk, line: bytes, at: int) -> None:
    """Skip dashes, tags, anchors and keys, then see what kind of text starts, and where it will end."""
    parent = at
    while at < len(line):
        if found := _DASH.match(line, at) or _KEY.match(line, at):
            parent = at
        else:
            found = _PROPERTY.match(line, at)
        if not found:
            break
        at = found.end()
    if not line[at:].strip():
        return
    mark = line[at : at + 1]
    if mark in _QUOTED:
        walk.quote = mark
        _close(walk, line, at + 1)
    elif mark in _LITERAL or _PLAIN.match(line, at):
        if mark not in _LITERAL and b": " in line[at:] + b" ":
            raise _RefusedError
        walk.deeper = parent
    elif not _CLOSED.match(line, at):
        raise _RefusedError


def _close(walk: _Walk, line: bytes, at: int) -> None:
    """Look for the end of the quoted text; nothing may follow it on its line."""
    end = _QUOTED[walk.quote].match(line, at)
    if end:
        if line[end.end() :].strip():
            raise _RefusedError
        walk.quote = b""


GEM_METADATA = Anatomy("gem-metadata", lambda path, _head: path.rpartition("/")[2] == "metadata", split)
