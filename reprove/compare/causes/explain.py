"""Give every difference to at most one cause: fields by typed rules, contents by the passes and tokens that make both sides equal.

A cause is *proved* when the sides are equal once exactly it is masked, *likely* when its signature fits and more would have to be masked or its
form says nothing of its meaning, and what is left is *unexplained*. The unexplained stand first, then what explains most.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from reprove.archive.tree import NEST
from reprove.compare.causes.catalogue import BY_ID, DERIVED, UNEXPLAINED
from reprove.compare.causes.contents import content_causes
from reprove.compare.causes.fields import Guess, field_cause, is_time, time_cause
from reprove.compare.causes.model import Case, CauseFound
from reprove.compare.result import Difference, cut
from reprove.core.outcomes import Certainty

_FOLLOWS = frozenset({"size", "deflate", "packed", "gzip:deflate"})
"""Fields that differ because the content does."""
_PACKED = frozenset({"packed", "xz:stream", "zstd:stream", "bzip2:stream", "gzip:deflate"})
"""Digests of compressed bytes: they follow from what is inside where that differs."""
_HASH = re.compile(r"[-._~][0-9a-zA-Z]{6,64}(?=[-._])")
_SIGNATURE = re.compile(r"META-INF/([^/]{1,100})\.(SF|RSA|DSA|EC)")
_MAX_CONTENTS = 400
"""Contents that are taken apart; beyond, they stay unexplained."""


@dataclass(slots=True)
class _Claims:
    """Which differences each cause has, by certainty; every index is claimed once."""

    rows: tuple[Difference, ...]
    owner: dict[int, Guess] = field(default_factory=dict)
    named: dict[str, Certainty] = field(default_factory=dict)

    def give(self, index: int, guess: Guess) -> None:
        """Claim one difference, if nobody has."""
        self.owner.setdefault(index, guess)

    def free(self) -> list[int]:
        """The differences that nobody has claimed."""
        return [index for index in range(len(self.rows)) if index not in self.owner]


def explain(case: Case) -> tuple[CauseFound, ...]:
    """The causes of a case; every difference is claimed by exactly one of them."""
    claims = _Claims(case.differences)
    contents = {row.path: index for index, row in enumerate(claims.rows) if row.field == "content"}
    outer = frozenset(contents)
    _times(claims)
    _explain_contents(case, claims, contents)
    for index in claims.free():
        row = claims.rows[index]
        if row.field in _FOLLOWS and row.path in contents:
            claims.give(index, claims.owner[contents[row.path]])
            continue
        guess = None if row.field in _PACKED and _holds_differences(claims.rows, row.path) else field_cause(row)
        if guess is not None:
            claims.give(index, guess)
    _signatures(claims)
    _moved(claims)
    _nested(claims, outer)
    _packed(claims)
    for index in claims.free():
        claims.give(index, (UNEXPLAINED, Certainty.UNEXPLAINED))
    return _collected(claims)


def _times(claims: _Claims) -> None:
    """Times are one decision: what is constant over all of them tells more than any one."""
    times = [index for index, row in enumerate(claims.rows) if is_time(row)]
    if times:
        guess = time_cause([claims.rows[index] for index in times])
        for index in times:
            claims.give(index, guess)


def _explain_contents(case: Case, claims: _Claims, contents: dict[str, int]) -> None:
    looked = 0
    for path, index in contents.items():
        guesses: list[Guess] = []
        if looked < _MAX_CONTENTS and path in case.contents:
            looked += 1
            guesses = content_causes(case.profile, case.contents[path])
        if case.lying and guesses and guesses[0][0] in DERIVED:
            guesses = []  # what lies follows from nothing
        claims.give(index, guesses[0] if guesses else (UNEXPLAINED, Certainty.UNEXPLAINED))
        for cause, certainty in guesses[1:]:
            claims.named.setdefault(cause, certainty)


def _signatures(claims: _Claims) -> None:
    """Signature files of a jar that one side lacks: only those with a ``.SF`` of their name, which is what makes the others a signature."""
    names = {
        index: found for index in claims.free() if (found := _SIGNATURE.fullmatch(claims.rows[index].path)) and claims.rows[index].field == "member"
    }
    signed = {found[1] for found in names.values() if found[2] == "SF"}
    for index, found in names.items():
        if found[1] in signed:
            claims.give(index, ("signature", Certainty.LIKELY))


def _moved(claims: _Claims) -> None:
    """Members that one side lacks and the other has under another path: by their whole description, then by names without hashes."""
    gone: dict[str, list[int]] = defaultdict(list)
    come: dict[str, list[int]] = defaultdict(list)
    for index in claims.free():
        row = claims.rows[index]
        if row.field == "member":
            (gone if row.new is None else come)[str(row.old if row.new is None else row.new)].append(index)
    for what, left in gone.items():
        for mine, theirs in zip(left, come.get(what, ()), strict=False):
            paths = [claims.rows[index].path for index in (mine, theirs)]
            in_info = all(".dist-info/" in path for path in paths) and len({path.rpartition("/")[2] for path in paths}) == 1
            for index in (mine, theirs):
                claims.give(index, ("backend-version" if in_info else "moved-member", Certainty.LIKELY if in_info else Certainty.PROVED))
    for key in (_plain_name, _unhashed_name):
        _paired(claims, gone, come, key)


def _plain_name(path: str) -> str:
    """A path with the spelling of names left out: backends changed it (PEP 625, the binary distribution format's escaping)."""
    return re.sub(r"[-_.]+", "_", path).lower()


def _unhashed_name(path: str) -> str:
    """A path without what looks like a hash in it."""
    return _HASH.sub("", path)


def _paired(claims: _Claims, gone: dict[str, list[int]], come: dict[str, list[int]], key: Callable[[str], str]) -> None:
    """Pair members that only one side has by a key of their paths."""
    left_over = {key(claims.rows[index].path): index for rows in gone.values() for index in rows if index not in claims.owner}
    for rows in come.values():
        for index in rows:
            other = left_over.pop(key(claims.rows[index].path), None)
            if other is not None and index not in claims.owner:
                bundled = ".libs/" in claims.rows[index].path or ".so" in claims.rows[index].path
                cause = "backend-version" if key is _plain_name else "dependency-drift" if bundled else "renamed-chunk"
                for one in (index, other):
                    claims.give(one, (cause, Certainty.LIKELY))


def _nested(claims: _Claims, outer: frozenset[str]) -> None:
    """An archive that is payload is explained by what differs inside: by one cause when all of it has that cause, else by none."""
    inside: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(claims.rows):
        holder = row.path.rpartition(NEST)[0]
        while holder and holder not in outer:
            holder = holder.rpartition(NEST)[0]
        if holder:
            inside[holder].append(index)
    for path, rows in inside.items():
        index = next(number for number, row in enumerate(claims.rows) if row.path == path and row.field == "content")
        known = [claims.owner[row] for row in rows if row in claims.owner and claims.owner[row][0] != UNEXPLAINED]
        if claims.owner[index][0] == UNEXPLAINED and known and len(known) == len(rows):
            causes = {cause for cause, _ in known}
            guess = (known[0][0], Certainty.PROVED if len(causes) == 1 and all(sure is Certainty.PROVED for _, sure in known) else Certainty.LIKELY)
            for number, row in enumerate(claims.rows):
                if row.path == path and row.field in ("content", *_FOLLOWS):
                    claims.owner[number] = guess


def _holds_differences(rows: tuple[Difference, ...], path: str) -> bool:
    """Whether something inside a compressed archive differs: below the container, or anywhere where the file itself is compressed."""
    return any((row.path.startswith(path + NEST) if path else row.path != "") and row.field not in _PACKED for row in rows)


def _packed(claims: _Claims) -> None:
    """Compressed bytes differ for what is inside: they go to the cause that most of that has."""
    for index in claims.free():
        path = claims.rows[index].path
        if claims.rows[index].field in _PACKED:
            inside = [
                claims.owner[one] for one, row in enumerate(claims.rows) if one in claims.owner and (not path or row.path.startswith(path + NEST))
            ]
            if inside:
                claims.give(index, max(dict.fromkeys(inside), key=inside.count))


def _collected(claims: _Claims) -> tuple[CauseFound, ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    sure: dict[str, Certainty] = dict(claims.named)
    for index in range(len(claims.rows)):
        cause, certainty = claims.owner[index]
        groups[cause].append(index)
        if sure.get(cause) is not Certainty.LIKELY:
            sure[cause] = certainty  # one that is only likely anywhere is only likely
    found = [_found(cause, sure[cause], groups.get(cause, []), claims.rows) for cause in sure]
    if any(one.id not in DERIVED and one.id != UNEXPLAINED and one.claims for one in found):
        found.sort(key=lambda one: (one.id != UNEXPLAINED, one.id in DERIVED, -len(one.claims)))
    else:
        found.sort(key=lambda one: (one.id != UNEXPLAINED, -len(one.claims)))
    return tuple(found)


def _found(cause: str, certainty: Certainty, indices: list[int], rows: tuple[Difference, ...]) -> CauseFound:
    detail = ""
    if indices:
        row = rows[indices[0]]
        detail = cut(f"{row.path or 'the archive'}: {row.field} {_side(row.old)} → {_side(row.new)}")
    return CauseFound(id=cause, certainty=certainty, fix=BY_ID[cause].fix, detail=detail, claims=tuple(indices))


def _side(value: str | int | None) -> str:
    return "absent" if value is None else str(value)[:80]
