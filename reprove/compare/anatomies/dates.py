"""Dates in the fixed forms that tools write; only what is exactly one is masked."""

from __future__ import annotations

from datetime import datetime

_DAYS = frozenset(b"Mon Tue Wed Thu Fri Sat Sun".split())
_MONTHS = frozenset(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset(b"0123456789")


def is_java_date(text: bytes) -> bool:
    """Whether the text is what ``java.util.Date.toString`` gives: ``Tue Jan 02 03:04:05 UTC 2024``."""
    words = text.split(b" ")
    if len(words) != 6:
        return False
    day, month, number, clock, zone, year = words
    return day in _DAYS and month in _MONTHS and _shape(number, b"00") and _shape(clock, b"00:00:00") and _is_zone(zone) and _shape(year, b"0000")


def is_gettext_date(text: bytes) -> bool:
    """Whether the text is a gettext time: ``2024-01-02 03:04+0000``."""
    return _shape(text.replace(b"-", b"+"), b"0000+00+00 00:00+0000") and text[4:5] == text[7:8] == b"-"


def is_gem_date(text: bytes) -> bool:
    """Whether the text is the date of a gem: ``2024-01-02 00:00:00.000000000 Z``, the same without a fraction, or ``2024-01-02``."""
    return any(_shape(text, form) for form in (b"0000-00-00 00:00:00.000000000 Z", b"0000-00-00 00:00:00 Z", b"0000-00-00"))


def is_iso_date(text: bytes) -> bool:
    """Whether the text is one ISO 8601 date and time of at most 32 characters."""
    try:
        datetime.fromisoformat(text.decode("ascii"))
    except ValueError:
        return False
    return len(text) <= 32


def _is_zone(zone: bytes) -> bool:
    if zone[:3] == b"GMT" and len(zone) == 9:
        return _shape(zone[4:], b"00:00") and zone[3:4] in (b"+", b"-")
    return 1 <= len(zone) <= 5 and _UPPER.issuperset(zone)


def _shape(text: bytes, form: bytes) -> bool:
    """Whether every ``0`` of the form is a digit in the text, and every other character itself."""
    return len(text) == len(form) and all(byte in _DIGITS if want == 0x30 else byte == want for byte, want in zip(text, form, strict=True))
