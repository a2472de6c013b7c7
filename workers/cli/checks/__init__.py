"""What ``reprove doctor`` looks at. Each check is a function that gives rows and never raises for what it finds wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """``warn`` works but is weaker or unusual; ``fail`` keeps rebuilds from ending."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Row:
    """One finding: what was looked at, what is so, and the command or change that mends it."""

    status: Status
    name: str
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Give the JSON form; an absent remedy is absent."""
        row = {"name": self.name, "status": str(self.status), "detail": self.detail}
        return {**row, "remedy": self.remedy} if self.remedy else row


def ok(name: str, detail: str) -> Row:
    """Make a row of what is well."""
    return Row(Status.OK, name, detail)


def warn(name: str, detail: str, remedy: str = "") -> Row:
    """Make a row of what is weaker than it could be."""
    return Row(Status.WARN, name, detail, remedy)


def fail(name: str, detail: str, remedy: str = "") -> Row:
    """Make a row of what has to be mended."""
    return Row(Status.FAIL, name, detail, remedy)
