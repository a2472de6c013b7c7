"""Causes of members that one side lacks: signatures, and pairs of the same file, or of the same name but for a hash, under two paths."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from reprove.compare.causes.claims import Claims
from reprove.compare.causes.texts import Rename
from reprove.core.outcomes import Certainty

_HASH = re.compile(r"(?<=[-._~/])[0-9A-Za-z]{6,64}(?=[-._]|$)")
_BUNDLED = re.compile(r"(?:^|/)[^/]{0,80}\.libs/|\.so(?:\.[\w.]{1,40})?$|\.dylib$|\.dll$")
_LIBRARY_VERSION = re.compile(r"(?<=\.so)(?:\.\d{1,8}){1,4}$|(?<=[-.])\d{1,6}(?:\.\d{1,6}){0,3}(?=\.|$)")
_ASSET = re.compile(r"\.(?:js|mjs|cjs|css|map|json|wasm|html|woff2?|ttf|svg|png|jpg|gz|br|LICENSE\.txt)$")
_JAR_SIGNATURE = re.compile(r"META-INF/([^/]{1,100})\.(SF|RSA|DSA|EC)")
_SIGNATURE = re.compile(
    r"(?:.{1,1000}\.dist-info/RECORD\.(?:jws|p7s)|_gpg(?:origin|maint|archive|builder)|.{1,1000}\.(?:asc|sig|sigstore(?:\.json)?|p7s))"
)
_MAX_RENAMES = 50


def name_members(claims: Claims) -> tuple[Rename, ...]:
    """Claim the members that only one side has, where they have a cause. Returns the names that a hash in them changed."""
    gone: dict[str, list[int]] = defaultdict(list)
    come: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(claims.rows):
        if row.field == "member" and "folder" not in (row.old, row.new):
            (gone if row.new is None else come)[str(row.old if row.new is None else row.new)].append(index)
    _signatures(claims)
    _moved(claims, gone, come)
    before, after = ([index for rows in side.values() for index in rows] for side in (gone, come))
    _paired(claims, before, after, _plain, lambda _path: "backend-version")
    renames: list[Rename] = []
    for old, new in _paired(claims, before, after, _unhashed, lambda path: "dependency-drift" if _BUNDLED.search(path) else "renamed-chunk"):
        names = [path.rpartition("/")[2] for path in (old, new)]
        if names[0] != names[1]:
            renames.append((names[0].encode(), names[1].encode()))
    return tuple(renames[:_MAX_RENAMES])


def _signatures(claims: Claims) -> None:
    """Signatures that one side lacks; of a jar only those with a ``.SF`` of their name, which is what makes the others a signature."""
    found = {index: row for index, row in enumerate(claims.rows) if row.field == "member"}
    blocks = {index: match for index, row in found.items() if (match := _JAR_SIGNATURE.fullmatch(row.path))}
    signed = {match[1] for match in blocks.values() if match[2] == "SF"}
    for index, row in found.items():
        block = blocks.get(index)
        if (block and block[1] in signed) or (block is None and _SIGNATURE.fullmatch(row.path)):
            claims.give(index, ("signature", Certainty.LIKELY))


def _moved(claims: Claims, gone: dict[str, list[int]], come: dict[str, list[int]]) -> None:
    """The same content of the same name in another folder. Likely at most, since paths decide what runs; another name is another file."""
    for what, left in gone.items():
        names: dict[str, list[int]] = defaultdict(list)
        for index in come.get(what, ()):
            if index not in claims.owner:
                names[_name(claims.rows[index].path)].append(index)
        for mine in left:
            path = claims.rows[mine].path
            if mine in claims.owner or not names[_name(path)]:
                continue
            theirs = names[_name(path)].pop()
            in_info = ".dist-info/" in path and ".dist-info/" in claims.rows[theirs].path
            for index in (mine, theirs):
                claims.give(index, ("backend-version" if in_info else "moved-member", Certainty.LIKELY))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _plain(path: str) -> str | None:
    """A path with the spelling of names left out: backends changed it (PEP 625, the binary distribution format's escaping)."""
    return re.sub(r"[-_.]+", "_", path).lower()


def _unhashed(path: str) -> str | None:
    """A path without what looks like a hash in it; of a bundled library, without its version too. None where there is no hash."""
    if not (_ASSET.search(path) or _BUNDLED.search(path)):
        return None
    bare = _HASH.sub(lambda found: "" if _is_hash(found[0]) else found[0], path)
    if bare == path and ".libs/" not in path:
        return None
    return _LIBRARY_VERSION.sub("", bare) if _BUNDLED.search(path) else bare


def _is_hash(text: str) -> bool:
    """Whether a part of a name mixes digits and letters as hashes do."""
    digits = sum(char.isdigit() for char in text)
    if re.fullmatch(r"[0-9a-f]+", text):
        return len(text) >= 8 and (digits >= 1)
    return len(text) >= 6 and digits >= 1 and digits < len(text) and text != text.lower()


def _paired(claims: Claims, gone: list[int], come: list[int], key: Callable[[str], str | None], cause: Callable[[str], str]) -> list[tuple[str, str]]:
    """Pair members that only one side has by a key of their paths; returns the paths of each pair."""
    left_over = {name: index for index in gone if index not in claims.owner and (name := key(claims.rows[index].path))}
    found: list[tuple[str, str]] = []
    for index in come:
        name = key(claims.rows[index].path)
        other = left_over.pop(name, None) if name and index not in claims.owner else None
        if other is not None:
            for one in (index, other):
                claims.give(one, (cause(claims.rows[index].path), Certainty.LIKELY))
            found.append((claims.rows[other].path, claims.rows[index].path))
    return found
