"""``reprove gate``: may this set ship? One signed decision for files, digests and purls."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from reprove.cli import common, render
from reprove.cli.rebuild import await_decision
from reprove.cli.show import digest_of
from reprove.cli.terminal import print_json, safe, talk
from reprove.client import Client
from reprove.problems import Json

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
ASK_AGAIN_SECONDS = 3.0


@click.command()
@click.option("--policy", default="default", show_default=True, metavar="NAME", help="The policy to apply, with the one the artifact is bound to.")
@click.option("--wait", is_flag=True, help="Ask again while rebuilds are under way.")
@click.option("--timeout", type=common.Duration(), metavar="TIME", help="With --wait: give up after TIME: exit code 3.")
@click.option("--no-waivers", is_flag=True, help="Decide as if there were no waivers.")
@click.option("--release", metavar="NAME", help="Name of the release, recorded in the decision.")
@click.argument("artifacts", nargs=-1, required=True, metavar="FILE|sha256:…|PURL …")
@common.service
def command(  # one parameter per option
    artifacts: tuple[str, ...],
    *,
    client: Client,
    policy: str,
    wait: bool,
    timeout: float | None,
    no_waivers: bool,
    release: str | None,
    as_json: bool,
) -> int:
    """Decide whether a set of artifacts may ship: allow 0, deny 1, pending 3."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait")
    until = None if timeout is None else time.monotonic() + timeout
    names: dict[str, str] = {}
    asked = [_artifact(text, names) for text in artifacts]
    try:
        document = _decide(client, policy, asked, wait=wait, until=until, release=release, waivers=not no_waivers)
    except KeyboardInterrupt:
        talk("Stopped waiting; nothing was decided.")
        return 130
    if as_json:
        print_json({"kind": "decision", **document})
    elif document.get("state") == "signing":
        talk(f"The decision is being signed and is no answer yet.  reprove show {safe(document.get('id', ''))}")
    else:
        render.decision(document, names=names)
    for waiver in document.get("waivers", []):
        talk(f"allowed by a waiver: {safe(waiver)}")
    return common.EXIT_PENDING if document.get("state") == "signing" else common.exit_of_verdict(document.get("verdict"))


def _decide(  # the question's parts
    client: Client, policy: str, asked: list[Json], *, wait: bool, until: float | None, release: str | None, waivers: bool
) -> Json:
    while True:
        document = await_decision(client, client.decide(policy, asked, release=release, waivers=waivers), until)
        over = until is not None and time.monotonic() + ASK_AGAIN_SECONDS > until
        if not wait or document.get("verdict") != "pending" or over:
            return document
        time.sleep(ASK_AGAIN_SECONDS)


def _artifact(text: str, names: dict[str, str]) -> Json:
    if text.startswith("pkg:"):
        return {"purl": text}
    match = _DIGEST.match(text)
    if match:
        return {"sha256": match[1]}
    digest = digest_of(Path(text))
    names[digest] = Path(text).name
    return {"sha256": digest}
