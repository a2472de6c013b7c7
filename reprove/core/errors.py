"""The four roots of faults, by who is at fault, and the two errors that readers of this library meet.

Class names end in ``Error``. A *verdict* (an outcome, a decision) is a value and never one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReproveError(Exception):
    """Root of every fault that this project raises on purpose."""


class CallerError(ReproveError):
    """The caller gave something that cannot be used; doing the same again fails again."""


class UpstreamError(ReproveError):
    """A registry, a witness or another party outside did not do its part."""


class BuilderError(ReproveError):
    """The container engine or the host of a build did not do its part."""


class OwnError(ReproveError):
    """Our own state is unusable: disk full, database gone, invariant broken."""


class Slug(StrEnum):
    """Problem slugs (INTERFACE section 5); closed, only grows."""

    INVALID_REQUEST = "invalid-request"
    INVALID_PURL = "invalid-purl"
    INVALID_RECIPE = "invalid-recipe"
    INVALID_POLICY = "invalid-policy"
    UNKNOWN_PACKAGE = "unknown-package"
    PURL_CONFLICT = "purl-conflict"
    DIGEST_MISMATCH = "digest-mismatch"
    TOO_LARGE = "too-large"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    LEASE_LOST = "lease-lost"
    STORAGE_FULL = "storage-full"
    RATE_LIMITED = "rate-limited"
    FETCH_REFUSED = "fetch-refused"
    UNAVAILABLE = "unavailable"

    @property
    def status(self) -> int:
        """The HTTP status that goes with the slug (RFC 9457)."""
        return _STATUS[self]

    @property
    def words(self) -> str:
        """The problem's title: the slug in words, the same for every occurrence."""
        return self.value.replace("-", " ").capitalize()


_STATUS = {
    Slug.INVALID_REQUEST: 400,
    Slug.INVALID_PURL: 400,
    Slug.INVALID_RECIPE: 400,
    Slug.INVALID_POLICY: 400,
    Slug.UNKNOWN_PACKAGE: 404,
    Slug.PURL_CONFLICT: 409,
    Slug.DIGEST_MISMATCH: 422,
    Slug.TOO_LARGE: 413,
    Slug.IDEMPOTENCY_CONFLICT: 422,
    Slug.UNAUTHENTICATED: 401,
    Slug.FORBIDDEN: 403,
    Slug.NOT_FOUND: 404,
    Slug.LEASE_LOST: 409,
    Slug.STORAGE_FULL: 507,
    Slug.RATE_LIMITED: 429,
    Slug.FETCH_REFUSED: 502,
    Slug.UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, and what would be right (RFC 9457).

    ``pointer`` is a JSON pointer into the request body; ``line`` and ``column`` are 1-based positions in a text file.
    """

    slug: Slug
    detail: str
    pointer: str | None = None
    line: int | None = None
    column: int | None = None

    def as_json(self) -> dict[str, object]:
        """The ``application/problem+json`` body."""
        body: dict[str, object] = {
            "type": f"urn:reprove:problem:{self.slug}",
            "title": self.slug.words,
            "status": self.slug.status,
            "detail": self.detail,
        }
        for key in ("pointer", "line", "column"):
            value = getattr(self, key)
            if value is not None:
                body[key] = value
        return body


class ProblemError(CallerError):
    """Malformed input, as a :class:`Problem`; the API answers it, the command prints it on one line."""

    def __init__(self, slug: Slug, detail: str, *, pointer: str | None = None, line: int | None = None, column: int | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(slug, detail, pointer, line, column)


class VerificationReason(StrEnum):
    """What a verification stumbled on; each has its own exit code (INTERFACE section 2)."""

    SUBJECT = "subject"
    SIGNATURE = "signature"
    INCLUSION = "inclusion"
    CHECKPOINT = "checkpoint"
    UNTRUSTED_KEYS = "untrusted-keys"
    MALFORMED = "malformed"
    OUTCOME = "outcome"
    NO_EVIDENCE = "no-evidence"
    UNSUPPORTED = "unsupported-material"

    @property
    def exit_code(self) -> int:
        """The exit code of ``reprove verify``."""
        return _EXIT[self]


_EXIT = {
    VerificationReason.SUBJECT: 10,
    VerificationReason.SIGNATURE: 11,
    VerificationReason.INCLUSION: 12,
    VerificationReason.CHECKPOINT: 13,
    VerificationReason.UNTRUSTED_KEYS: 14,
    VerificationReason.MALFORMED: 15,
    VerificationReason.UNSUPPORTED: 15,
    VerificationReason.OUTCOME: 16,
    VerificationReason.NO_EVIDENCE: 17,
}


class VerificationError(ReproveError):
    """The only error that a verification function raises: a reason and one sentence."""

    def __init__(self, reason: VerificationReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
