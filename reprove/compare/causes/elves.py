"""Causes of a difference between two ELF files that reaches into what is loaded: by the pieces that differ, and what their strings say."""

from __future__ import annotations

from collections import Counter, defaultdict

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.anatomies.elf.tables import COMPRESSED, ElfError, read
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.fields import Guess
from reprove.compare.causes.regions import MAX_REGIONS, Region, is_text, regions
from reprove.compare.causes.texts import folders, region_causes
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Certainty

_LOOSE = frozenset(
    ["position", "debug", "debug-facts", "debug-texts", "symbols", "symbols-facts", "names", "names-facts", "path-prefix", "build-id", "debuglink"]
)
_LOOSE_TOO = frozenset(["debuglink-facts", "comment", "comment-facts", "unloaded", "unloaded-facts", "gap", "null"])
_STRINGS = (".rodata", ".dynstr", ".data")
_MIN_STRING = 4
_ADDRESSED = (".text", ".plt", ".init", ".fini", ".eh_frame", ".dynamic", ".got", ".dynsym", ".rela", ".rel", ".init_array", ".fini_array", ".data")
_ADDRESSED_TOO = (".gnu.version", ".gnu.hash", ".note", ".gcc_except_table", ".tbss", ".tdata", ".bss")
"""Sections that hold addresses: they differ when a string before them has another length."""
_MAX_MOVED = 0.2
"""The share of a section's bytes that other addresses may change."""


def code_causes(path: str, old: bytes, new: bytes, budget: Budget) -> list[Guess]:
    """The likely causes of a difference in loaded sections; empty where something in them is explained by none."""
    sides = [ELF.split(old), ELF.split(new)]
    if sides[0] is None or sides[1] is None:
        return []
    mine, theirs = _by_name(sides[0]), _by_name(sides[1])
    differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    found: list[Region] = []
    moved = False
    rest: list[str] = []
    for name in differing:
        kind, _, title = name.partition(":")
        if kind in _LOOSE or kind in _LOOSE_TOO:
            continue
        if kind == "loaded" and title in _STRINGS and name in mine and name in theirs:
            said = _said(b"".join(mine[name]), b"".join(theirs[name]))
            if said is not None:
                found += said
                moved = moved or sum(map(len, mine[name])) != sum(map(len, theirs[name]))
                continue
        rest.append(name)
    causes = region_causes(path, found, budget)
    compiled: list[Guess] = (
        [("compiler-version", Certainty.LIKELY)] if _said_by(mine) and _said_by(theirs) and _said_by(mine) != _said_by(theirs) else []
    )
    explained = not rest or (moved and all(_follows(name, mine, theirs) for name in rest))
    if causes and explained:
        return [*((cause, Certainty.LIKELY) for cause in causes), *compiled]
    return compiled


def other_folder(old: bytes, new: bytes) -> bool:
    """Whether the strings for debuggers are the same but for one folder in place of another."""
    before, after = _debug_strings(old), _debug_strings(new)
    mine, theirs = sorted((before - after).elements()), sorted((after - before).elements())
    if not mine or len(mine) != len(theirs) or len(mine) > MAX_REGIONS:
        return False
    moved = folders([Region(*pair) for pair in zip(mine, theirs, strict=True)])
    return moved is not None and sorted(one.replace(*moved) for one in mine) == theirs


def _debug_strings(data: bytes) -> Counter[bytes]:
    """Every string in the tables of strings for debuggers; none of tables that are compressed."""
    found: Counter[bytes] = Counter()
    try:
        elf = read(data)
    except ElfError:
        return found
    for section, name in zip(elf.sections, elf.names, strict=True):
        if name in (".debug_str", ".debug_line_str") and not section.flags & COMPRESSED:
            found.update(filter(None, data[section.offset : section.offset + section.stored].split(b"\0")))
    return found


def _said_by(pieces: dict[str, list[bytes]]) -> list[bytes]:
    """What names the compilers."""
    return pieces.get("comment:.comment", [])


def _by_name(pieces: tuple[Piece, ...]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for piece in pieces:
        found[piece.name].append(piece.data)
    return dict(found)


def _said(old: bytes, new: bytes) -> list[Region] | None:
    """The strings that differ between two sections; a linker that merges strings gives them another order when one has another length."""
    found = regions(old, new)
    if found and all(min(map(len, one)) >= _MIN_STRING for one in found):
        return found
    before, after = Counter(filter(None, old.split(b"\0"))), Counter(filter(None, new.split(b"\0")))
    mine, theirs = list((before - after).elements()), list((after - before).elements())
    if not mine or len(mine) != len(theirs) or len(mine) > MAX_REGIONS or not all(map(is_text, (*mine, *theirs))):
        return None
    return [Region(left, right) for left, right in zip(mine, theirs, strict=True)]


def _follows(name: str, mine: dict[str, list[bytes]], theirs: dict[str, list[bytes]]) -> bool:
    """Whether a piece may differ for addresses alone: facts and tables do, code in few of its bytes."""
    kind, _, title = name.partition(":")
    if kind in ("segments", "entry", "header", "loaded-facts") or kind.startswith("gap"):
        return True
    if kind != "loaded" or not title.startswith((*_ADDRESSED, *_ADDRESSED_TOO)) or name not in mine or name not in theirs:
        return False
    before, after = b"".join(mine[name]), b"".join(theirs[name])
    if len(before) != len(after):
        return False
    if not title.startswith((".text", ".init", ".fini", ".plt")):
        return True
    changed = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
    differing = len(before) - changed.to_bytes(len(before), "big").count(0)
    return differing <= _MAX_MOVED * len(before)
