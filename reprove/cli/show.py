"""``reprove show``: what is known of a rebuild, a decision, an attestation, a file or a digest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import click

from reprove.cli import common, render
from reprove.cli.terminal import out, print_json, safe, style_of
from reprove.client import Client
from reprove.problems import Json

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z")


@click.command()
@click.argument("what", metavar="ID|FILE|sha256:…")
@common.service
def command(what: str, *, client: Client, as_json: bool) -> int:
    """Show a rebuild, a decision, an attestation, or everything known about an artifact."""
    if what.startswith("rb-"):
        document = client.rebuild(what)
        print_json({"kind": "rebuild", **document}) if as_json else render.rebuild(document)
        return common.EXIT_OK
    if what.startswith("dec-"):
        decided = client.decision(what).json()
        print_json({"kind": "decision", **decided}) if as_json else render.decision(decided)
        return common.EXIT_OK
    match = _HEX.match(what)
    if match and not what.startswith("sha256:"):
        return _attestation(client, match[1], as_json=as_json)
    digest = match[1] if match else digest_of(Path(what))
    return _artifact(client.artifact(digest), as_json=as_json)


def digest_of(path: Path) -> str:
    """SHA-256 of a file as hex. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}; give a file, sha256:…, a purl or an id") from None


def _attestation(client: Client, identifier: str, *, as_json: bool) -> int:
    from reprove.core.canonical import parse

    statement = parse(client.attestation(identifier, "application/json"), max_bytes=64 * 1024**2, what="the statement")
    if as_json:
        print_json({"kind": "attestation", "id": identifier, "statement": statement})
        return common.EXIT_OK
    out(safe(statement.get("predicateType", "")), "bold")
    for subject in statement.get("subject", []):
        out(f"  subject    {safe(subject.get('name', ''))}  sha256:{safe(subject.get('digest', {}).get('sha256', ''))}")
    predicate = statement.get("predicate")
    predicate = predicate if isinstance(predicate, dict) else {}
    for key in ("outcome", "verdict", "operator", "deployment", "arch"):
        if isinstance(predicate.get(key), str):
            out(f"  {key:<10} {safe(predicate[key])}", style_of(predicate[key]) if key in ("outcome", "verdict") else None)
        if key == "outcome" and render.level_of(predicate):
            out(f"  {'level':<10} {render.level_of(predicate)}")
    render.reasons_of_comparison(predicate)
    out(f"  reprove evidence {identifier} -o evidence.json   (--json prints all of it)")
    return common.EXIT_OK


def _artifact(document: Json, *, as_json: bool) -> int:
    if as_json:
        print_json({"kind": "artifact", **document})
        return common.EXIT_OK
    rows = document.get("outcomes", [])
    out(f"sha256:{safe(document.get('sha256', ''))}   {', '.join(safe(name) for name in document.get('names', []))}", "bold")
    for item in rows:
        render.attestation(item)
    for row in document.get("decisions", []):
        policy = row.get("policy")
        name = policy.get("name", "") if isinstance(policy, dict) else policy
        out(f"  {safe(row.get('verdict', '')):<8} {safe(row.get('id', ''))}  policy {safe(name)}  {safe(row.get('time', ''))}")
    if not rows:
        out("  no rebuild of it is known here.   reprove rebuild PURL --wait")
    out(f"  complete up to tree size {safe(document.get('complete_to'))}")
    return common.EXIT_OK
