"""Which names a tar may hold: plain relative paths, each once, nothing below a file or a link, hard links to what came before."""

from __future__ import annotations

from dataclasses import dataclass, field

from reprove.archive.limits import Limits
from reprove.archive.model import Code
from reprove.archive.names import MAX_PARTS, complaint, fold
from reprove.archive.structure import Notes
from reprove.archive.tree import Kind

ROOT = "."
"""The path of the entry for the archive's own root folder."""


@dataclass(slots=True)
class Names:
    """The names seen so far in one archive; ``prefix`` stands before them in violations. ``linux`` allows what only other systems trip over."""

    limits: Limits
    notes: Notes
    strict: Notes
    prefix: str = ""
    linux: bool = False
    kinds: dict[str, Kind] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def path(self, raw: bytes, offset: int) -> str:
        """The plain path of a member's name: without a leading ``./`` and a trailing slash, which say nothing."""
        text = self._decode(raw, offset)
        name = text.removeprefix("./").removesuffix("/") if text not in (".", "./") else ROOT
        if name == ROOT and text in (".", "./"):
            return ROOT
        checked = name.replace("\\", "_") if self.linux else name
        wrong = complaint(checked, self.limits.name)
        if wrong:
            self.notes.add(Code.BAD_NAME, self.prefix + name, offset, wrong)
        return name

    def target(self, raw: bytes, offset: int) -> str:
        """The text of a link's target, as it stands."""
        text = self._decode(raw, offset)
        if not text or "\0" in text or len(raw) > self.limits.name:
            self.notes.add(Code.BAD_NAME, self.prefix + text, offset, "a link target that is empty, too long or holds a NUL")
        return text

    def _decode(self, raw: bytes, offset: int) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
            self.notes.add(Code.NAME_ENCODING, self.prefix + text, offset, "a name that is not UTF-8")
            return text

    def add(self, path: str, kind: Kind, offset: int) -> None:
        """Keep a member's name, after :meth:`link` has looked at what it points to."""
        if path in self.kinds:
            self.notes.add(Code.DUPLICATE, self.prefix + path, offset, "the same name twice")
        self.kinds[path] = kind
        self._offsets[path] = offset

    def link(self, path: str, target: str, offset: int) -> None:
        """A hard link must point to a member before it that is no folder."""
        plain = target.removeprefix("./")
        if self.kinds.get(plain, Kind.FOLDER) is Kind.FOLDER or plain == path:
            self.notes.add(Code.HARD_LINK, self.prefix + path, offset, f"a hard link to {target[:200]!r}, which is no file before it")

    def finish(self) -> None:
        """The rules that need every name: nothing below a file or a link; no two names that fold into one (only where that counts)."""
        last = ""
        for path in self.kinds:
            parent = path.rpartition("/")[0]
            if parent == last or path.count("/") > MAX_PARTS:
                continue
            last = parent
            while parent:
                kind = self.kinds.get(parent, Kind.FOLDER)
                if kind is not Kind.FOLDER:
                    self.notes.add(Code.UNDER_FILE, self.prefix + path, self._offsets[path], f"{parent} is a {kind} and a folder")
                parent = parent.rpartition("/")[0]
        folded: dict[str, str] = {}
        for path in self.kinds:
            other = folded.setdefault(path.casefold() if path.isascii() else fold(path), path)
            if other != path:
                self.strict.add(Code.FOLDED, self.prefix + path, self._offsets[path], f"the same file as {other} where case or Unicode forms are one")
