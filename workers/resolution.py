"""What the resolver found, as the statement it signs (contract of ``reprove.core.statements.resolution``)."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core.digests import Sha256, sha256
from reprove.core.statements import resolution
from reprove.core.statements.codec import Timestamp
from reprove.core.statements.parts import Blob, Cause, FindingRow, IndexRef
from reprove.core.statements.resolution import ListedFile, Resolution, ResolvedOriginal, ResolvedSource
from workers.client import Claim
from workers.inputs.index import IndexFile, Page, rfc3339
from workers.selection import Selection


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everything that the statement says. ``fetched`` are the digests whose bytes were fetched and hashed."""

    claim: Claim
    purl: str
    selection: Selection
    page: Page
    index_id: str
    fetched: frozenset[Sha256]
    resolver: Sha256


def encode(found: Resolved) -> bytes:
    """Return the statement's JCS bytes. The lease is named by its digest, so that the signature is bound to it and gives nothing away."""
    selection, original, source = found.selection, found.selection.original, found.selection.source
    verdict = selection.verdict
    statement = resolution.build(
        Resolution(
            rebuild=found.claim.rebuild,
            lease=sha256(found.claim.lease.encode()),
            request=Blob(found.claim.request_sha256),
            purl=found.purl,
            outcome=None if verdict is None else verdict.outcome,
            cause=None if verdict is None else Cause(verdict.cause, verdict.detail),
            original=ResolvedOriginal(
                name=original.name,
                sha256=original.sha256,
                # PEP 700 makes the size mandatory; 0 stands for an index that leaves it out and whose bytes could not be had either.
                size=original.size or 0,
                uploaded=_time(original),
                yanked=original.yanked,
                verified=original.sha256 in found.fetched,
            ),
            source=None
            if source is None or source.sha256 not in found.fetched
            else ResolvedSource(kind="sdist", name=source.name, uri=source.url, sha256=source.sha256, size=source.size or 0, uploaded=_time(source)),
            index=IndexRef(
                id=found.index_id,
                canonical=True,
                uri=found.page.url,
                page=Blob(found.page.sha256),
                fetched=Timestamp(rfc3339(found.page.fetched.replace(microsecond=0))),
            ),
            listing=tuple(ListedFile(file.name, file.sha256) for file in selection.listing),
            findings=tuple(FindingRow(code, path, detail) for code, path, detail in selection.findings),
            resolver=Blob(found.resolver),
        )
    )
    return statement.encode()


def _time(file: IndexFile) -> Timestamp | None:
    return None if file.uploaded_text is None else Timestamp(file.uploaded_text)
