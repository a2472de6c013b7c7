"""From an ``Authorization`` header to a principal, and from a principal to yes or no."""

from __future__ import annotations

from datetime import datetime

from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug
from service.access.tokens import PREFIX, is_token
from service.records import tokens
from service.records.database import Database
from service.records.principals import Principal, Role


def authenticate(db: Database, header: str | None, now: datetime) -> Principal:
    """Say who sends ``Authorization: Bearer rpv_…``.

    The token is looked up by its SHA-256: with 256 random bits neither a slow hash nor a constant-time compare of the digest would add anything.
    Raises ``unauthenticated`` without a header, and for one that is malformed, unknown, expired or revoked; the last two are said, since only
    whoever has the token can see it.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ProblemError(Slug.UNAUTHENTICATED, f"send `Authorization: Bearer {PREFIX}…`; `reprove token create` makes one")
    if not is_token(token):
        raise ProblemError(Slug.UNAUTHENTICATED, "this is not a token of Reprove")
    with db.read() as conn:
        found = tokens.by_digest(conn, sha256(token.encode()))
    if found is None:
        raise ProblemError(Slug.UNAUTHENTICATED, "this token is not known here")
    if found.revoked is not None and found.revoked <= now:
        raise ProblemError(Slug.UNAUTHENTICATED, "this token was revoked")
    if found.expires <= now:
        raise ProblemError(Slug.UNAUTHENTICATED, "this token has expired")
    return found.principal


def require(principal: Principal, role: Role) -> None:
    """Raise ``forbidden`` unless the principal's token carries the role."""
    if role not in principal.roles:
        raise ProblemError(Slug.FORBIDDEN, f"this needs a token with role {role}; yours has {', '.join(sorted(principal.roles)) or 'none'}")


def may_name(principal: Principal, purl: str) -> bool:
    """Say whether an own artifact may carry this canonical purl: only under the prefixes granted to the token (DESIGN section 6)."""
    return any(purl.startswith(prefix) for prefix in principal.purl_prefixes)
