"""Causes inside contents that no anatomy knows: a mask over tokens of one typed form, on both sides. What they show is *likely*, never proved.

A masked token is replaced by its form, so that nothing else of the content is left out of account; but a form is no meaning: a digest that an
attacker exchanged looks like one that is random. Only line ends are proved, since every byte is accounted for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from reprove.compare.content import common_prefix
from reprove.core.outcomes import Certainty

MAX_TEXT = 8 * 1024**2
_MONTHS = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = re.compile(
    rb"(?:19|20)\d\d[-/.](?:0[1-9]|1[0-2])[-/.](?:0[1-9]|[12]\d|3[01])(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?"
    rb"|" + _MONTHS + rb" [ 0-3]?\d,? (?:\d\d:\d\d:\d\d )?(?:19|20)\d\d|[0-3]?\d " + _MONTHS + rb" (?:19|20)\d\d|(?<!\d)[0-2]\d:[0-5]\d:[0-5]\d(?!\d)"
    rb"|(?<!\d)1[0-9]{9}(?!\d)"
)
_GIT = re.compile(rb"(?<![0-9a-zA-Z])(?:g?[0-9a-f]{40}|g[0-9a-f]{7,12}|[0-9a-f]{7,12})(?![0-9a-zA-Z])|-dirty|[.+]dev\d{1,6}|\+d20\d{6}|\.d20\d{6}")
_RANDOM = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-zA-Z])[0-9a-f]{16,128}(?![0-9a-zA-Z])|(?<=tmp)[A-Za-z0-9_]{6,10}"
    rb"|(?<![\w+/])[A-Za-z0-9+/_-]{22,88}={0,2}(?![\w+/=])"
)
_USER = re.compile(rb"[A-Za-z_][\w.-]{0,31}@[A-Za-z0-9][\w.-]{0,63}|(?<=hostname[=:] )[\w.-]{1,64}|(?<=/home/)[\w.-]{1,32}|(?<=/Users/)[\w.-]{1,32}")
_WORD = re.compile(rb"[\w./+-]+|[^\w\s]")
_PATH_END = re.compile(rb"[\s\"'<>:;,\0()=|]")
_SYSTEM = (b"/usr", b"/bin", b"/lib", b"/etc", b"/sbin", b"/dev", b"/proc", b"/sys")
_MAX_TOKENS = 200_000


def text_cause(old: bytes, new: bytes) -> tuple[str, Certainty] | None:
    """The cause that fits two contents, or None."""
    if max(len(old), len(new)) > MAX_TEXT:
        return None
    for cause, fits, certainty in _TESTS:
        if fits(old, new):
            return cause, certainty
    return None


def _line_ends(old: bytes, new: bytes) -> bool:
    return b"\0" not in old and old.replace(b"\r\n", b"\n") == new.replace(b"\r\n", b"\n")


def _masked(form: re.Pattern[bytes]) -> Callable[[bytes, bytes], bool]:
    def fits(old: bytes, new: bytes) -> bool:
        return form.sub(b"\0", old) == form.sub(b"\0", new)

    return fits


def _built_elsewhere(old: bytes, new: bytes) -> bool:
    """Whether one absolute folder in place of the other makes the sides equal."""
    at = common_prefix(old, new)
    starts = [_path_start(side, at) for side in (old, new)]
    ends = [_path_end(side, at) for side in (old, new)]
    first, second = old[starts[0] : ends[0]], new[starts[1] : ends[1]]
    if not first.startswith(b"/") or not second.startswith(b"/"):
        return False
    common = common_prefix(first[::-1], second[::-1])
    if common:
        cut = first[len(first) - common :].find(b"/")
        common = common - cut if cut >= 0 else 0
    before, after = first[: len(first) - common], second[: len(second) - common]
    if min(before.count(b"/"), after.count(b"/")) < 1 or before == after or (before + b"/").startswith(_SYSTEM) or (after + b"/").startswith(_SYSTEM):
        return False
    return old.replace(before, after) == new


def _path_start(data: bytes, at: int) -> int:
    begin = max(0, at - 4096)
    last = begin
    for found in _PATH_END.finditer(data, begin, at):
        last = found.end()
    return last


def _path_end(data: bytes, at: int) -> int:
    found = _PATH_END.search(data, at, at + 4096)
    return found.start() if found else min(len(data), at + 4096)


def _reordered(old: bytes, new: bytes) -> bool:
    """Whether the same lines, or the same words in each differing line, come in another order."""
    if b"\0" in old or len(old) != len(new):
        return False
    before, after = old.split(b"\n"), new.split(b"\n")
    if sorted(before) == sorted(after):
        return True
    if len(before) != len(after):
        return False
    spent = 0
    for left, right in zip(before, after, strict=True):
        if left != right:
            words = Counter(_WORD.findall(left))
            spent += words.total()
            if spent > _MAX_TOKENS or words != Counter(_WORD.findall(right)):
                return False
    return True


_TESTS: tuple[tuple[str, Callable[[bytes, bytes], bool], Certainty], ...] = (
    ("line-endings", _line_ends, Certainty.PROVED),
    ("build-path", _built_elsewhere, Certainty.LIKELY),
    ("embedded-date", _masked(_DATE), Certainty.LIKELY),
    ("host-or-user", _masked(_USER), Certainty.LIKELY),
    ("git-state", _masked(_GIT), Certainty.LIKELY),
    ("random", _masked(_RANDOM), Certainty.LIKELY),
    ("hash-order", _reordered, Certainty.LIKELY),
)
