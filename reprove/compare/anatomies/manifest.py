"""A jar's ``META-INF/MANIFEST.MF`` (JAR File Specification, "JAR Manifest")."""

from __future__ import annotations

from collections.abc import Iterator

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 32 * 1024**2
_ENDS = (b"\r\n", b"\n", b"\r")
_NAME = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_DIGEST = "-digest"
_Line = tuple[str, bytes, bytes, int]
"""Name (empty for an empty line), value, lengths of the parts that it was folded into, offset."""


def split(data: bytes) -> Pieces | None:
    """``main:<Name>`` for each main attribute, ``entry:<Name>`` for each attribute of a named section, continuation lines unfolded.

    A named section that holds nothing but digests is made of ``signed:<Name>`` instead. ``blank`` (``signed-blank``) is an empty line behind
    a section; ``fold:``, ``entry-fold:`` and ``signed-fold:`` say where an attribute was folded; ``endings`` is the line end, one kind for the file.
    None for what Java would refuse or readers could take in two ways.
    """
    end = next((end for end in _ENDS if end in data), b"\n")
    if len(data) > _MAX or not data.endswith(end) or b"\0" in data:
        return None
    try:
        return tuple(_pieces(list(_logical(data, end)), end))
    except ValueError:
        return None


def _pieces(lines: list[_Line], end: bytes) -> Iterator[Piece]:
    yield Piece("endings", end, 0)
    if not lines[0][0]:
        raise ValueError("an empty line first: no main section to Java, and one to readers that pass over it")
    start, main = 0, True
    for at, (name, _value, _folds, _offset) in enumerate(lines):
        last = at + 1 == len(lines)
        if (name == "" and (last or lines[at + 1][0] != "")) or last:
            yield from _section(lines[start : at + 1], main=main)
            start, main = at + 1, False


def _logical(data: bytes, end: bytes) -> Iterator[_Line]:
    """Unfold the lines. Raises :class:`ValueError` for what is no attribute."""
    lines = data.split(end)[:-1]
    at, number = 0, 0
    while number < len(lines):
        start, parts = at, [lines[number]]
        at += len(lines[number]) + len(end)
        number += 1
        while parts[0] and number < len(lines) and lines[number][:1] == b" ":
            parts.append(lines[number][1:])
            at += len(lines[number]) + len(end)
            number += 1
        whole = b"".join(parts)
        if not whole and len(parts) == 1:
            yield "", b"", b"", start
            continue
        name, colon, value = whole.partition(b": ")
        if not colon or not name or not _NAME.issuperset(name) or b"\r" in value or b"\n" in value:
            raise ValueError("no attribute")
        yield name.decode("ascii"), value, ",".join(str(len(part)) for part in parts[:-1]).encode(), start


def _section(lines: list[_Line], *, main: bool) -> Iterator[Piece]:
    names = [name.lower() for name, *_ in lines if name]
    if not main and names[:1] != ["name"]:
        raise ValueError("a section without a name first")
    signed = not main and len(names) > 1 and all(name.endswith(_DIGEST) for name in names[1:])
    kind, fold, blank = (
        ("main", "fold", "blank") if main else ("signed", "signed-fold", "signed-blank") if signed else ("entry", "entry-fold", "blank")
    )
    for name, value, folds, offset in lines:
        if not name:
            yield Piece(blank, b"", offset)
            continue
        yield Piece(f"{kind}:{name}", value, offset)
        if folds:
            yield Piece(f"{fold}:{name}", folds, offset)


MANIFEST = Anatomy("manifest", lambda path, _head: path.rpartition("!/")[2] == "META-INF/MANIFEST.MF", split)
