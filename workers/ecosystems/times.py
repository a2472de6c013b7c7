"""Rules R3, R4 and R5: what the times inside a wheel say about the clock and the zone of its build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

HATCHLING_EPOCH = 1580601600
"""2020-02-02, what hatchling writes when nobody sets SOURCE_DATE_EPOCH."""
_CONSTANTS = {
    "hatchling": frozenset({HATCHLING_EPOCH}),
    "flit-core": frozenset({1451606400}),
    "pdm-backend": frozenset({1451606400}),
    "pdm-pep517": frozenset({1451606400}),
    "poetry-core": frozenset({1451606400, 315532800}),
}
_STEP = 2
"""A DOS time has a step of two seconds."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as a POSIX ``TZ`` value, so that the build environment needs no zone files. ``rule`` names its summer time in :func:`_summer`."""

    name: str
    posix: str
    offset: int
    rule: str = ""


_ZONES = (
    Zone("Europe/London", "GMT0BST,M3.5.0/1,M10.5.0", 0, "eu"),
    Zone("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", 3600, "eu"),
    Zone("Europe/Athens", "EET-2EEST,M3.5.0/3,M10.5.0/4", 7200, "eu"),
    Zone("America/New_York", "EST5EDT,M3.2.0,M11.1.0", -18000, "us"),
    Zone("America/Chicago", "CST6CDT,M3.2.0,M11.1.0", -21600, "us"),
    Zone("America/Denver", "MST7MDT,M3.2.0,M11.1.0", -25200, "us"),
    Zone("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0", -28800, "us"),
    Zone("America/Halifax", "AST4ADT,M3.2.0,M11.1.0", -14400, "us"),
    Zone("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3", 36000, "au"),
    Zone("Australia/Adelaide", "ACST-9:30ACDT,M10.1.0,M4.1.0/3", 34200, "au"),
    Zone("Pacific/Auckland", "NZST-12NZDT,M9.5.0,M4.1.0/3", 43200, "nz"),
)


def source_date_epoch(distribution: str, distinct: int, times: Sequence[Sequence[int]]) -> int | None:
    """R3 and R4: one time over the whole wheel that is no constant of the backend is SOURCE_DATE_EPOCH; several mean that it was unset."""
    if distinct != 1 or not times:
        return None
    value = times[0][0]
    return None if value in _CONSTANTS.get(distribution, frozenset()) or value <= 0 else value


def local_zone(pairs: Iterable[Sequence[int]]) -> Zone | None:
    """R5: the zone in which the wheel's times (read as UTC) are the source's. A constant offset first, then a zone with summer time.

    ``pairs`` are (wheel time, source time) in seconds of members that are the same in both. None when nothing fits all of them.
    """
    known = [(int(pair[0]), int(pair[1])) for pair in pairs if pair[0] > 0]
    if not known:
        return None
    offsets = [local - (mtime - mtime % _STEP) for local, mtime in known]
    if max(offsets) - min(offsets) <= _STEP:
        offset = round(offsets[0] / 900) * 900
        if any(abs(value - offset) > _STEP for value in offsets):
            return None
        return fixed_zone(offset) if abs(offset) <= 14 * 3600 else None
    for zone in _ZONES:
        if all(abs(local - mtime - offset_at(zone, mtime)) <= _STEP for local, mtime in known):
            return zone
    return None


def fixed_zone(offset: int) -> Zone:
    """A zone without summer time, ``offset`` seconds east of UTC."""
    if offset == 0:
        return Zone("UTC", "UTC", 0)
    sign = "-" if offset > 0 else "+"  # POSIX counts west of Greenwich
    hours, minutes = divmod(abs(offset) // 60, 60)
    text = f"{hours}:{minutes:02d}" if minutes else str(hours)
    return Zone(f"UTC{'+' if offset > 0 else '-'}{text}", f"XXX{sign}{text}", offset)


def offset_at(zone: Zone, moment: int) -> int:
    """Seconds east of UTC in ``zone`` at ``moment`` (seconds since 1970)."""
    return zone.offset + 3600 * _summer(zone, moment)


def _summer(zone: Zone, moment: int) -> bool:
    if not zone.rule:
        return False
    day = datetime.fromtimestamp(moment, UTC)
    year = day.year
    utc = day.replace(tzinfo=None)
    shift = timedelta(seconds=zone.offset)
    if zone.rule == "eu":  # 01:00 UTC on the last Sundays of March and October
        return _sunday(year, 3, -1) + timedelta(hours=1) <= utc < _sunday(year, 10, -1) + timedelta(hours=1)
    if zone.rule == "us":  # 02:00 local on the second Sunday of March and the first of November
        return _sunday(year, 3, 2) + timedelta(hours=2) - shift <= utc < _sunday(year, 11, 1) + timedelta(hours=1) - shift
    start = _sunday(year, 10, 1) if zone.rule == "au" else _sunday(year, 9, -1)
    end = _sunday(year, 4, 1) + timedelta(hours=2)
    return not end - shift <= utc < start + timedelta(hours=2) - shift


def _sunday(year: int, month: int, count: int) -> datetime:
    """Midnight of the ``count``-th Sunday of a month; -1 is the last."""
    if count > 0:
        first = date(year, month, 1)
        day = first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (count - 1))
    else:
        last = date(year, month + 1, 1) - timedelta(days=1)
        day = last - timedelta(days=(last.weekday() + 1) % 7)
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  # wall time by design
