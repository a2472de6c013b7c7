"""Lists of digests that artifacts carry of themselves: a deb's ``md5sums`` and a gem's ``checksums.yaml``."""

from __future__ import annotations

from reprove.compare.pieces import Anatomy, Piece, Pieces

_MAX = 32 * 1024**2
_HEX = frozenset(b"0123456789abcdef")


def md5sums(data: bytes) -> Pieces | None:
    """For each line ``<md5>  <path>`` a piece ``digest`` and a piece ``path``; a line of any other form is no such list."""
    if len(data) > _MAX or (data and not data.endswith(b"\n")):
        return None
    pieces: list[Piece] = []
    at = 0
    for line in data.split(b"\n")[:-1]:
        digest, path = line[:32], line[34:]
        if line[32:34] != b"  " or not path or not _HEX.issuperset(digest):
            return None
        pieces += [Piece("digest", digest, at), Piece("path", path, at + 34)]
        at += len(line) + 1
    return tuple(pieces)


def checksums(data: bytes) -> Pieces | None:
    """For each line ``  <name>: <digest>`` a piece ``name`` (with its quotes) and a piece ``digest``, for every other line one ``line``."""
    if len(data) > _MAX or (data and not data.endswith(b"\n")):
        return None
    pieces: list[Piece] = []
    at = 0
    for line in data.split(b"\n")[:-1]:
        name, colon, value = line.partition(b": ")
        digest = value.strip(b"'\"")
        if line.startswith(b"  ") and colon and len(digest) in (32, 40, 64, 96, 128) and _HEX.issuperset(digest):
            cut = value.index(digest)
            if value[:cut] != value[cut + len(digest) :] or len(value) > len(digest) + 2:
                return None
            pieces += [Piece("name", name + colon + value[:cut], at), Piece("digest", digest, at + len(name) + len(colon) + cut)]
        else:
            pieces.append(Piece("line", line, at))
        at += len(line) + 1
    return tuple(pieces)


MD5SUMS = Anatomy("md5sums", lambda path, _head: path.rpartition("/")[2] == "md5sums", md5sums)
CHECKSUMS = Anatomy("checksums", lambda path, _head: path.rpartition("/")[2] == "checksums.yaml", checksums)
