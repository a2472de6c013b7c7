"""The build log of one attempt: kept whole on the worker, sent on while it grows. Text for people; never evidence (DESIGN section 8)."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path
from typing import Self

from reprove.core.digests import Sha256
from reprove.core.errors import ReproveError
from reprove.core.statements.report import LogBlob
from workers.client import MAX_LOG_CHUNK, WorkerClient

_SEND_SECONDS = 0.5


class BuildLog:
    """Append from any thread; a thread of its own sends what is new. A service that does not answer never slows the build down.

    At most ``limit`` bytes are kept over all candidates; the rest is dropped and the log is marked truncated.
    """

    def __init__(self, path: Path, client: WorkerClient, lease: str, *, limit: int) -> None:
        self.path = path
        self._file = path.open("wb")
        self._client, self._lease, self._limit = client, lease, limit
        self._size = 0  # under _lock
        self._truncated = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="build-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append bytes of a step's output."""
        with self._lock:
            kept = data[: max(0, self._limit - self._size)]
            self._truncated = self._truncated or len(kept) < len(data)
            self._file.write(kept)
            self._file.flush()
            self._size += len(kept)

    def heading(self, text: str) -> None:
        """Append a line of our own."""
        self.write(f"--- {text}\n".encode())

    def finished(self) -> LogBlob:
        """The digest of what was kept; call it when no step runs any more."""
        with self._lock, self.path.open("rb") as file:
            return LogBlob(Sha256(hashlib.file_digest(file, "sha256").hexdigest()), self._size, self._truncated)

    def tail(self, size: int = 4096) -> str:
        """The last ``size`` bytes as text, for the line that shows a cause."""
        with self._lock, self.path.open("rb") as file:
            file.seek(max(0, self._size - size))
            return file.read().decode("utf-8", "replace")

    def _run(self) -> None:
        sent = 0
        with self.path.open("rb") as reader:
            while True:
                last = self._stop.wait(_SEND_SECONDS)
                while data := reader.read(MAX_LOG_CHUNK):
                    # a part that is not taken is lost to viewers only: the whole log is a blob of the report
                    with contextlib.suppress(ReproveError):
                        self._client.log(self._lease, sent, data)
                    sent += len(data)
                if last:
                    return
