"""``reprove search``: attestations by digest, package, outcome, input …, complete up to a stated tree size."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from reprove.cli import common, render
from reprove.cli.show import digest_of
from reprove.cli.terminal import out, print_json, talk
from reprove.client import Client
from reprove.problems import Json


@click.command()
@click.option("--digest", metavar="sha256:…|FILE", help="Subject, or what was rebuilt.")
@click.option("--purl", help="Package URL, whole or without version.")
@click.option("--outcome", help="Comparisons with this outcome.")
@click.option("--level", help="Comparisons that reached this level.")
@click.option("--operator", help="By this operator.")
@click.option("--worker", metavar="HEX", help="By the worker whose key has this SHA-256.")
@click.option("--input", "input_", metavar="sha256:…", help="Builds that read this input.")
@click.option("--environment", metavar="HEX", help="Builds in the environment with this lock digest.")
@click.option("--source", metavar="URI|sha256:…", help="Builds from this source.")
@click.option("--since", metavar="TIME", help="Logged since: RFC 3339, or an age such as 7d.")
@click.option("--until", metavar="TIME", help="Logged before: RFC 3339, or an age.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="At most this many.")
@common.service
def command(client: Client, *, as_json: bool, limit: int, **given: str | None) -> int:
    """Search the attestations that are in the log; the newest first."""
    now = datetime.now(UTC)
    filters: dict[str, str] = {name.rstrip("_"): value for name, value in given.items() if value}
    for name in ("since", "until"):
        if name in filters:
            filters[name] = common.instant(filters[name], now)
    if "digest" in filters and not filters["digest"].startswith("sha256:"):
        from pathlib import Path

        filters["digest"] = f"sha256:{digest_of(Path(filters['digest']))}"
    items: list[Json] = []
    complete_to, more = None, False
    for page in client.attestations(filters, limit=min(limit, 200)):
        # an answer over several pages is complete only up to where its first page was
        complete_to = page.get("complete_to") if complete_to is None else complete_to
        items.extend(page.get("items", []))
        more = bool(page.get("next"))
        if len(items) >= limit:
            more = more or len(items) > limit
            break
    if as_json:
        print_json({"kind": "attestations", "items": items[:limit], "next": None, "complete_to": complete_to, "truncated": more})
        return common.EXIT_OK
    for item in items[:limit]:
        render.attestation(item)
    out(f"{len(items[:limit])} attestations, complete up to tree size {complete_to}") if not more else talk(f"The first {limit}; --limit shows more.")
    return common.EXIT_OK
