"""The worker api as typed calls (DESIGN section 4: a worker speaks HTTP with an ordinary access token, nothing else).

Every call but ``claim`` may be repeated: the service answers the same. So what fails on the way is tried again until ``patience`` is over,
longer than a lease would make no sense. A problem that the service answers is raised as it is.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from reprove.core import dsse
from reprove.core.canonical import canonical, parse
from reprove.core.digests import AttestationId, Sha256, parse_sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, ProblemError, ReproveError, Slug, UpstreamError
from workers.inputs.store import InputStore, Stored

MAX_ANSWER = 24 * 1024**2
MAX_LOG_CHUNK = 256 * 1024
MISSING_BATCH = 2000
_CHUNK = 1 << 18


class LeaseLostError(ReproveError):
    """Somebody else has the attempt, or it was cancelled: stop, and leave nothing running."""


class WorkerApiError(UpstreamError):
    """The worker api could not be reached, or failed, for longer than the client's patience."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker holds while it has the lease. ``resolution`` is there for kind ``rebuild`` only; ``limits`` in seconds, bytes and counts."""

    lease: str
    lease_seconds: float
    attempt: str
    n: int
    kind: str
    rebuild: str
    request: Mapping[str, object]
    request_sha256: Sha256
    resolution_id: AttestationId | None
    resolution: Envelope | None
    limits: Mapping[str, int]

    @property
    def purl(self) -> str:
        """The canonical purl that was asked for."""
        purl = self.request.get("purl")
        if not isinstance(purl, str):
            raise OwnError("the claimed request has no purl; this worker knows no other kind")
        return purl


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat."""

    lease_seconds: float
    cancel: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class WorkerClient:
    """One worker's connection to the service; threads may share it, each has its own connection."""

    def __init__(self, base_url: str, token: str, *, patience: float = 30.0, timeout: float = 20.0) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OwnError("the worker api's address must be http://host:port or https://host:port")
        self._tls, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._token = token
        self._patience = patience
        self._timeout = timeout
        self._local = threading.local()

    def claim(self, attempt: str, worker: Sha256, *, patience: float | None = None) -> Claim | None:
        """Claim an attempt; None when it cannot be claimed any more (duplicate delivery, cancelled)."""
        try:
            body = self._json("POST", "/w/v1/claims", {"attempt": attempt, "worker": worker}, patience=patience)
        except LeaseLostError:
            return None
        with _contract():
            row, resolution = body["rebuild"], body.get("resolution")
            return Claim(
                lease=str(body["lease"]),
                lease_seconds=float(body["lease_seconds"]),
                attempt=str(body["attempt"]["id"]),
                n=int(body["attempt"]["n"]),
                kind=str(body["attempt"]["kind"]),
                rebuild=str(row["id"]),
                request=dict(row["request"]),
                request_sha256=parse_sha256(row["request_sha256"]),
                resolution_id=None if resolution is None else AttestationId(parse_sha256(resolution["id"])),
                resolution=None if resolution is None else dsse.from_json(resolution["envelope"]),
                limits={str(key): int(value) for key, value in body.get("limits", {}).items()},
            )

    def heartbeat(
        self, lease: str, events: Sequence[Mapping[str, object]] = (), waiting: Mapping[str, str] | None = None, *, patience: float | None = None
    ) -> Beat:
        """Extend the lease and hand over what happened. Raises LeaseLostError when it is gone.

        With ``patience`` (seconds), a service that hangs is given up after about as long: a lease does not wait.
        """
        body = self._json("POST", f"/w/v1/leases/{lease}/heartbeat", {"events": list(events), "waiting": waiting}, patience=patience)
        with _contract():
            return Beat(float(body["lease_seconds"]), bool(body["cancel"]))

    def log(self, lease: str, offset: int, data: bytes) -> None:
        """Append to the running log at ``offset`` bytes; the same call twice appends once."""
        for start in range(0, len(data), MAX_LOG_CHUNK):
            self._call(
                "POST", f"/w/v1/leases/{lease}/log?offset={offset + start}", data[start : start + MAX_LOG_CHUNK], kind="application/octet-stream"
            )

    def missing(self, digests: Iterable[Sha256]) -> tuple[Sha256, ...]:
        """Say which blobs the service does not have."""
        wanted = sorted(set(digests))
        found: list[Sha256] = []
        for start in range(0, len(wanted), MISSING_BATCH):
            body = self._json("POST", "/w/v1/blobs/missing", {"sha256": wanted[start : start + MISSING_BATCH]})
            with _contract():
                found.extend(parse_sha256(item) for item in body["missing"])
        return tuple(found)

    def upload(self, lease: str, files: Mapping[Sha256, Path | bytes]) -> None:
        """Put the blobs that the service does not have."""
        for digest in self.missing(files):
            self.put_blob(lease, digest, files[digest])

    def put_blob(self, lease: str, sha256: Sha256, data: Path | bytes) -> None:
        """Upload one blob; visible once its digest holds. Raises ``digest-mismatch``, ``too-large`` or ``storage-full``."""
        self._call("PUT", f"/w/v1/blobs/sha256:{sha256}", data, kind="application/octet-stream", headers={"Reprove-Lease": lease})

    def get_blob(self, lease: str, sha256: Sha256, store: InputStore, *, max_bytes: int) -> Stored:
        """Fetch one blob into ``store``, checked; at once when it is there already."""
        found = store.find(sha256)
        if found is not None:
            return found
        self._local.timeout = None
        deadline = time.monotonic() + self._patience
        for pause in _pauses():
            try:
                with self._open("GET", f"/w/v1/blobs/sha256:{sha256}", None, {"Reprove-Lease": lease}) as response:
                    if response.status != 200:
                        _raise_problem(response.status, response.read(MAX_ANSWER))
                    return store.put_stream(_chunks(response), max_bytes=max_bytes, sha256=sha256)
            except (OSError, http.client.HTTPException, WorkerApiError) as error:
                self._drop()
                if time.monotonic() + pause > deadline:
                    raise WorkerApiError(f"blob {sha256}: {type(error).__name__}") from error
                time.sleep(pause)
        raise AssertionError("unreachable")

    def resolution(self, lease: str, envelope: Envelope) -> AttestationId:
        """Post the signed resolution; the attempt ends."""
        return self._post_envelope(f"/w/v1/leases/{lease}/resolution", envelope)

    def report(self, lease: str, envelope: Envelope) -> AttestationId:
        """Post the signed report; the attempt ends. The same envelope twice gives the same id."""
        return self._post_envelope(f"/w/v1/leases/{lease}/report", envelope)

    def reject(self, lease: str, cause: str, detail: str) -> None:
        """End the rebuild as ``rejected``: the original cannot be determined. ``cause`` is a problem slug."""
        self._json("POST", f"/w/v1/leases/{lease}/reject", {"cause": {"class": cause, "detail": detail}})

    def release(self, lease: str, reason: str, *, retry: bool = True, drained: bool = False) -> None:
        """Give the attempt back: our infrastructure failed, or (``drained``, which costs no retry) this process was told to stop."""
        self._json("POST", f"/w/v1/leases/{lease}/release", {"reason": reason[:400], "retry": retry, "drained": drained})

    def _post_envelope(self, path: str, envelope: Envelope) -> AttestationId:
        answer = self._call("POST", path, envelope.encode(), kind="application/json")
        with _contract():
            return AttestationId(parse_sha256(parse(answer.body, max_bytes=MAX_ANSWER)["id"]))

    def _json(self, method: str, path: str, body: object, *, patience: float | None = None) -> Any:  # noqa: ANN401  # any JSON value
        answer = self._call(method, path, canonical(body), kind="application/json", patience=patience)
        with _contract():
            return parse(answer.body or b"{}", max_bytes=MAX_ANSWER, what="the worker api's answer")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | Path,
        *,
        kind: str,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> _Answer:
        self._local.timeout = None if patience is None else max(patience, 1.0)
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        for pause in _pauses():
            try:
                with self._open(method, path, body, {"Content-Type": kind, **(headers or {})}) as response:
                    answer = _Answer(response.status, response.read(MAX_ANSWER))
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                failure: ReproveError = WorkerApiError(f"the worker api did not answer: {type(error).__name__}")
            else:
                if 200 <= answer.status < 300:
                    return answer
                # 507 and 4xx are answers; 5xx and 429 are a moment's trouble.
                if answer.status != 429 and (answer.status < 500 or answer.status == 507):
                    _raise_problem(answer.status, answer.body)
                failure = WorkerApiError(f"the worker api answered {answer.status}")
            if time.monotonic() + pause > deadline:
                raise failure
            time.sleep(pause)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _open(self, method: str, path: str, body: bytes | Path | None, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        with contextlib.ExitStack() as stack:
            data: bytes | BinaryIO | None = stack.enter_context(body.open("rb")) if isinstance(body, Path) else body
            if isinstance(body, Path):
                sent["Content-Length"] = str(body.stat().st_size)
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            try:
                yield response
            finally:
                if not response.isclosed() or response.will_close:
                    response.close()
                    self._drop()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            make = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
            connection = make(self._host, self._port, timeout=self._timeout)
            self._local.connection = connection
        timeout = getattr(self._local, "timeout", None) or self._timeout
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        self._drop()

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read1(_CHUNK):
        yield chunk


def _pauses() -> Iterator[float]:
    pause = 0.05
    while True:
        yield pause * random.uniform(0.8, 1.2)  # noqa: S311  # spreads retries, no secret
        pause = min(pause * 2, 2.0)


def _raise_problem(status: int, body: bytes) -> None:
    slug, detail = None, f"status {status}"
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        document = json.loads(body[:65536])
        slug = Slug(str(document["type"]).rpartition(":")[2])
        detail = str(document["detail"])[:2000]
    if slug is Slug.LEASE_LOST:
        raise LeaseLostError(detail)
    if slug is None:
        raise WorkerApiError(f"the worker api answered {status} without a problem that this version knows")
    raise ProblemError(slug, detail)


@contextlib.contextmanager
def _contract() -> Iterator[None]:
    """Turn an answer of another shape than agreed into one error."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ProblemError) as error:
        raise WorkerApiError(f"the worker api answered something else than agreed: {error}") from error
