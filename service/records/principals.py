"""Principals: who asked. Every row that somebody caused carries one (DESIGN section 6, People)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from service.records import ids
from service.records.ids import PrincipalId, TokenId
from service.records.schema import principal


class Role(StrEnum):
    """What a principal may do; a token carries a set of them, none includes another."""

    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    WORK = "work"
    RESOLVE = "resolve"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a call is from, as its token says: roles, and the purl prefixes under which own artifacts are accepted."""

    id: PrincipalId
    issuer: str
    subject: str
    kind: str
    roles: frozenset[Role] = frozenset()
    purl_prefixes: tuple[str, ...] = ()
    token_id: TokenId | None = None


def ensure(conn: Connection, *, issuer: str, subject: str, kind: str, now: datetime) -> PrincipalId:
    """Return the id of the principal with this issuer and subject, making it when there is none."""
    found = conn.execute(select(principal.c.id).where(principal.c.issuer == issuer, principal.c.subject == subject)).scalar()
    if found is not None:
        return PrincipalId(found)
    made = ids.principal_id(now)
    conn.execute(principal.insert().values(id=made, issuer=issuer, subject=subject, kind=kind, created=now))
    return made
