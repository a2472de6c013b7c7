"""``reprove init``: make an instance in the state folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from reprove import indexes
from reprove import settings as settings_module
from reprove.core.digests import sha256
from service.setup import instance


@click.command("init")
@click.option("--origin", metavar="NAME", default="", help="Name of the log: a bare DNS name, part of every checkpoint for ever.")
@click.option("--operator", metavar="URI", default="", help="Who answers for this instance; quorums count operators.")
@click.option("--home", type=click.Path(path_type=Path), help="State folder (default: REPROVE_HOME, else /var/lib/reprove).")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(*, origin: str, operator: str, home: Path | None, as_json: bool) -> None:
    """Make keys, trust file, policies, databases and the first operator token, which is shown once."""
    settings = settings_module.load(home=None if home is None else home.absolute())
    index = indexes.configured(os.environ)
    for warning in index.warnings:
        click.echo(f"warning: {warning}", err=True)
    url = settings.index_pypi_url or index.url
    allow = settings.fetch_allow or tuple(indexes.probe(url))
    created = instance.create(settings, instance.Choices(index_url=url, fetch_allow=allow, origin=origin, operator=operator))
    trust = settings.home / "trust.json"
    fingerprint = sha256(trust.read_bytes())
    if as_json:
        facts = {"kind": "instance", "instance": created.instance, "origin": created.origin, "index": url, "fetch_allow": list(allow)}
        click.echo(json.dumps({**facts, "trust_file": str(trust), "fingerprint": f"sha256:{fingerprint}", "operator_token": created.operator_token}))
        return
    click.echo(f"Instance {created.instance} in {settings.home}, log {created.origin}")
    for name, (purpose, _, holder) in instance.KEYS.items():
        click.echo(f"  {name + ' key':<14} {purpose}; held by the {holder}")
    click.echo("  worker keys    sign what a build gave; each held by its worker")
    click.echo(f'  index          "pypi" is {url}: canonical here. Hosts that may have any address: {", ".join(allow) or "none"}')
    click.echo(f"  trust file     {trust}   sha256:{fingerprint}")
    if created.operator_token:
        click.echo(f"Operator token, shown once: {created.operator_token}")
