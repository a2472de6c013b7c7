"""The same lines, or the same items of a list, in another order: by a folder on disk, by a locale, or by a hash."""

from __future__ import annotations

import re
from collections import Counter

_MAX_ITEMS = 200_000
_ITEM = re.compile(rb"[^,{}\[\]()]+")
_FILE = re.compile(rb"[\"']?[\w.+@-]{0,80}(?:/[\w.+@-]{1,80}){0,20}(?:/|\.[A-Za-z0-9]{1,8})[\"']?,?")
_WORDS = re.compile(rb"[\w./:+=@-]+(?:[ \t]+[\w./:+=@-]+){2,}")
_KEYWORD = re.compile(rb"\b(?:and|or|not|in|is|if|else|for|return|import|from|while)\b")


def order_cause(old: bytes, new: bytes) -> str | None:
    """The cause of another order of the same things; None where the things differ."""
    if b"\0" in old or len(old) != len(new):
        return None
    before, after = old.split(b"\n"), new.split(b"\n")
    if len(before) + len(after) > 2 * _MAX_ITEMS:
        return None
    bare = [[line.strip(b", \t") for line in side if line.strip()] for side in (before, after)]  # the last item of a list has no comma
    if Counter(bare[0]) == Counter(bare[1]):
        return _kind(*bare)
    if len(before) != len(after):
        return None
    kinds: Counter[str] = Counter()
    spent = 0
    for left, right in zip(before, after, strict=True):
        if left == right:
            continue
        items = _items(left), _items(right)
        spent += len(items[0])
        if spent > _MAX_ITEMS or len(items[0]) < 2 or Counter(items[0]) != Counter(items[1]):
            return None
        kinds[_kind(*items)] += 1
    return kinds.most_common(1)[0][0] if kinds else None


def _items(line: bytes) -> list[bytes]:
    """What a list in brackets or commas lists, or the words of a line that is nothing but words."""
    text = line.strip()
    if _WORDS.fullmatch(text) and not _KEYWORD.search(text):
        return text.split()
    return [item.strip() for item in _ITEM.findall(line) if item.strip()]


def _kind(old: list[bytes], new: list[bytes]) -> str:
    if _sorted_two_ways(old, new) or _sorted_two_ways(new, old):
        return "locale-order"
    files = sum(_FILE.fullmatch(item.strip()) is not None for item in old)
    return "file-order" if 2 * files > len(old) else "hash-order"


def _sorted_two_ways(old: list[bytes], new: list[bytes]) -> bool:
    """Whether one side is sorted as bytes and the other as a locale does: without regard to case and punctuation."""
    if len(old) < 3 or old != sorted(old):
        return False
    keys = [re.sub(rb"[^0-9a-z]", b"", item.lower()) for item in new]
    return keys == sorted(keys)
