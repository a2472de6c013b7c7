"""DOS times of zip headers (APPNOTE 4.4.6): 4 bytes, a step of 2 seconds, no zone."""

from __future__ import annotations

import calendar
import struct


def dos_seconds(raw: bytes) -> int:
    """The 4 bytes of a DOS time field as seconds since 1970, read as if UTC. 0 when it is no date."""
    time, date = struct.unpack("<HH", raw)
    year, month, day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    hour, minute, second = time >> 11, time >> 5 & 63, (time & 31) * 2
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):  # calendar
        return 0
    return calendar.timegm((year, month, day, hour, minute, second))


def dos_text(raw: bytes) -> str:
    """The 4 bytes of a DOS time field as a date and time; out-of-range parts are shown as they stand."""
    time, date = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    day = f"{(date >> 9) + 1980:04d}-{date >> 5 & 15:02d}-{date & 31:02d}"
    return f"{day} {time >> 11:02d}:{time >> 5 & 63:02d}:{(time & 31) * 2:02d}"
