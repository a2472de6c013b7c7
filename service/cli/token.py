"""``reprove token``: make, list and revoke access tokens, at the machine that holds the state folder."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import click

from reprove import settings as settings_module
from reprove.core.errors import ProblemError, Slug
from service.access import tokens as access
from service.records import times, tokens
from service.records.database import open_database
from service.records.principals import Role
from service.records.tokens import TokenRow

_DURATION = re.compile(r"(\d{1,5})(m|h|d)\Z")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@click.group("token")
def command() -> None:
    """Access tokens of this instance."""


@command.command("create")
@click.option("--role", "roles", required=True, metavar="ROLES", help=f"Comma-separated: {', '.join(Role)}.")
@click.option("--expires", default="30d", show_default=True, metavar="TIME", help="Life from now: 30d, 12h, 90m.")
@click.option("--purl-prefix", "prefixes", multiple=True, metavar="P", help="Own artifacts may be named below this prefix (ends in / or @).")
@click.option("--name", default="token", show_default=True, help="Who uses it; tokens of one name are one principal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(*, roles: str, expires: str, prefixes: tuple[str, ...], name: str, as_json: bool) -> None:
    """Make a token; it is printed once and kept nowhere."""
    database = open_database(settings_module.load())
    try:
        with database.write() as conn:
            made = access.issue(conn, subject=name, roles=_roles(roles), lifetime=_duration(expires), prefixes=prefixes, now=times.now())
    finally:
        database.close()
    if as_json:
        facts = {"kind": "token", "id": made.id, "token": made.secret, "roles": sorted(_roles(roles)), "expires": times.rfc3339(made.expires)}
        click.echo(json.dumps(facts))
        return
    click.echo(made.secret)
    click.echo(f"token {made.id}, roles {', '.join(sorted(_roles(roles)))}, until {times.rfc3339(made.expires)}; it is not shown again", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(*, as_json: bool) -> None:
    """List tokens: ids, roles and dates, never secrets."""
    database = open_database(settings_module.load())
    try:
        with database.read() as conn:
            rows = tokens.every(conn)
    finally:
        database.close()
    now = times.now()
    if as_json:
        click.echo(json.dumps({"kind": "tokens", "items": [_as_json(row) for row in rows]}))
        return
    for row in rows:
        state = "revoked" if row.revoked else "expired" if row.expires <= now else "good"
        who = f"{row.principal.subject:<16} {','.join(sorted(row.principal.roles))}"
        click.echo(f"{row.principal.token_id}  {state:<8} until {times.rfc3339(row.expires)}  {who}")


@command.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """End a token now."""
    database = open_database(settings_module.load())
    try:
        with database.write() as conn:
            access.revoke(conn, token_id, now=times.now())
    finally:
        database.close()
    click.echo(f"revoked {token_id}: the next call with it is refused", err=True)


def _roles(text: str) -> frozenset[Role]:
    try:
        return frozenset(Role(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ProblemError(Slug.INVALID_REQUEST, f"--role: {error}; roles are {', '.join(Role)}") from None


def _duration(text: str) -> timedelta:
    match = _DURATION.match(text)
    if match is None:
        raise ProblemError(Slug.INVALID_REQUEST, "--expires is a number with m, h or d, such as 30d")
    return int(match[1]) * _UNITS[match[2]]


def _as_json(row: TokenRow) -> dict[str, object]:
    body: dict[str, object] = {
        "id": row.principal.token_id,
        "name": row.principal.subject,
        "roles": sorted(row.principal.roles),
        "purl_prefixes": list(row.principal.purl_prefixes),
        "created": times.rfc3339(row.created),
        "expires": times.rfc3339(row.expires),
    }
    return body if row.revoked is None else body | {"revoked": times.rfc3339(row.revoked)}
