"""``reprove worker``: which keys may sign reports and resolutions. Keys are ended, never removed: old reports name them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from reprove import settings as settings_module
from reprove.core import keys
from reprove.core.errors import ProblemError, Slug
from service.access import enrolled
from service.access import tokens as access
from service.access.enrolled import Enrolled, EnrolledKey
from service.records import audit, times
from service.records.database import open_database
from service.records.principals import Role


@click.group("worker")
def command() -> None:
    """Enrolled worker and resolver keys."""


@command.command("enroll")
@click.argument("public_key", metavar="PUBLICKEY", type=click.File())
@click.option("--name", help="A name for people (default: the file's).")
@click.option("--role", type=click.Choice(["work", "resolve"]), default="work", show_default=True, help="Signs reports, or resolutions.")
def enroll(*, public_key: TextIO, name: str | None, role: str) -> None:
    """Believe reports signed by the key in this PEM file (- reads standard input) from now on."""
    key = keys.from_pem(public_key.read(65536))
    if key.is_ed25519:
        raise ProblemError(Slug.INVALID_REQUEST, "a worker signs with ECDSA P-256; this key is Ed25519")
    home, now = settings_module.load().home, times.now().replace(microsecond=0)
    with _changing(home):
        there = enrolled.load(home)
        if any(each.key == key and (each.until is None or each.until > now) for each in there.keys):
            raise ProblemError(Slug.INVALID_REQUEST, f"key {key.fingerprint} is enrolled already")
        row = EnrolledKey(name or Path(public_key.name).stem, Role(role), key, now)
        _audit("worker.enroll", row)
        enrolled.store(home, Enrolled((*there.keys, row)))
    click.echo(key.fingerprint)
    click.echo(f"enrolled {row.name} for role {role}; trust.json is not changed: readers add worker keys themselves", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(*, as_json: bool) -> None:
    """List the keys, ended ones included."""
    rows = enrolled.load(settings_module.load().home).keys
    if as_json:
        items = [row.as_json() | {"sha256": row.key.fingerprint} for row in rows]
        click.echo(json.dumps({"kind": "workers", "items": items}))
        return
    for row in rows:
        end = f" until {times.rfc3339(row.until)}" if row.until else ""
        click.echo(f"{row.key.fingerprint}  {row.role:<8} {row.name}  from {times.rfc3339(row.since)}{end}")


@command.command("revoke")
@click.argument("name", metavar="NAME|SHA256")
def revoke(name: str) -> None:
    """Believe nothing that arrives from now on with this key's signature; what was attested stays."""
    home, now = settings_module.load().home, times.now().replace(microsecond=0)
    with _changing(home):
        there = enrolled.load(home)
        hit = [row for row in there.keys if name in (row.name, row.key.fingerprint) and (row.until is None or row.until > now)]
        if not hit:
            raise ProblemError(Slug.NOT_FOUND, f"no enrolled key is named {name}")
        if len(hit) > 1:
            raise ProblemError(Slug.INVALID_REQUEST, f"{len(hit)} keys are named {name}: give the SHA-256 of one")
        _audit("worker.revoke", hit[0])
        enrolled.store(home, Enrolled(tuple(replace(row, until=now) if row is hit[0] else row for row in there.keys)))
    click.echo(f"revoked {hit[0].name} ({hit[0].key.fingerprint})", err=True)


def _audit(action: str, row: EnrolledKey) -> None:
    """Record the change before it counts: a crash in between leaves a row of something that was begun."""
    database = open_database(settings_module.load())
    try:
        with database.write() as conn:
            now = times.now()
            audit.write(conn, access.operator(conn, now), action, row.key.fingerprint, now, name=row.name, role=row.role.value)
    finally:
        database.close()


@contextmanager
def _changing(home: Path) -> Iterator[None]:
    """One change at a time: two commands at once must not lose one's key."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
