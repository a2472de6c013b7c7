"""Token rows: digests, never tokens. Who may make, use or revoke one is decided in ``service/access``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from reprove.core.digests import Sha256
from service.records.ids import PrincipalId, TokenId
from service.records.principals import Principal, Role
from service.records.schema import principal, token


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as records know it, with its principal."""

    principal: Principal
    created: datetime
    expires: datetime
    revoked: datetime | None


_COLUMNS = (token, principal.c.issuer, principal.c.subject, principal.c.kind)
_BY_DIGEST = select(*_COLUMNS).join(principal).where(token.c.sha256 == bindparam("digest"))


def insert(
    conn: Connection,
    *,
    id: TokenId,  # noqa: A002  # the column's name
    sha256: Sha256,
    principal_id: PrincipalId,
    roles: Iterable[Role],
    prefixes: Iterable[str],
    now: datetime,
    expires: datetime,
) -> None:
    """Store a new token's digest."""
    conn.execute(
        token.insert().values(
            id=id, sha256=sha256, principal_id=principal_id, roles=sorted(roles), purl_prefixes=sorted(prefixes), created=now, expires=expires
        )
    )


def by_digest(conn: Connection, sha256: Sha256) -> TokenRow | None:
    """Find a token by its digest; expired and revoked ones are found too, the caller judges."""
    row = conn.execute(_BY_DIGEST, {"digest": sha256}).mappings().first()
    return None if row is None else _read(dict(row))


def every(conn: Connection) -> list[TokenRow]:
    """All tokens, oldest first."""
    return [_read(dict(row)) for row in conn.execute(select(*_COLUMNS).join(principal).order_by(token.c.id)).mappings()]


def revoke(conn: Connection, id: TokenId, now: datetime) -> bool:  # noqa: A002  # the column's name
    """Revoke from ``now`` on; False when there is no such token. Revoking twice keeps the first moment."""
    if conn.execute(select(token.c.id).where(token.c.id == id)).scalar() is None:
        return False
    conn.execute(token.update().where(token.c.id == id, token.c.revoked.is_(None)).values(revoked=now))
    return True


def _read(row: dict[str, object]) -> TokenRow:
    return TokenRow(
        Principal(
            PrincipalId(str(row["principal_id"])),
            str(row["issuer"]),
            str(row["subject"]),
            str(row["kind"]),
            frozenset(Role(role) for role in row["roles"]),  # type: ignore[attr-defined]  # a JSON list
            tuple(row["purl_prefixes"]),  # type: ignore[arg-type]  # a JSON list
            TokenId(str(row["id"])),
        ),
        row["created"],  # type: ignore[arg-type]  # Instant
        row["expires"],  # type: ignore[arg-type]  # Instant
        row["revoked"],  # type: ignore[arg-type]  # Instant or None
    )
