"""Reads a published log over HTTP, for the checker: one kept connection, bounded answers, no redirects."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from reprove.core.errors import ProblemError, Slug, UpstreamError

_SECONDS = 20
_MAX_FILE = 256 * (2 + 65_535)
"""The largest bundle that there can be."""


class RemoteLog:
    """The files of a log below a URL prefix such as ``https://host/log``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ProblemError(Slug.INVALID_REQUEST, f"{url} is not an http(s) URL")
        self._prefix = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_SECONDS)

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None when the server has none; UpstreamError for any other answer."""
        try:
            self._connection.request("GET", f"{self._prefix}/{name}")
            answer = self._connection.getresponse()
            data = answer.read(_MAX_FILE + 1)
        except (OSError, http.client.HTTPException) as error:
            raise UpstreamError(f"the log's server does not answer: {error}") from error
        if answer.status == 404:
            return None
        if answer.status != 200 or len(data) > _MAX_FILE:
            raise UpstreamError(f"the log's server answers {answer.status} ({len(data)} bytes) for {name}")
        return data
