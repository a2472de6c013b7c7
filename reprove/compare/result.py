"""What a comparison says: a verdict as a value, with the differences and findings that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.archive.stamp import Stamp
from reprove.core.digests import Sha256
from reprove.core.outcomes import Certainty, Finding, Level, Outcome

MAX_DIFFERENCES = 2000
MAX_FINDINGS = 60
MAX_TEXT = 200
"""Characters of a side of a difference, and of a detail."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference (DESIGN section 7). ``path`` is a member, or empty for the archive; a side that does not exist is None.

    ``offset`` counts bytes: in the member's content for field ``content``, in the original archive for header fields.
    """

    path: str
    field: str
    old: str | int | None = None
    new: str | int | None = None
    offset: int | None = None

    def as_json(self) -> dict[str, object]:
        """The difference as JSON; absent sides are absent."""
        members = {"path": self.path, "field": self.field, "old": self.old, "new": self.new, "offset": self.offset}
        return {key: value for key, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A fact that the default policy refuses."""

    code: Finding
    path: str
    detail: str

    def as_json(self) -> dict[str, object]:
        """The finding as JSON."""
        return {"code": self.code.value, "path": self.path, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the outcome is not ``reproduced``: a class of the closed list and the line that shows it."""

    class_: str
    detail: str


@dataclass(frozen=True, slots=True)
class PassUsed:
    """A pass without which the artifacts would not be equal, and how many members or fields it changed."""

    id: str
    version: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A cause of the catalogue, how sure it is, how many differences it explains, and what would remove it."""

    id: str
    certainty: Certainty
    fix: str
    detail: str
    count: int

    def as_json(self) -> dict[str, object]:
        """The cause as JSON."""
        return {"id": self.id, "certainty": self.certainty.value, "fix": self.fix, "detail": self.detail, "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdict on two artifacts. Below ``bitwise``, ``differences`` are what the level does not look at.

    ``level`` stands only with ``reproduced``, ``cause`` with every other outcome, ``stamps`` with ``times-stamped``, ``passes`` below ``canonical``.
    """

    outcome: Outcome
    level: Level | None = None
    cause: Cause | None = None
    original: Sha256
    rebuilt: Sha256
    stamps: tuple[Stamp, ...] = ()
    unstamped: str = ""
    """Why a rebuild that is equal in all but times is not ``times-stamped``."""
    passes: tuple[PassUsed, ...] = ()
    differences: tuple[Difference, ...] = ()
    count: int = 0
    findings: tuple[FindingRow, ...] = ()
    causes: tuple[Explained, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The driver's result document (contract: workers/drivers/README.md)."""
        document: dict[str, object] = {
            "outcome": self.outcome.value,
            "original": {"sha256": self.original},
            "rebuilt": {"sha256": self.rebuilt},
            "differences": [item.as_json() for item in self.differences],
            "count": self.count,
            "findings": [item.as_json() for item in self.findings],
            "causes": [item.as_json() for item in self.causes],
        }
        if self.level is not None:
            document["level"] = self.level.value
        if self.cause is not None:
            document["cause"] = {"class": self.cause.class_, "detail": self.cause.detail}
        if self.stamps:
            document["stamps"] = [{"member": item.member, "offset": item.offset, "old": item.old, "new": item.new} for item in self.stamps]
        if self.unstamped:
            document["unstamped"] = self.unstamped
        if self.passes:
            document["passes"] = [{"id": item.id, "version": item.version, "count": item.count} for item in self.passes]
        return document


def cut(text: str, length: int = MAX_TEXT) -> str:
    """Hostile text, safe to show: printable and bounded."""
    if len(text) <= length and text.isprintable():
        return text
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:length])
    return shown if len(text) <= length else shown[: length - 1] + "…"
