"""``reprove cancel``: detach from a rebuild; it stops when nobody else waits for it."""

from __future__ import annotations

import click

from reprove.cli import common
from reprove.cli.terminal import out, print_json, safe
from reprove.client import Client


@click.command()
@click.argument("identifier", metavar="ID")
@common.service
def command(identifier: str, *, client: Client, as_json: bool) -> int:
    """Detach your requests from a rebuild."""
    document = client.cancel(identifier)
    if as_json:
        print_json({"kind": "rebuild", **document})
    elif document.get("state") == "cancelled":
        out(f"Cancelled {safe(identifier)}.")
    else:
        out(f"Detached from {safe(identifier)}; it goes on ({safe(document.get('state'))}) because others wait for it.")
    return common.EXIT_OK
