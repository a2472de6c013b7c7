"""Moments: aware UTC datetimes in Python, integer milliseconds since 1970 in SQL, RFC 3339 with ``Z`` in JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def now() -> datetime:
    """The wall clock, cut to milliseconds, which is all that SQL keeps."""
    return from_milliseconds(to_milliseconds(datetime.now(UTC)))


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970. Raises ValueError for a naive datetime: a time without zone is nobody's time."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - EPOCH) // _MILLISECOND


def from_milliseconds(value: int) -> datetime:
    """The inverse of :func:`to_milliseconds`."""
    return EPOCH + timedelta(milliseconds=value)


def rfc3339(moment: datetime) -> str:
    """``2026-11-24T12:30:00.123Z``; without the fraction when it is zero."""
    text = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{text.isoformat(timespec='milliseconds' if text.microsecond else 'seconds')}Z"


def parse_rfc3339(text: str) -> datetime:
    """Read what :func:`rfc3339` writes, and any other offset. Raises ValueError for text without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, such as Z")
    return moment.astimezone(UTC)
