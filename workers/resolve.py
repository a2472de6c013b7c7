"""Resolve, read top to bottom: which bytes are the original, which are the source, who said so and when (DESIGN section 5.2).

With network under the egress rules, without Docker. Nothing of the files is parsed here: only the index page is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from reprove.core.digests import Sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, ReproveError, Slug
from reprove.core.outcomes import Outcome
from reprove.core.purls import Purl, parse_purl
from reprove.core.states import Phase
from reprove.crashpoints import crash_point
from reprove.settings import Settings
from reprove.signers import Signer, sign_statement
from workers.context import WorkerContext
from workers.inputs.egress import EgressClient, FetchError, FetchKind
from workers.inputs.index import IndexFile, Page, PypiIndex
from workers.inputs.mirror import fetch_file
from workers.inputs.store import InputStore, Stored
from workers.resolution import Resolved, encode
from workers.selection import Selection, Verdict, select

INDEX_ID = "pypi"
MAX_FILE_BYTES = 1024**3
PAUSES = (0.3, 1.0)
"""Seconds between the tries within one attempt; the service's retries of the attempt come on top."""

T = TypeVar("T")


class RejectedError(ReproveError):
    """The original cannot be determined: the rebuild ends ``rejected`` with this slug."""

    def __init__(self, slug: Slug, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


class ReleasedError(ReproveError):
    """Something outside is down at the moment: the attempt goes back."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the resolver reaches: one client under the egress rules, one canonical index."""

    client: EgressClient
    index: PypiIndex

    @classmethod
    def of(cls, settings: Settings) -> Outside:
        """Make it from the settings."""
        client = EgressClient(settings.fetch_allow)
        return cls(client, PypiIndex(settings.index_pypi_url, client))


def run(context: WorkerContext, outside: Outside, *, pauses: tuple[float, ...] = PAUSES) -> None:
    """Resolve what was claimed and end the attempt: a signed resolution, a rejection, or the attempt given back."""
    lease, client, claim = context.lease, context.client, context.claim
    try:
        with context.heartbeat.phase(Phase.RESOLVE) as notes:
            resolved = resolve(context, outside, pauses)
            notes["detail"] = describe(resolved)
            envelope = sign(context.signer, resolved)
        crash_point("resolve.signed")
        # A crash here leaves an unsent statement; the next attempt looks again and signs its own.
        context.heartbeat.check()
        with context.heartbeat.ending():
            client.resolution(lease, envelope)
    except RejectedError as error:
        context.log.info("rejected", cause=error.slug, detail=error.detail)
        with context.heartbeat.ending():
            client.reject(lease, error.slug, error.detail)
    except ReleasedError as error:
        context.log.warning("released", reason=str(error))
        if claim.n > context.settings.retries:
            client.reject(lease, Slug.UNAVAILABLE, str(error))
        else:
            client.release(lease, str(error), retry=True)


def resolve(context: WorkerContext, outside: Outside, pauses: tuple[float, ...]) -> Resolved:
    """Look the purl up, fetch and check both files, put them and the page into the blob store."""
    purl = _canonical_only(parse_purl(context.claim.purl), context.settings)
    page = look_up(outside.index, purl, pauses, context.heartbeat.check)
    try:
        selection = select(page, purl, index=INDEX_ID)
    except ProblemError as error:
        raise RejectedError(error.problem.slug, error.problem.detail) from None
    if page is None:
        raise AssertionError("a selection comes from a page")
    final = context.claim.n > context.settings.retries
    files, verdict = fetch_files(outside, context.store, selection, pauses, context.heartbeat.check, final=final)
    selection = _with_sizes(replace(selection, verdict=selection.verdict or verdict), files)
    context.heartbeat.check()
    blobs = {page.sha256: context.store.put(page.body).path} | {digest: stored.path for digest, stored in files.items()}
    context.client.upload(context.lease, blobs)
    return Resolved(
        claim=context.claim,
        purl=str(purl.with_file(selection.original.name)),
        selection=selection,
        page=page,
        index_id=INDEX_ID,
        fetched=frozenset(files),
        resolver=context.signer.public_key.fingerprint,
    )


def sign(signer: Signer, resolved: Resolved) -> Envelope:
    """Sign the resolution with the resolver's own enrolled key."""
    return sign_statement(signer, encode(resolved))


def look_up(index: PypiIndex, purl: Purl, pauses: tuple[float, ...], check: Callable[[], None]) -> Page | None:
    """Ask the index for the project's page, a few times when it is down or answers garbage."""
    try:
        return _tries(lambda: index.project(purl.name, now=datetime.now(UTC)), pauses, check)
    except FetchError as error:
        if error.kind is FetchKind.REFUSED:
            raise RejectedError(Slug.FETCH_REFUSED, f'index "{INDEX_ID}": {error.problem.detail}') from error
        if error.kind is FetchKind.TOO_LARGE:
            raise RejectedError(Slug.TOO_LARGE, f'index "{INDEX_ID}": the page of {purl.name} is too large') from error
        raise ReleasedError(f'index "{INDEX_ID}" could not be read: {error}') from error


def fetch_files(
    outside: Outside, store: InputStore, selection: Selection, pauses: tuple[float, ...], check: Callable[[], None], *, final: bool
) -> tuple[dict[Sha256, Stored], Verdict | None]:
    """Fetch what is needed of original and source, checked against the page.

    A verdict says why bytes could not be had; ``final`` means that no attempt follows. Of what cannot be built anyway nothing is fetched,
    but for an original whose size the index does not say.
    """
    files: dict[Sha256, Stored] = {}
    for file in _needed(selection):
        try:
            files[file.sha256] = _tries(lambda file=file: fetch_file(outside.client, store, file, max_bytes=MAX_FILE_BYTES), pauses, check)  # type: ignore[misc]
        except FetchError as error:
            return files, _unavailable(file, error, final=final)
        except ProblemError as error:
            if error.problem.slug is not Slug.DIGEST_MISMATCH:
                raise RejectedError(error.problem.slug, f"{file.name}: {error.problem.detail}") from None
            return files, Verdict(Outcome.INPUT_UNAVAILABLE, "digest-mismatch", f"{file.name}: {error.problem.detail}")
    return files, None


def _needed(selection: Selection) -> tuple[IndexFile, ...]:
    if selection.verdict is not None:
        return (selection.original,) if selection.original.size is None else ()
    return (selection.original,) if selection.source is None else (selection.original, selection.source)


def describe(resolved: Resolved) -> str:
    """Say it in one line, as the progress display shows it."""
    selection = resolved.selection
    if selection.verdict is not None:
        return f"{selection.verdict.outcome}: {selection.verdict.detail}"
    uploaded = selection.original.uploaded
    when = "" if uploaded is None else f", uploaded {uploaded:%Y-%m-%d %H:%M}"
    return f'wheel and sdist from index "{resolved.index_id}"{when}'


def _canonical_only(purl: Purl, settings: Settings) -> Purl:
    if purl.type != "pypi":
        raise RejectedError(Slug.INVALID_PURL, f"only pkg:pypi/ purls are resolved yet, not pkg:{purl.type}/")
    if purl.repository_url is not None and purl.repository_url.rstrip("/") != settings.index_pypi_url.rstrip("/"):
        raise RejectedError(Slug.INVALID_PURL, "this instance resolves from its canonical index only; leave repository_url out")
    return purl


def _unavailable(file: IndexFile, error: FetchError, *, final: bool) -> Verdict:
    if error.kind is FetchKind.REFUSED:
        raise RejectedError(Slug.FETCH_REFUSED, f"{file.name}: {error.problem.detail}") from error
    if error.kind is FetchKind.TOO_LARGE:
        raise RejectedError(Slug.TOO_LARGE, f"{file.name} is larger than {MAX_FILE_BYTES} bytes") from error
    if error.kind is FetchKind.TRUNCATED:
        return Verdict(Outcome.INPUT_UNAVAILABLE, "truncated", f"{file.name}: {error}")
    if error.transient and not final:
        raise ReleasedError(f"{file.name} could not be fetched: {error}") from error
    return Verdict(Outcome.INPUT_UNAVAILABLE, "gone", f"{file.name}: the index lists it, its bytes cannot be had ({error})")


def _with_sizes(selection: Selection, files: dict[Sha256, Stored]) -> Selection:
    """Fill in sizes that the index does not say from the bytes."""

    def sized(file: IndexFile) -> IndexFile:
        return replace(file, size=files[file.sha256].size) if file.sha256 in files else file

    return replace(selection, original=sized(selection.original), source=None if selection.source is None else sized(selection.source))


def _tries(work: Callable[[], T], pauses: tuple[float, ...], check: Callable[[], None]) -> T:
    for pause in pauses:
        try:
            return work()
        except FetchError as error:
            if not error.transient:
                raise
            check()
            time.sleep(pause)
    return work()
