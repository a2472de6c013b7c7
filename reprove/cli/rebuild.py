"""``reprove rebuild PURL``: post a request, follow it, end with an exit code that a pipeline can act on."""

from __future__ import annotations

import time

import click

from reprove.cli import common, progress, render
from reprove.cli.terminal import out, print_json, safe, style_of, talk
from reprove.client import Client
from reprove.problems import Json


@click.command()
@click.argument("purl")
@click.option("--wait", is_flag=True, help="Follow until the outcome is there.")
@click.option("--policy", metavar="NAME", help="With --wait: decide by this policy; the exit code is the decision's.")
@click.option("--timeout", type=common.Duration(), metavar="TIME", help="Give up waiting after TIME (seconds, or 5m, 2h): exit code 3.")
@click.option("--force", is_flag=True, help="Rebuild although a recent outcome exists.")
@click.option("--max-age", metavar="TIME", help="Accept a shared outcome no older than this (default 30d).")
@common.service
def command(  # one parameter per option
    purl: str, *, client: Client, wait: bool, policy: str | None, timeout: float | None, force: bool, max_age: str | None, as_json: bool
) -> int:
    """Rebuild a published artifact from its source and compare.

    PURL names it: pkg:pypi/NAME@VERSION, or one file of it with ?file_name=….
    """
    if policy and not wait:
        raise click.UsageError("--policy needs --wait: there is nothing to decide on before the outcome")
    until = None if timeout is None else time.monotonic() + timeout
    accepted = client.request(purl, force=force, max_age=max_age)
    identifier = accepted.rebuild
    if not wait:
        return _accepted(client, identifier, as_json=as_json)
    talk(f"{identifier}  {safe(purl)}{'' if accepted.created else '  (shared: it was asked for before; --force makes a new one)'}")
    try:
        document = progress.follow(client, identifier, until=until)
    except KeyboardInterrupt:
        talk(f"Detached; the rebuild goes on. To stop it:  reprove cancel {identifier}")
        return 130
    decided = decide(client, policy, document, until) if policy and common.exit_of_rebuild(document) != common.EXIT_PENDING else None
    return _ended(document, decided, policy, as_json=as_json)


def decide(client: Client, policy: str, document: Json, until: float | None) -> Json | None:
    """Ask for the decision on a rebuild's original; None where nothing is there to decide on (rejected, cancelled)."""
    digest = document.get("original", {}).get("sha256") if isinstance(document.get("original"), dict) else None
    if document.get("state") != "done" or not digest:
        return None
    artifact = {"sha256": digest}
    decided = client.decide(policy, [artifact])
    return await_decision(client, decided, until)


def await_decision(client: Client, decided: Json, until: float | None) -> Json:
    """Wait while a decision is being signed, at most a minute: an unsigned one is never an answer."""
    deadline = min(until or float("inf"), time.monotonic() + 60)
    while decided.get("state") == "signing" and time.monotonic() < deadline:
        time.sleep(0.5)
        value = client.decision(str(decided.get("id"))).json()
        decided = value if isinstance(value, dict) else {}
    return decided


def _accepted(client: Client, identifier: str, *, as_json: bool) -> int:
    if as_json:
        print_json({"kind": "rebuild", **client.rebuild(identifier)})
        return common.EXIT_OK
    out(identifier)
    talk(f"Accepted. Follow it with  reprove show {identifier}")
    return common.EXIT_OK


def _ended(document: Json, decided: Json | None, policy: str | None, *, as_json: bool) -> int:
    code = common.exit_of_rebuild(document)
    if as_json:
        print_json({"kind": "rebuild", **document, **({"decision": decided} if decided is not None else {})})
    else:
        render.rebuild(document)
    if policy is None or code == common.EXIT_PENDING:
        return code
    if decided is None:
        return code if code != common.EXIT_OK else common.EXIT_INFRASTRUCTURE
    verdict = decided.get("verdict", decided.get("state"))
    if not as_json:
        out(f"{safe(verdict).upper()} by policy {safe(policy)}", style_of(verdict))
        for row in decided.get("artifacts", []):
            render.reasons(row)
    if verdict == "signing":
        return common.EXIT_PENDING
    # failures and lost infrastructure keep their own codes: deny would hide that nobody could look
    return code if verdict == "deny" and code in (common.EXIT_INFRASTRUCTURE, common.EXIT_NO_VERDICT) else common.exit_of_verdict(verdict)
