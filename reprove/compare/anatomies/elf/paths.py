"""The build path in debug information: learned from line table or units, set apart in the tables of strings (DWARF 5, sections 6.2.4 and 7.26).

A path that is longer moves the strings behind it, and so every offset to them: those of ``.debug_line_str`` are followed, and the text that each
leads to stands in their place.
"""

from __future__ import annotations

from collections.abc import Iterator

from reprove.compare.anatomies.elf.dwarf import DwarfError
from reprove.compare.anatomies.elf.tables import COMPRESSED, RELOCATABLE, Elf
from reprove.compare.anatomies.elf.units import BUDGET, Reference, lines, roots
from reprove.compare.pieces import Piece

_STRINGS = (".debug_str", ".debug_line_str")
_INFO, _LINE, _ABBREVIATIONS = ".debug_info", ".debug_line", ".debug_abbrev"
_MIN_PARTS = 2
"""A prefix of one folder, such as /usr, is no build path."""
_MAX_TEXT = 4096


class Paths:
    """The build path of one file (empty when unknown), and how its debug information looks without it."""

    def __init__(self, data: bytes, elf: Elf) -> None:
        self.prefix = b""
        self._references: dict[str, list[Reference]] = {}
        self._order = elf.order
        found: dict[str, bytes] = {}
        for section, name in zip(elf.sections, elf.names, strict=True):
            if name in (_LINE, _INFO, _ABBREVIATIONS, *_STRINGS):
                if section.flags & COMPRESSED or name in found or not section.stored or elf.header.type == RELOCATABLE:
                    return
                found[name] = data[section.offset : section.offset + section.stored]
        self._tables = {name: found.get(name, b"") for name in _STRINGS}
        budget = [BUDGET]
        try:
            table = lines(found.get(_LINE, b""), elf.order, budget)
            self.prefix = self._common(found.get(_LINE, b""), table.folders, _STRINGS[1])
            units = roots(found.get(_INFO, b""), found.get(_ABBREVIATIONS, b""), elf.order, budget)
            self.prefix = self.prefix or self._common(found.get(_INFO, b""), units.folders, _STRINGS[0])
            for name, rows in ((_LINE, table.references), (_INFO, units.references)):
                for one in rows:
                    self._text(found[name], one)  # all or none: it raises for one that leads nowhere
            self._references = {_LINE: table.references, _INFO: units.references}
        except DwarfError:
            return  # what was learned stands; offsets stay as they are

    def _common(self, content: bytes, folders: list[Reference | bytes], table: str) -> bytes:
        texts = [one if isinstance(one, bytes) else self._text(content, one, table) for one in folders]
        return _common([text.rstrip(b"/") for text in texts if text.startswith(b"/")])

    def pieces(self, name: str, section: str, content: bytes, offset: int) -> Iterator[Piece]:
        """The pieces of a section of debug information.

        A table of strings has each string marked by whether it starts with the prefix; where all offsets into it are followed, its order says
        nothing (compilers write it in the order of a hash), and each string is a piece. Offsets are zeros in the content,
        ``position:offsets`` by their value, and ``<class>-texts:<section>`` by what they lead to.
        """
        if self.prefix and section in _STRINGS and content.endswith(b"\0"):
            texts = [self._marked(text) for text in content.split(b"\0")]
            yield from (Piece(name, text, offset) for text in (texts if self._followed(section) else (b"\0".join(texts),)))
            return
        references = self._references.get(section) if self.prefix else None
        if not references:
            yield Piece(name, content, offset)
            return
        blank = bytearray(content)
        for one in references:
            blank[one.at : one.at + one.size] = bytes(one.size)
        yield Piece(name, bytes(blank), offset)
        kind, _, title = name.partition(":")
        yield Piece("position:offsets", b"".join(content[one.at : one.at + one.size] for one in references), offset)
        yield Piece(f"{kind}-texts:{title}", b"\0".join(self._marked(self._text(content, one)) for one in references), offset)

    def _followed(self, section: str) -> bool:
        return section == _STRINGS[1] and any(self._references.values())

    def _text(self, content: bytes, reference: Reference, table: str = _STRINGS[1]) -> bytes:
        value = content[reference.at : reference.at + reference.size]
        place = int.from_bytes(value, "little" if self._order == "<" else "big")
        end = self._tables[table].find(b"\0", place)
        if not 0 <= end <= place + _MAX_TEXT:
            raise DwarfError("an offset that leads nowhere")
        return self._tables[table][place:end]

    def _marked(self, text: bytes) -> bytes:
        rest = text.removeprefix(self.prefix)
        return b"\1" + rest if len(rest) != len(text) and rest[:1] in (b"", b"/") else b"\2" + text


def _common(folders: list[bytes]) -> bytes:
    """The longest folder that holds all of these; empty where that is too short to be a build path."""
    parts = [folder.split(b"/") for folder in folders]
    if not parts:
        return b""
    low, high = min(parts), max(parts)
    same = next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), min(len(low), len(high)))
    return b"/".join(low[:same]) if same > _MIN_PARTS else b""
