"""What the proxy remembers of its one index: pages for a while, files by digest for ever (until somebody empties the store).

A page that was fetched at T lists everything that was uploaded up to T. So it answers every question about a moment before T, however old
it is by now; only withdrawals since then are missing, which an hour's age bounds. A question about now is always asked anew.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reprove.core.errors import ProblemError, Slug
from workers.inputs.egress import EgressClient, FetchError, FetchKind
from workers.inputs.index import IndexFile, Page, PypiIndex
from workers.inputs.store import InputStore, Stored

PAGE_AGE = timedelta(hours=1)
MAX_PAGE_BYTES_KEPT = 128 * 1024**2
FILE_SECONDS = 300.0
PAUSES = (0.2, 0.8)
T = TypeVar("T")


class Mirror:
    """Shared by all sessions of one proxy process."""

    def __init__(self, index: PypiIndex, client: EgressClient, store: InputStore, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self.index = index
        self.store = store
        self._client = client
        self._pauses = pauses
        self._pages: OrderedDict[str, Page] = OrderedDict()  # under _lock
        self._size = 0
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}  # under _lock; one fetch of a thing at a time

    def page(self, project: str, *, not_before: datetime | None) -> Page | None:
        """Return a project's page that answers questions about ``not_before`` (None: about now). Raises FetchError."""
        with self._alone(f"page {project}"):
            now = datetime.now(UTC)
            with self._lock:
                kept = self._pages.get(project)
            if kept is not None and not_before is not None and not_before <= kept.fetched and now - kept.fetched < PAGE_AGE:
                return kept
            page = self._tries(lambda: self.index.project(project, now=now))
            if page is not None:
                # The page is kept as it was served: its digest stands in the record of every session that it answered.
                self.store.put(page.body)
                self._keep(project, page)
            return page

    def file(self, file: IndexFile, *, max_bytes: int) -> Stored:
        """Return a file's bytes, checked against the index's digest. Raises FetchError, ``digest-mismatch`` or ``too-large``."""
        with self._alone(f"file {file.sha256}"):
            found = self.store.find(file.sha256)
            return found if found is not None else self._tries(lambda: fetch_file(self._client, self.store, file, max_bytes=max_bytes))

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _keep(self, project: str, page: Page) -> None:
        with self._lock:
            old = self._pages.pop(project, None)
            self._size += len(page.body) - (0 if old is None else len(old.body))
            self._pages[project] = page
            while self._size > MAX_PAGE_BYTES_KEPT and len(self._pages) > 1:
                _, dropped = self._pages.popitem(last=False)
                self._size -= len(dropped.body)

    def _alone(self, what: str) -> threading.Lock:
        with self._lock:
            if len(self._busy) > 10_000:
                self._busy = {name: lock for name, lock in self._busy.items() if lock.locked()}
            return self._busy.setdefault(what, threading.Lock())

    def _tries(self, work: Callable[[], T]) -> T:
        for pause in self._pauses:
            try:
                return work()
            except FetchError as error:
                if not error.transient:
                    raise
                time.sleep(pause)
        return work()


def fetch_file(client: EgressClient, store: InputStore, file: IndexFile, *, max_bytes: int, timeout: float = FILE_SECONDS) -> Stored:
    """Fetch one file into the store. Raises FetchError, or ``digest-mismatch`` when the bytes are not the announced ones."""
    found = store.find(file.sha256)
    if found is not None:
        return found
    with client.open(file.url, max_bytes=max_bytes, timeout=timeout) as stream:
        try:
            return store.put_stream(stream, max_bytes=max_bytes, sha256=file.sha256)
        except ProblemError as error:
            # Fewer bytes than announced, and so another digest: the transfer was cut, not the file exchanged.
            if error.problem.slug is Slug.DIGEST_MISMATCH and file.size is not None and stream.size < file.size:
                raise FetchError(FetchKind.TRUNCATED, f"{stream.size} of {file.size} bytes") from None
            raise
