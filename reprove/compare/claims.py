"""Lists of digests inside an artifact are claims: recomputed, never believed, and a false one is never equal below ``times-stamped``.

A claim is false when it says something of the artifact that is not so: a missing, ghost or double row, a wrong or weak hash, a wrong size.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from reprove.archive.limits import ArchiveError
from reprove.archive.tree import Content, Kind, Profile, Tree
from reprove.compare import record

_MAX_LIST = 32 * 1024**2
_MAX_HASHED = 512 * 1024**2
"""Bytes of members that are hashed again because a list uses a hash that the reader did not take."""
_MANIFEST = "META-INF/MANIFEST.MF"
_JAR_HASHES = {
    "sha-256-digest": "sha256",
    "sha-384-digest": "sha384",
    "sha-512-digest": "sha512",
    "sha1-digest": "sha1",
    "sha-1-digest": "sha1",
    "md5-digest": "md5",
}
_CHECKSUM = re.compile(r"^  ['\"]?([\w.-]{1,100})['\"]?: ['\"]?([0-9a-f]{32,128})['\"]?$")


def false_claims(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield (member, what is false) for every claim of the artifact about itself that does not hold."""
    match tree.profile:
        case Profile.WHEEL:
            yield from record.false_rows(tree)
        case Profile.DEB:
            yield from _md5sums(tree)
        case Profile.JAR:
            yield from _manifest(tree)
        case Profile.GEM:
            yield from _checksums(tree)
        case _:
            return


def _text(tree: Tree, path: str) -> str | None:
    """The text of a list, or None where there is none. Raises :class:`ArchiveError` for one that cannot be read."""
    member = next((member for member in tree.members if member.path == path and member.kind is Kind.FILE), None)
    if member is None:
        return None
    if member.size > _MAX_LIST:
        raise ArchiveError(f"{path} is too large to check")
    with tree.contents({path}, _MAX_LIST) as found:
        if path not in found:
            raise ArchiveError(f"{path} cannot be read")
        try:
            return found[path].read().decode("utf-8")
        except UnicodeDecodeError:
            raise ArchiveError(f"{path} is not UTF-8") from None


def _md5sums(tree: Tree) -> Iterator[tuple[str, str]]:
    """Check deb's ``md5sums``: a line a file, each of an existing file. Files without a line are usual (conffiles), so they are no lie."""
    name = "control.tar!/md5sums"
    try:
        text = _text(tree, name)
    except ArchiveError as error:
        yield name, error.detail
        return
    seen: set[str] = set()
    for line in (text or "").splitlines():
        digest, _, path = line.partition("  ")
        if path in seen:
            yield path, "two lines in md5sums"
        seen.add(path)
        actual = tree.md5.get(f"data.tar!/{path}")
        if actual is None:
            yield path, "a line in md5sums without a file"
        elif digest != actual:
            yield path, "a wrong digest in md5sums"


def _manifest(tree: Tree) -> Iterator[tuple[str, str]]:
    """Check the per-entry digests of a signed jar's manifest (JAR File Specification, "Per-Entry Attributes")."""
    try:
        text = _text(tree, _MANIFEST)
    except ArchiveError as error:
        yield _MANIFEST, error.detail
        return
    claimed = list(_digest_rows(text or ""))
    files = {member.path: member for member in tree.members if member.kind is Kind.FILE}
    seen: set[str] = set()
    with tree.contents({path for path, algorithm, _ in claimed if algorithm != "sha256" and path in files}, _MAX_HASHED) as contents:
        for path, algorithm, value in claimed:
            if f"{algorithm} {path}" in seen:
                yield path, "two digests in the manifest"
            seen.add(f"{algorithm} {path}")
            if path not in files:
                yield path, "a digest in the manifest without a member"
                continue
            actual = files[path].sha256 if algorithm == "sha256" else _hash(contents.get(path), algorithm)
            if actual is None or _hex(value) != actual:
                yield path, "a wrong digest in the manifest"


def _digest_rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Path, hash and value of every digest attribute in the named sections."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n ", "")
    for section in re.split(r"\n{2,}", plain)[1:]:
        headers = [line.partition(": ")[::2] for line in section.split("\n")]
        path = next((value for key, value in headers if key.lower() == "name"), None)
        for key, value in headers:
            algorithm = _JAR_HASHES.get(key.lower())
            if path is not None and algorithm is not None:
                yield path, algorithm, value


def _checksums(tree: Tree) -> Iterator[tuple[str, str]]:
    """Check a gem's ``checksums.yaml`` against the stored bytes of ``metadata.gz`` and ``data.tar.gz``."""
    name = "checksums.yaml"
    try:
        text = _text(tree, name)
    except ArchiveError as error:
        yield name, error.detail
        return
    stored = tree.stored
    algorithm = ""
    for line in (text or "").splitlines():
        if line in ("---", ""):
            continue
        row = _CHECKSUM.match(line)
        if row is None:
            algorithm = line.strip(":'\" ").lower()
            if algorithm not in ("sha256", "sha512", "sha1", "md5"):
                yield name, "a line that is no checksum"
        elif row[1] not in stored:
            yield row[1], "a checksum without a member"
        elif algorithm not in ("sha256", "sha512"):
            yield row[1], f"a checksum by {algorithm}"
        elif row[2] != (stored[row[1]].sha256 if algorithm == "sha256" else stored[row[1]].sha512):
            yield row[1], "a wrong checksum"


def _hash(content: Content | None, algorithm: str) -> str | None:
    if content is None:
        return None
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in content.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _hex(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
