"""Give every difference to at most one cause: fields by typed rules, contents by the passes and tokens that make both sides equal.

A cause is *proved* when the sides are equal once exactly it is masked, *likely* when its signature fits and more would have to be masked or its
form says nothing of its meaning, and what is left is *unexplained*. The unexplained stand first, then what counts, then what explains most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reprove.archive.tree import NEST
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.catalogue import BY_ID, DERIVED, LISTS, UNEXPLAINED
from reprove.compare.causes.claims import Claims
from reprove.compare.causes.contents import content_causes, same_inside
from reprove.compare.causes.fields import Guess, field_cause, in_library, is_time, time_cause
from reprove.compare.causes.members import name_members
from reprove.compare.causes.model import Case, CauseFound
from reprove.compare.causes.texts import Rename
from reprove.compare.result import Difference, cut
from reprove.core.outcomes import Certainty

_FOLLOWS = frozenset({"size", "deflate", "packed", "gzip:deflate"})
"""Fields that differ because the content does."""
_PACKED = frozenset({"packed", "padding", "xz:stream", "xz:blocks", "zstd:stream", "bzip2:stream", "gzip:deflate"})
"""What says something of compressed bytes or their amount: it follows from what is inside where that differs."""
_COUNTS = frozenset({"content", "member", "kind", "target", "format", "executable", "comment", "set-id", "device"})
_STREAMS = ("gzip:", "xz:", "zstd:", "bzip2:")
_MAX_CONTENTS = 400
"""Contents that are taken apart; beyond, they stay unexplained."""
_NOTHING: Guess = (UNEXPLAINED, Certainty.UNEXPLAINED)


def explain(case: Case) -> tuple[CauseFound, ...]:
    """The causes of a case; every difference is claimed by exactly one of them."""
    claims = Claims(case.differences)
    contents = {row.path: index for index, row in enumerate(claims.rows) if row.field == "content"}
    holders = _holders(claims.rows, contents)
    sized = {row.path for row in claims.rows if row.field == "size"}
    stored = {row.path for row in claims.rows if row.field == "method"}
    repacked = {row.path for row in claims.rows if row.field == "compression"}
    _explain_contents(case, claims, contents, name_members(claims))
    _times(case, claims, holders)
    for index in claims.free():
        row = claims.rows[index]
        if row.path in contents and (row.field in _FOLLOWS or (row.field == "header-form" and row.path in sized)):
            claims.give(index, claims.owner[contents[row.path]])
        elif (row.field == "extract-version" and row.path in stored) or (row.field.startswith(_STREAMS) and row.path in repacked):
            claims.give(index, ("compressor", Certainty.PROVED))  # a zip says by it that a member is deflated; each compressor has its own facts
        elif row.field not in _PACKED and (guess := field_cause(row, case.profile)):
            claims.give(index, guess)
    _nested(case, claims, contents, holders)
    for index in claims.free():
        if claims.rows[index].field not in _PACKED:
            claims.give(index, _NOTHING)
    _packed(case, claims)
    return _collected(claims)


def _holders(rows: Sequence[Difference], contents: dict[str, int]) -> dict[int, str]:
    """The outermost archive that is payload, by the index of each row that is of something inside one."""
    found: dict[int, str] = {}
    for index, row in enumerate(rows):
        at = row.path.find(NEST)
        while at >= 0:
            if row.path[:at] in contents:
                found[index] = row.path[:at]
                break
            at = row.path.find(NEST, at + 1)
    return found


def _times(case: Case, claims: Claims, holders: dict[int, str]) -> None:
    """The times of one archive are one decision: what is constant over all of them tells more than any one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(claims.rows):
        if is_time(row) and not in_library(row, case.profile):
            groups[holders.get(index, "")].append(index)
    for times in groups.values():
        cause, certainty = time_cause([claims.rows[index] for index in times], case.profile)
        if cause == "time-zone" and any(owner == _NOTHING for owner in claims.owner.values()):
            certainty = Certainty.LIKELY  # something else differs that nobody understands
        for index in times:
            claims.give(index, (cause, certainty))


def _explain_contents(case: Case, claims: Claims, contents: dict[str, int], renames: Sequence[Rename]) -> None:
    budget = Budget()
    looked = 0
    for path, index in contents.items():
        guesses: list[Guess] = []
        if looked < _MAX_CONTENTS and budget.read > 0 and path in case.contents:
            looked += 1
            guesses = content_causes(case.profile, case.contents[path], budget, renames)
        if case.lying and guesses and guesses[0][0] in LISTS:
            guesses = []  # what lies follows from nothing
        claims.give(index, guesses[0] if guesses else _NOTHING)
        for cause, certainty in guesses[1:]:
            claims.named.setdefault(cause, certainty)


def _nested(case: Case, claims: Claims, contents: dict[str, int], holders: dict[int, str]) -> None:
    """An archive that is payload differs for what differs inside, where all of that has a cause.

    Proved only where the canonical form of both is the same, which sees every byte: the rows alone do not tell of bytes that are no member's.
    """
    inside: dict[str, list[int]] = defaultdict(list)
    for index, holder in holders.items():
        inside[holder].append(index)
    of_holder: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(claims.rows):
        if row.path in inside and row.field in ("content", *_FOLLOWS):
            of_holder[row.path].append(index)
    for path, rows in inside.items():
        known = [claims.owner.get(row, _NOTHING) for row in rows if claims.rows[row].field not in _PACKED]
        if claims.owner[contents[path]] != _NOTHING or not known or _NOTHING in known:
            continue
        sure = all(certainty is Certainty.PROVED for _, certainty in known)
        if sure and not (path in case.contents and same_inside(case.contents[path])):
            continue  # every row is dull, and yet the archives do not hold the same: something hides
        cause = max(dict.fromkeys(cause for cause, _ in known), key=[cause for cause, _ in known].count)
        for index in of_holder[path]:
            claims.owner[index] = (cause, Certainty.PROVED if sure else Certainty.LIKELY)


def _packed(case: Case, claims: Claims) -> None:
    """Compressed bytes and their amount differ for what is inside, and go to the cause that most of that has; alone they have their own."""
    split = {row.path for row in claims.rows if row.field == "xz:blocks" and None not in (row.old, row.new)}
    for index in claims.free():
        row = claims.rows[index]
        inside = [owner for one, owner in claims.owner.items() if _inside(claims.rows[one], row.path)]
        if row.field == "xz:blocks" and inside:
            guess: Guess | None = ("threads", Certainty.LIKELY)
        elif _NOTHING in inside:
            guess = _NOTHING
        elif row.path in split and not inside:
            guess = ("threads", Certainty.PROVED)
        else:
            guess = max(dict.fromkeys(inside), key=inside.count) if inside else field_cause(row, case.profile)
        claims.give(index, guess or _NOTHING)


def _inside(row: Difference, container: str) -> bool:
    """Whether a row is of something in a container, not of how the container is packed."""
    if row.field in _PACKED:
        return False
    if not container:
        return row.path != "" or row.field == "order"
    return row.path.startswith(container + NEST) or (row.path == container and row.field == "order")


def _collected(claims: Claims) -> tuple[CauseFound, ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    sure: dict[str, Certainty] = dict(claims.named)
    for index in range(len(claims.rows)):
        cause, certainty = claims.owner[index]
        groups[cause].append(index)
        if sure.get(cause) is not Certainty.LIKELY:
            sure[cause] = certainty  # one that is only likely anywhere is only likely
    found = [_found(cause, sure[cause], groups.get(cause, []), claims.rows) for cause in sure]
    return tuple(sorted(found, key=lambda one: _rank(one, claims.rows)))


def _rank(found: CauseFound, rows: Sequence[Difference]) -> tuple[object, ...]:
    """What nobody explains, who may run what, then what counts below ``bitwise`` before what does not; effects of others last."""
    counts = any(rows[index].field in _COUNTS for index in found.claims)
    effect = 2 if found.id in LISTS else 1 if found.id in DERIVED else 0
    return found.id != UNEXPLAINED, found.id != "executable-bit", effect, not counts, -len(found.claims)


def _found(cause: str, certainty: Certainty, indices: list[int], rows: Sequence[Difference]) -> CauseFound:
    detail = ""
    if indices:
        row = next((rows[index] for index in indices if rows[index].field in _COUNTS), rows[indices[0]])
        detail = cut(f"{row.path or 'the archive'}: {row.field} {_side(row.old)} → {_side(row.new)}")
    return CauseFound(id=cause, certainty=certainty, fix=BY_ID[cause].fix, detail=detail, claims=tuple(indices))


def _side(value: str | int | None) -> str:
    return "absent" if value is None else str(value)[:80]
