"""Causes inside contents that no anatomy knows: masks over tokens of one typed form, on both sides. What they show is *likely*, never proved.

A masked token is replaced by its form, so that nothing else of the content is left out of account; but a form is no meaning: a digest that an
attacker exchanged looks like one that is random. Only line ends are proved, since every byte is accounted for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from reprove.compare.causes import orders
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.fields import Guess
from reprove.compare.causes.regions import Region, regions
from reprove.compare.causes.tokens import LOCKS, MASKS, Mask, versions
from reprove.compare.content import common_prefix
from reprove.core.outcomes import Certainty

MAX_TEXT = 8 * 1024**2
_PATH_END = re.compile(rb"[\s\"'<>;,\0()=|]|:(?!//)")
_PATH_REACH = 1024
_SYSTEM = (b"/usr/", b"/bin/", b"/lib/", b"/etc/", b"/sbin/", b"/dev/", b"/proc/", b"/sys/", b"/var/lib/", b"/var/log/", b"/boot/")
_TEMPORARY = re.compile(rb"/(?:var/)?tmp/tmp[._]?[A-Za-z0-9_]{6,12}")
_OPTION = re.compile(rb"-?[A-Za-z]{0,2}")
"""What may stand before a path without a space, as in ``-I/build/include``."""
Rename = tuple[bytes, bytes]


def text_causes(path: str, old: bytes, new: bytes, budget: Budget, renames: Sequence[Rename] = ()) -> list[Guess]:
    """The causes that together make two contents equal, the one with most of the regions first; empty where something is left.

    ``renames`` are names of members on both sides, for contents that name them.
    """
    if max(len(old), len(new)) > MAX_TEXT or not budget.lines(len(old) + len(new)):
        return []
    lines = [side.replace(b"\r\n", b"\n") for side in (old, new)] if b"\0" not in old and b"\r\n" in old + new else [old, new]
    if lines[0] == lines[1]:
        return [("line-endings", Certainty.LIKELY if old.startswith(b"#!") else Certainty.PROVED)]  # the kernel takes the CR for a part of the name
    ended: list[Guess] = [("line-endings", Certainty.LIKELY)] if _ends(old) != _ends(new) else []
    reordered = orders.order_cause(*lines)
    if reordered:
        return [(reordered, Certainty.LIKELY), *ended]
    causes = region_causes(path, regions(lines[0], lines[1]) or (), budget, renames)
    return [*((cause, Certainty.LIKELY) for cause in causes), *(ended if causes else [])]


def _ends(data: bytes) -> bool:
    return b"\r\n" in data


def region_causes(path: str, found: Sequence[Region], budget: Budget, renames: Sequence[Rename] = ()) -> list[str]:
    """The causes that explain every one of these regions, the most frequent first; empty where one region is left unexplained."""
    if not found or not budget.masks(sum(len(one.old) + len(one.new) for one in found)):
        return []
    masks = [*MASKS, ("dependency-drift", versions)] if LOCKS.fullmatch(path.rpartition("/")[2]) else list(MASKS)
    count: Counter[str] = Counter()
    moved = folders(found)
    for region in found:
        needed = _needed(region, masks, moved, renames)
        if needed is None:
            return []
        count.update(needed)
    rank = ["build-path", "renamed-chunk", *(cause for cause, _ in masks)]
    return sorted(count, key=lambda cause: (-count[cause], rank.index(cause)))


def _needed(region: Region, masks: Sequence[tuple[str, Mask]], moved: tuple[bytes, bytes] | None, renames: Sequence[Rename]) -> list[str] | None:
    """The fewest causes that make a region equal, or None."""
    old, new = region
    causes: list[str] = []
    for before, after in renames:
        if before in old and old != new:
            old = old.replace(before, after)
            causes = ["renamed-chunk"]
    if old != new and moved and moved[0] in old:
        causes.append("random" if all(_TEMPORARY.fullmatch(side) for side in moved) else "build-path")
        old = old.replace(*moved)
    if old == new:
        return list(dict.fromkeys(causes))
    for cause, mask in masks:
        if mask(old) == mask(new):
            return list(dict.fromkeys([*causes, cause]))
    kept = list(masks)
    if _masked(kept, old) != _masked(kept, new):
        return None
    for one in reversed(masks):
        without = [other for other in kept if other is not one]
        if _masked(without, old) == _masked(without, new):
            kept = without
    return list(dict.fromkeys([*causes, *(cause for cause, _ in kept)]))


def _masked(masks: Sequence[tuple[str, Mask]], text: bytes) -> bytes:
    for _, mask in masks:
        text = mask(text)
    return text


def folders(found: Sequence[Region]) -> tuple[bytes, bytes] | None:
    """The absolute folder that stands in the old sides where another stands in the new ones, by the first region that shows both."""
    for old, new in found:
        at = common_prefix(old, new)
        first, second = _path(old, at), _path(new, at)
        if not first.startswith(b"/") or not second.startswith(b"/"):
            continue
        before, after = _without_common_end(first, second)
        if before and after and before != after and not any((side + b"/").startswith(_SYSTEM) for side in (before, after)):
            return before, after
    return None


def _path(text: bytes, at: int) -> bytes:
    """The path around a place, from its leading slash on."""
    begin = max(0, at - _PATH_REACH)
    start = max((one.end() for one in _PATH_END.finditer(text, begin, at)), default=begin)
    end = _PATH_END.search(text, at, at + _PATH_REACH)
    path = text[start : end.start() if end else at + _PATH_REACH]
    scheme = path.find(b"://")
    path = path[scheme + 3 :] if scheme >= 0 else path
    slash = path.find(b"/")
    return path[slash:] if slash >= 0 and _OPTION.fullmatch(path, 0, slash) else path


def _without_common_end(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Both folders without what follows alike in both, cut at a slash."""
    first, second = first.rstrip(b"/"), second.rstrip(b"/")
    common = common_prefix(first[::-1], second[::-1])
    tail = first[len(first) - common :]
    slash = tail.find(b"/")
    common = len(tail) - slash if slash >= 0 else 0
    return first[: len(first) - common], second[: len(second) - common]
