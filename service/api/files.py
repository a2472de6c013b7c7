"""Files of the state folder that are published: trust file, enrolled keys, checkpoint, tiles. Read again when they change."""

from __future__ import annotations

import threading
from pathlib import Path

from reprove.core.canonical import parse
from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.core.trust import TrustFile, parse_trust

MAX_BYTES = 1024**2


class Published:
    """Readers of published files. ``_trust`` is guarded by ``_lock``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._trust: tuple[tuple[int, int, int], bytes, TrustFile] | None = None

    def trust(self) -> TrustFile:
        """The trust file, parsed. Raises OwnError when the instance has none that can be read."""
        return self._read_trust()[1]

    def trust_bytes(self) -> bytes:
        """The trust file as it lies there."""
        return self._read_trust()[0]

    def enrolled(self) -> list[dict[str, object]]:
        """The rows of ``enrolled.json``: keys of workers and resolvers."""
        path = self._home / "enrolled.json"
        try:
            document = parse(path.read_bytes(), max_bytes=MAX_BYTES, what="enrolled.json")
        except (OSError, ProblemError) as error:
            raise OwnError(f"{path}: {error}") from None
        rows = document.get("keys") if isinstance(document, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def checkpoint(self) -> bytes:
        """The newest published checkpoint. Raises ``unavailable`` before there is one."""
        try:
            return (self._home / "log" / "checkpoint").read_bytes()
        except FileNotFoundError:
            raise ProblemError(Slug.UNAVAILABLE, "the log has published no checkpoint yet") from None

    def tile(self, path: str) -> bytes:
        """A tile or entry bundle by its canonical path (checked by the caller). Raises ``not-found``."""
        try:
            return (self._home / "log" / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ProblemError(Slug.NOT_FOUND, "the log has no such tile") from None

    def _read_trust(self) -> tuple[bytes, TrustFile]:
        path = self._home / "trust.json"
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            with self._lock:
                if self._trust is not None and self._trust[0] == stamp:
                    return self._trust[1:]
            data = path.read_bytes()
            parsed = parse_trust(data)
        except (OSError, ProblemError) as error:
            raise OwnError(f"{path}: {error}") from None
        with self._lock:
            self._trust = (stamp, data, parsed)
        return data, parsed
