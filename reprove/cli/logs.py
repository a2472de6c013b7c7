"""``reprove logs``: a rebuild's build log, running or final."""

from __future__ import annotations

import sys
import time

import click

from reprove.cli import common
from reprove.cli.terminal import print_json, safe_lines, talk
from reprove.client import Client, LogPart
from reprove.core.errors import Slug
from reprove.problems import ServiceError

POLL_SECONDS = 1.0


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the log ends.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are; by default control characters are shown escaped.")
@common.service
def command(identifier: str, *, client: Client, follow: bool, raw: bool, as_json: bool) -> int:
    """Print the build log of a rebuild (the transparency log is `reprove log`)."""
    offset, pending = 0, b""
    whole: list[str] = []
    try:
        while True:
            part = _part(client, identifier, offset, wait=follow)
            if part is not None:
                offset = part.end
                pending = _show(pending + part.data, raw=raw, last=part.complete or not follow, whole=whole if as_json else None)
                if part.complete or (not follow and not part.data):
                    break
                if part.data:
                    continue
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        talk(f"Detached; the rebuild goes on. To stop it:  reprove cancel {identifier}")
        return 130
    if as_json:
        print_json({"kind": "log", "rebuild": identifier, "text": "".join(whole)})
    return common.EXIT_OK


def _part(client: Client, identifier: str, offset: int, *, wait: bool) -> LogPart | None:
    """The next piece; None while there is no log yet and we are following a rebuild that may still get one."""
    try:
        return client.log(identifier, offset)
    except ServiceError as error:
        if not wait or error.problem is None or error.problem.slug is not Slug.NOT_FOUND:
            raise
        if client.rebuild(identifier).get("state") in ("done", "rejected", "cancelled"):
            raise
        return None


def _show(data: bytes, *, raw: bool, last: bool, whole: list[str] | None) -> bytes:
    """Print whole lines, return the unfinished rest; a line of more than 64 KiB is cut there."""
    cut = len(data) if last or raw or len(data) > 65536 else data.rfind(b"\n") + 1
    if raw and whole is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return b""
    text = safe_lines(data[:cut].decode("utf-8", "replace"))
    if whole is not None:
        whole.append(text)
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    return data[cut:]
