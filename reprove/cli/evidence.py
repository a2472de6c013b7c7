"""``reprove evidence``: the offline bundle of an attestation, a rebuild, a decision or an artifact."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import click

from reprove.cli import common
from reprove.cli.show import digest_of
from reprove.cli.terminal import print_json, safe, talk
from reprove.client import EVIDENCE, Client
from reprove.core.errors import ProblemError, Slug
from reprove.problems import Json

COMPARISON = "urn:reprove:predicate:comparison:v0.1"
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@click.command()
@click.argument("what", metavar="ID|FILE|sha256:…")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file (default: standard output).")
@common.service
def command(what: str, *, client: Client, output: Path | None, as_json: bool) -> int:
    """Fetch the evidence of an attestation, a rebuild or a decision; for an artifact: of its newest comparison.

    Check it anywhere:  reprove verify FILE --evidence evidence.json --trust trust.json
    """
    data, subject = _evidence(client, what)
    if output is None:
        sys.stdout.buffer.write(data if not as_json else data + b"\n")
        sys.stdout.buffer.flush()
        return common.EXIT_OK
    _write(output, data)
    if as_json:
        print_json({"kind": "evidence-file", "file": str(output), "bytes": len(data)})
    talk(f"Wrote {safe(output)} ({len(data):,} bytes).  reprove verify {subject} --evidence {safe(output)}")
    return common.EXIT_OK


def _evidence(client: Client, what: str) -> tuple[bytes, str]:
    """The bytes, and what to call the file that they are about."""
    if what.startswith("dec-"):
        return client.decision(what, EVIDENCE).body, "FILE"
    if what.startswith("rb-"):
        document = client.rebuild(what)
        return client.attestation(_comparison(document.get("attestations", []), what), EVIDENCE), _file(document)
    if _HEX.match(what):
        return client.attestation(what, EVIDENCE), "FILE"
    digest = what.removeprefix("sha256:") if what.startswith("sha256:") else digest_of(Path(what))
    outcomes = sorted(client.artifact(digest).get("outcomes", []), key=lambda item: int(item.get("logIndex", 0)), reverse=True)
    return client.attestation(_comparison(outcomes, what), EVIDENCE), "FILE" if what.startswith("sha256:") else safe(what)


def _comparison(rows: list[Json], what: str) -> str:
    for row in rows:
        if row.get("predicateType") == COMPARISON:
            return str(row["id"])
    raise ProblemError(Slug.NOT_FOUND, f"{what[:100]} has no logged comparison (yet)")


def _file(document: Json) -> str:
    original = document.get("original")
    return safe(original.get("file", "FILE")) if isinstance(original, dict) else "FILE"


def _write(path: Path, data: bytes) -> None:
    """Write beside, then replace: a reader never sees half a file, and a failure leaves the old one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".evidence-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
