"""Files of ``Name: value`` headers and a body: a wheel's WHEEL and METADATA (core metadata, RFC 822 form) and a deb's control file."""

from __future__ import annotations

from collections.abc import Iterator

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 4 * 1024**2
_MAX_HEADERS = 20_000
_PLACES = (".dist-info/WHEEL", ".dist-info/METADATA")
_REPEATED = frozenset(
    [
        "classifier",
        "dynamic",
        "import-name",
        "import-namespace",
        "license-file",
        "obsoletes",
        "obsoletes-dist",
        "platform",
        "project-url",
        "provides",
        "provides-dist",
        "provides-extra",
        "requires",
        "requires-dist",
        "requires-external",
        "supported-platform",
        "tag",
    ]
)
"""Headers that core metadata and the wheel format allow more than once; any other that is doubled has no one meaning."""


def split(data: bytes) -> Pieces | None:
    """A piece ``header:<Name>`` each (value, continuation lines and line end), and ``body`` from the first empty line on.

    From a line of white space only on, at which some readers see the end of the headers, they are ``late:<Name>``. None for a line that is no header,
    for a header doubled that may not be, and for lone carriage returns, which some readers break lines at.
    """
    if len(data) > _MAX or b"\r" in data.replace(b"\r\n", b"\n") or b"\0" in data:
        return None
    try:
        pieces = tuple(_pieces(data))
    except ValueError:
        return None
    names = [piece.name.partition(":")[2].lower() for piece in pieces if piece.name != "body"]
    once = [name for name in names if name not in _REPEATED]
    return pieces if len(once) == len(set(once)) else None


def _pieces(data: bytes) -> Iterator[Piece]:
    start, name, value = 0, "", b""
    at, kind = 0, "header"
    for count, line in enumerate(data.splitlines(keepends=True)):
        if line in (b"\n", b"\r\n"):
            break
        if count > _MAX_HEADERS:
            raise ValueError("too many lines")
        if line[:1] in (b" ", b"\t"):
            if not name:
                raise ValueError("a continuation of nothing")
            value += line
            kind = kind if line.strip() else "late"
        else:
            if name:
                yield Piece(f"{kind}:{name}", value, start)
            start, (name, value) = at, _named(line)
        at += len(line)
    if name:
        yield Piece(f"{kind}:{name}", value, start)
    if at < len(data):
        yield Piece("body", data[at:], at)


def _named(line: bytes) -> tuple[str, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or any(byte <= 32 or byte >= 127 for byte in name):
        raise ValueError("a line that is no header")
    return name.decode("ascii"), value


WHEEL_METADATA = Anatomy("wheel-metadata", lambda path, _head: path.endswith(_PLACES), split)
CONTROL = Anatomy("control", lambda path, _head: path.rpartition("/")[2] == "control", split)
