"""RFC 3339 times in UTC, to the second, as trust files and trusted roots carry them; POSIX seconds inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from reprove.core.errors import ProblemError, Slug

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)


def format_time(seconds: int) -> str:
    """Return ``2026-11-24T12:00:00Z`` for POSIX seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object, *, pointer: str | None = None) -> int:
    """Read exactly that form; ProblemError for any other, and for times that do not exist."""
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            return int(datetime.fromisoformat(text).timestamp())
        except ValueError:
            pass
    raise ProblemError(Slug.INVALID_REQUEST, "a time is written like 2026-11-24T12:00:00Z", pointer=pointer)
