"""The HTTP client of the service (INTERFACE section 5): typed calls, bounded answers, retries only where a repetition is safe.

A call is repeated after a lost connection, 429 or 503 when it is a read or carries an idempotency key: the service then answers the same
thing again instead of doing it twice. Answers are untrusted: sizes are limited and JSON is read strictly.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from reprove.core.canonical import canonical, parse
from reprove.core.errors import Problem, ProblemError, Slug
from reprove.problems import Json, ServiceError, UnreachableError

MAX_JSON_BYTES = 64 * 1024**2
MAX_LOG_PART_BYTES = 16 * 1024**2
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
LONG_POLL_SECONDS = 25
RETRY_SECONDS = 60.0
"""How long a safe call is repeated before the service counts as unreachable, once it has answered anything."""
FIRST_RETRY_SECONDS = 3.0
"""The same for a service that never answered: most likely there is none at this address."""

EVIDENCE = "application/vnd.reprove.evidence+json"
DSSE = "application/vnd.dsse+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: status, headers with lower-case names, whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """The body as JSON, read strictly. Raises UnreachableError when it is none."""
        try:
            return parse(self.body, max_bytes=MAX_JSON_BYTES, what="the service's answer")
        except ProblemError as error:
            raise UnreachableError(f"this is not the answer of a Reprove service: {error}") from None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A durable request: the rebuild that serves it, and whether it was made for this request or was there already."""

    rebuild: str
    created: bool


@dataclass(frozen=True, slots=True)
class LogPart:
    """A piece of a build log: bytes from ``offset`` on, and whether the log has ended behind it."""

    data: bytes
    offset: int
    complete: bool

    @property
    def end(self) -> int:
        """The offset of the next piece."""
        return self.offset + len(self.data)


class Client:
    """One service, one access token (or none, for public reads)."""

    def __init__(self, url: str, token: str | None = None, *, retry_seconds: float = RETRY_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ProblemError(Slug.INVALID_REQUEST, f"{url[:200]!r} is not the http(s) address of a service (REPROVE_URL)")
        self.url = url.rstrip("/")
        self._token = token
        self._retry_seconds = retry_seconds
        self._answered = False
        self._pool = urllib3.PoolManager(retries=False, maxsize=8)

    # requests and rebuilds

    def request(self, purl: str, *, force: bool = False, max_age: str | None = None, key: str | None = None) -> Accepted:
        """Post a request; returns once it is durable."""
        body: Json = {"purl": purl} | ({"force": True} if force else {}) | ({"max_age": max_age} if max_age else {})
        document = _object(self._call("POST", "/v1/requests", body=body, key=key or secrets.token_hex(16)))
        identifier = document.get("rebuild")
        if not isinstance(identifier, str):
            raise UnreachableError("the service's answer names no rebuild")
        return Accepted(identifier, document.get("created") is not False)

    def request_rebuild(self, purl: str, *, force: bool = False) -> str:
        """Post a request; returns the rebuild's id."""
        return self.request(purl, force=force).rebuild

    def rebuild(self, identifier: str, *, wait: int | None = None, after: int | None = None) -> Json:
        """Read a rebuild; with ``wait`` (seconds) and ``after`` (its ``seq``) the answer comes with the next change."""
        query = {"wait": wait, "after": after} if wait is not None else {}
        reply = self._call("GET", f"/v1/rebuilds/{quote(identifier, safe='')}", query=query)
        if wait is not None and "retry-after" in reply.headers:
            # no thread was free to hold this poll: be polite, the answer itself is valid
            time.sleep(_seconds(reply.headers["retry-after"], 2.0))
        return _object(reply)

    def follow(self, identifier: str, *, until: float | None = None) -> Iterator[Json]:
        """Yield the rebuild now and after each change, until it is terminal or ``until`` (``time.monotonic``) has passed."""
        state = self.rebuild(identifier)
        yield state
        while state.get("state") not in ("done", "rejected", "cancelled"):
            left = LONG_POLL_SECONDS if until is None else int(min(LONG_POLL_SECONDS, max(0.0, until - time.monotonic()) + 0.999))
            if left <= 0:
                return
            state = self.rebuild(identifier, wait=left, after=int(state.get("seq", 0)))
            yield state

    def events(self, identifier: str, *, after: int = 0) -> list[Json]:
        """The rebuild's events (phase, status, detail, seconds) from number ``after`` on."""
        return list(_object(self._call("GET", f"/v1/rebuilds/{quote(identifier, safe='')}/events", query={"after": after})).get("items", []))

    def log(self, identifier: str, offset: int = 0) -> LogPart:
        """A piece of the build log."""
        reply = self._call("GET", f"/v1/rebuilds/{quote(identifier, safe='')}/log", query={"offset": offset}, accept="text/plain")
        return LogPart(reply.body, offset, reply.headers.get("reprove-log-complete") == "true")

    def cancel(self, identifier: str) -> Json:
        """Detach this caller's requests; the rebuild stops when nobody else waits."""
        return _object(self._call("POST", f"/v1/rebuilds/{quote(identifier, safe='')}/cancel"))

    # attestations, artifacts, decisions

    def attestations(self, filters: Mapping[str, str], *, limit: int | None = None) -> Iterator[Json]:
        """Yield every page of a search: ``{items, next, complete_to}``."""
        after: str | None = None
        while True:
            query = {**filters, "limit": limit, "after": after}
            page = _object(self._call("GET", "/v1/attestations", query=query))
            yield page
            after = page.get("next")
            if not after:
                return

    def attestation(self, identifier: str, accept: str = EVIDENCE) -> bytes:
        """One attestation in the wished form."""
        return self._call("GET", f"/v1/attestations/{quote(identifier, safe='')}", accept=accept).body

    def artifact(self, sha256: str) -> Json:
        """Everything known about an artifact, negative outcomes first."""
        return _object(self._call("GET", f"/v1/artifacts/sha256:{sha256}"))

    def decide(self, policy: str, artifacts: list[Json], *, release: str | None = None, waivers: bool = True) -> Json:
        """Ask for one decision over a set of artifacts."""
        body: Json = {"policy": policy, "artifacts": artifacts}
        body |= ({"release": release} if release else {}) | ({} if waivers else {"waivers": False})
        return _object(self._call("POST", "/v1/decisions", body=body, key=secrets.token_hex(16)))

    def decision(self, identifier: str, accept: str = "application/json") -> Reply:
        """A decision, or its evidence by ``accept``."""
        return self._call("GET", f"/v1/decisions/{quote(identifier, safe='')}", accept=accept)

    def get(self, path: str, accept: str = "*/*") -> Reply:
        """Any other public read, such as ``/trust.json`` or a log tile."""
        return self._call("GET", path, accept=accept)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Json | None = None,
        accept: str = "application/json",
        key: str | None = None,
    ) -> Reply:
        target = self.url + path
        present = {name: str(value) for name, value in (query or {}).items() if value is not None}
        if present:
            target += "?" + urlencode(present)
        headers = {"Accept": accept, "User-Agent": "reprove/0.1"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = canonical(body)
        return self._repeat(lambda: self._once(method, target, headers, data), safe=method == "GET" or key is not None)

    def _repeat(self, attempt: Callable[[], Reply], *, safe: bool) -> Reply:
        deadline = time.monotonic() + (self._retry_seconds if self._answered else min(FIRST_RETRY_SECONDS, self._retry_seconds))
        pause = 0.2
        while True:
            wait: float
            try:
                reply = attempt()
            except UnreachableError:
                if not safe or time.monotonic() + pause > deadline:
                    raise
                wait = pause
            else:
                self._answered = True
                if reply.status < 400:
                    return reply
                if not safe or reply.status not in (429, 503) or time.monotonic() + pause > deadline:
                    raise _problem(reply)
                wait = min(_seconds(reply.headers.get("retry-after", ""), pause), max(0.0, deadline - time.monotonic()))
            time.sleep(wait)
            pause = min(pause * 2, 5.0)

    def _once(self, method: str, target: str, headers: Mapping[str, str], data: bytes | None) -> Reply:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        try:
            response = self._pool.request(method, target, headers=headers, body=data, timeout=timeout, preload_content=False, redirect=False)
            body = response.read(MAX_JSON_BYTES + 1)
            status, answered = response.status, {name.lower(): value for name, value in response.headers.items()}
            if len(body) > MAX_JSON_BYTES:
                response.close()
                raise UnreachableError(f"the service's answer is larger than {MAX_JSON_BYTES} bytes")
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"no answer from {self.url}: {_reason(error)}") from None
        if 300 <= status < 400:
            raise UnreachableError(f"{self.url} answers with a redirect; set REPROVE_URL to the service's own address")
        return Reply(status, answered, body)


def from_environment(environ: Mapping[str, str], *, url: str | None = None) -> Client:
    """The client that ``REPROVE_URL`` and ``REPROVE_TOKEN`` describe; a token that starts with ``@`` names a file."""
    token = environ.get("REPROVE_TOKEN") or None
    if token and token.startswith("@"):
        try:
            token = Path(token[1:]).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise ProblemError(Slug.INVALID_REQUEST, f"REPROVE_TOKEN: cannot read the file {token[1:]!r}") from None
    return Client(url or environ.get("REPROVE_URL") or "http://127.0.0.1:8710", token)


def _object(reply: Reply) -> Json:
    document = reply.json()
    if not isinstance(document, dict):
        raise UnreachableError("the service's answer is not a JSON object")
    return document


def _problem(reply: Reply) -> ServiceError:
    try:
        body = parse(reply.body, max_bytes=1024**2)
        slug = Slug(str(body["type"]).removeprefix("urn:reprove:problem:"))
        problem = Problem(slug, str(body["detail"]), body.get("pointer"), body.get("line"), body.get("column"))
    except (ProblemError, KeyError, TypeError, ValueError):
        return ServiceError(reply.status, None, f"the service answered {reply.status} without saying why")
    where = f" ({problem.pointer})" if problem.pointer else ""
    return ServiceError(reply.status, problem, f"{problem.detail}{where}")


def _seconds(text: str, default: float) -> float:
    return min(float(text), 30.0) if text.isdigit() else default


def _reason(error: Exception) -> str:
    cause: BaseException = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "connection refused or host unknown"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "timed out"
    return type(cause).__name__
