"""Up to which tree size an answer is complete: the first log index that the records do not have (INTERFACE section 5, ``complete_to``)."""

from __future__ import annotations

import threading

from sqlalchemy import Connection, bindparam, select

from service.records.schema import entry

_STEP = 4096
_NEXT = select(entry.c.log_index).where(entry.c.log_index >= bindparam("start")).order_by(entry.c.log_index).limit(_STEP)


class Completeness:
    """Remembers how far the records have no gap: entries are never removed, so it only grows and each index is looked at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0

    def size(self, conn: Connection) -> int:
        """The tree size, as this connection's snapshot sees it or a little less."""
        with self._lock:
            start = self._size
        while True:
            found = list(conn.execute(_NEXT, {"start": start}).scalars())
            gapless = 0
            while gapless < len(found) and found[gapless] == start + gapless:
                gapless += 1
            start += gapless
            if gapless < _STEP:
                break
        with self._lock:
            self._size = max(self._size, start)
        return start
