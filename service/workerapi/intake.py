"""What is checked of a signed report or resolution before a row is written. The attester checks all of it again, from the stored bytes."""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core import dsse
from reprove.core.canonical import parse
from reprove.core.digests import parse_sha256, sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.purls import parse_purl
from reprove.core.statements import common, report, resolution
from reprove.core.statements.report import CandidateRow, Report
from reprove.core.statements.resolution import Resolution
from service.records.attempts import AttemptRow
from service.records.blobstore import BlobStore
from service.records.fenced import ResolutionFacts, Signed
from service.records.rebuilds import RebuildRow

MAX_LOCK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fence:
    """What the envelope has to agree with: the lease it came under, its attempt and rebuild, and the key that claimed."""

    lease: str
    attempt: AttemptRow
    rebuild: RebuildRow
    key: PublicKey


def read_envelope(data: bytes) -> Envelope:
    """Read an envelope with exactly one signature, in its canonical form."""
    envelope = dsse.decode(data)
    if len(envelope.signatures) != 1:
        raise ProblemError(Slug.INVALID_REQUEST, "the envelope has not exactly one signature")
    return envelope


def check_resolution(envelope: Envelope, fence: Fence) -> tuple[Signed, ResolutionFacts]:
    """Read and check a resolution. Raises ``invalid-request`` or ``forbidden`` with what does not agree."""
    _check_signature(envelope, fence)
    value = resolution.read(common.decode(envelope.payload))
    _check_fence(value.rebuild, value.lease, value.request.sha256, value.resolver.sha256, fence)
    asked, resolved = parse_purl(fence.rebuild.purl or ""), parse_purl(value.purl)
    if resolved.without_file() != asked.without_file():
        raise _disagrees(f"it resolves {resolved}, the request is for {asked}")
    if asked.file_name is not None and value.original.name != asked.file_name:
        raise _disagrees(f"its original is {value.original.name}, the request is for {asked.file_name}")
    return Signed(id=envelope.id, envelope=envelope.encode(), blobs=frozenset(resolution.blobs(value))), _facts(value)


def check_report(envelope: Envelope, fence: Fence, store: BlobStore) -> tuple[Signed, list[dict[str, object]]]:
    """Read and check a report, with its environment's lock from ``store``. Raises ``invalid-request`` or ``forbidden`` with what does not agree."""
    _check_signature(envelope, fence)
    value = report.read(common.decode(envelope.payload))
    _check_fence(value.rebuild, value.lease, value.request.sha256, value.worker.sha256, fence)
    if value.attempt != fence.attempt.id:
        raise _disagrees("it names another attempt")
    if value.resolution != fence.rebuild.resolution_id:
        raise _disagrees("it names another resolution")
    if value.original.sha256 != fence.rebuild.original_sha256:
        raise _disagrees("its original is not the resolved one")
    lock = value.environment.lock.sha256 if value.environment is not None else None
    packages = frozenset() if lock is None else read_packages(store, lock)
    signed = Signed(id=envelope.id, envelope=envelope.encode(), blobs=frozenset(report.blobs(value)), lock=lock, packages=packages)
    return signed, _candidates(value)


def read_packages(store: BlobStore, lock: str) -> frozenset[str]:
    """The packages that an environment's lock names: they must be stored too, or the environment could never be made again."""
    if not store.has(lock):
        raise ProblemError(Slug.INVALID_REQUEST, f"1 blob that it names is not stored: {lock}")
    document = parse(store.read(lock, max_bytes=MAX_LOCK), max_bytes=MAX_LOCK, what="the environment's lock")
    rows = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _disagrees("its environment's lock has no list of packages")
    return frozenset(parse_sha256(row.get("sha256")) for row in rows)


def _check_signature(envelope: Envelope, fence: Fence) -> None:
    if not envelope.signed_by([fence.key]):
        raise ProblemError(Slug.FORBIDDEN, "the signature is not of the enrolled key that claimed this attempt")


def _check_fence(rebuild: str, lease: str, request: str, signer: str, fence: Fence) -> None:
    if rebuild != fence.rebuild.id:
        raise _disagrees("it names another rebuild")
    if lease != sha256(fence.lease.encode()):
        raise _disagrees("it names another lease")
    if request != fence.rebuild.request_sha256:
        raise _disagrees("it names another request")
    if signer != fence.key.fingerprint:
        raise _disagrees("it names another key than the one that signed")


def _facts(value: Resolution) -> ResolutionFacts:
    return ResolutionFacts(
        original_sha256=value.original.sha256,
        original_file=value.original.name,
        original_size=value.original.size,
        original_purl=value.purl,
        release=str(parse_purl(value.purl).without_file()),
        listing=[(each.name, each.sha256) for each in value.listing],
        settled=value.outcome is not None,
    )


def _candidates(value: Report) -> list[dict[str, object]]:
    return [_candidate(each) for each in {row.n: row for row in value.candidates}.values()]


def _candidate(row: CandidateRow) -> dict[str, object]:
    return {
        "n": row.n,
        "recipe_digest": row.recipe.sha256 if row.recipe else None,
        "outcome": row.outcome.value,
        "cause_class": row.cause.class_ if row.cause else None,
        "cause_detail": row.cause.detail if row.cause else None,
        "needs": list(row.needs) if row.needs else None,
    }


def _disagrees(detail: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"refused: {detail}")
