"""Access tokens: ``rpv_`` and 256 random bits, shown once; SHA-256 at rest; roles, an end date, revocation."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug
from service.records import audit, ids, principals, times, tokens
from service.records.database import Database
from service.records.ids import TokenId
from service.records.principals import Principal, Role

PREFIX = "rpv_"
MAX_LIFE = timedelta(days=3660)
ISSUER = "urn:reprove:local"
_SHAPE = re.compile(r"rpv_[A-Za-z0-9_-]{43}\Z")
_PURL_PREFIX = re.compile(r"pkg:[a-z0-9.+-]+/[^\s]*[/@]?\Z")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token at the only moment when it is known: ``secret`` is shown once and never kept."""

    id: TokenId
    secret: str
    expires: datetime


def is_token(text: str) -> bool:
    """Say whether text has a token's shape; secrets scanners use the same."""
    return _SHAPE.match(text) is not None


def create(db: Database, *, name: str, kind: str, roles: Iterable[str], days: float, prefixes: Iterable[str] = ()) -> str:
    """Make a durable token by the operator at the machine, and return it: the only time that it is seen. See :func:`issue`."""
    try:
        wanted = [Role(role) for role in roles]
    except ValueError as error:
        raise ProblemError(Slug.INVALID_REQUEST, f"{error}: a role is one of {', '.join(Role)}") from None
    with db.write() as conn:
        return issue(conn, subject=name, kind=kind, roles=wanted, lifetime=timedelta(days=days), prefixes=prefixes, now=times.now()).secret


def issue(
    conn: Connection,
    *,
    subject: str,
    roles: Iterable[Role],
    lifetime: timedelta,
    now: datetime,
    prefixes: Iterable[str] = (),
    kind: str = "token",
    by: Principal | None = None,
) -> NewToken:
    """Make a token for ``subject``, a name that the operator chooses; tokens with the same subject are the same principal.

    ``by`` is who makes it (None: the operator at the machine). Raises ``invalid-request`` for no role, no end date within ten years, or a bad prefix.
    """
    wanted = frozenset(roles)
    if not wanted:
        raise ProblemError(Slug.INVALID_REQUEST, f"a token needs at least one role of {', '.join(Role)}")
    if not timedelta(0) < lifetime <= MAX_LIFE:
        raise ProblemError(Slug.INVALID_REQUEST, "a token ends, within ten years from now")
    if not subject or len(subject) > 200:
        raise ProblemError(Slug.INVALID_REQUEST, "a token's subject has 1 to 200 characters")
    for prefix in (granted := tuple(prefixes)):
        if not _PURL_PREFIX.match(prefix) or not prefix.endswith(("/", "@")):
            raise ProblemError(Slug.INVALID_REQUEST, f"purl prefix {prefix!r} must start with pkg: and end in / or @")
    secret = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    token_id = ids.token_id(now)
    principal_id = principals.ensure(conn, issuer=ISSUER, subject=subject, kind=kind, now=now)
    expires = now + lifetime
    tokens.insert(
        conn, id=token_id, sha256=sha256(secret.encode()), principal_id=principal_id, roles=wanted, prefixes=granted, now=now, expires=expires
    )
    actor = by or operator(conn, now)
    audit.write(conn, actor, "token.create", token_id, now, subject=subject, roles=sorted(wanted), prefixes=sorted(granted))
    return NewToken(token_id, secret, expires)


def revoke(conn: Connection, token_id: str, *, now: datetime, by: Principal | None = None) -> None:
    """End a token now; from the next call on it is refused. Raises ``not-found``."""
    if not tokens.revoke(conn, TokenId(token_id), now):
        raise ProblemError(Slug.NOT_FOUND, f"no token {token_id}")
    audit.write(conn, by or operator(conn, now), "token.revoke", token_id, now)


def operator(conn: Connection, now: datetime) -> Principal:
    """Whoever sits at the machine that holds the state folder: the principal of what commands do without a token."""
    return Principal(principals.ensure(conn, issuer=ISSUER, subject="operator", kind="operator", now=now), ISSUER, "operator", "operator")
