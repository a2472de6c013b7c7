"""``reprove debug``: what helps those who break things on purpose."""

from __future__ import annotations

import json

import click

from reprove.crashpoints import CRASH_POINTS


@click.group("debug")
def command() -> None:
    """Look inside an instance."""


@command.command("crash-points")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, name to meaning.")
def crash_points(*, as_json: bool) -> None:
    """List the durable steps at which REPROVE_FAIL_AT=<name>[:n] ends a process with status 137."""
    if as_json:
        click.echo(json.dumps({"kind": "crash-points", "points": CRASH_POINTS}))
        return
    width = max(len(name) for name in CRASH_POINTS)
    for name, meaning in CRASH_POINTS.items():
        click.echo(f"{name:<{width}}  {meaning}")
