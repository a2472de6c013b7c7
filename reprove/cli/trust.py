"""``reprove trust``: what this reader believes. Keys come in by fingerprint only, never because a service or an evidence file offers them."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import click

from reprove.cli.terminal import error_line, out, print_json, safe, talk
from reprove.core.digests import parse_sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.times import format_time
from reprove.core.trust import MAX_TRUST_BYTES, TrustedKey, TrustFile, parse_trust

EXIT_INFRASTRUCTURE = 4
_TIMEOUT_SECONDS = 15


def own_path() -> Path:
    """Where ``trust add`` keeps what this user believes, unless told otherwise."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reprove" / "trust.json"


def chosen_trust(path: Path | None) -> TrustFile | None:
    """Read the trust file that was chosen: the option, ``REPROVE_TRUST``, or the user's own; None when there is none.

    A file that was named must be readable (OSError) and a trust file (ProblemError).
    """
    named = path or (Path(os.environ["REPROVE_TRUST"]) if os.environ.get("REPROVE_TRUST") else None)
    if named is None and not own_path().exists():
        return None
    return _read(named or own_path())


@click.group("trust")
def command() -> None:
    """Say whose keys you believe: verify and gate count nobody else."""


@command.command("add")
@click.argument("source", metavar="URL|FILE")
@click.option("--fingerprint", metavar="sha256:HEX", help="What the operator says the file's fingerprint is, over another channel.")
@click.option("--trust", "path", type=click.Path(path_type=Path), help="Trust file to add to (default: REPROVE_TRUST, else your own).")
def add(source: str, fingerprint: str | None, path: Path | None) -> int:
    """Add an operator's keys, if their file has the FINGERPRINT that the operator told you."""
    target = path or (Path(os.environ["REPROVE_TRUST"]) if os.environ.get("REPROVE_TRUST") else own_path())
    try:
        offered = parse_trust(_fetch(source))
        if fingerprint is None:
            error_line(f"Not added. What {source} offers has fingerprint sha256:{offered.fingerprint}.")
            talk("Compare it with what the operator says elsewhere, then repeat with --fingerprint.")
            return 2
        wanted = parse_sha256(fingerprint.removeprefix("sha256:"))
        if offered.fingerprint != wanted:
            error_line(f"Not added: {source} offers a trust file with fingerprint sha256:{offered.fingerprint}, you expect sha256:{wanted}.")
            return 1
        merged = _read(target).merged(offered) if target.exists() else offered
    except OSError as error:
        error_line(f"{source}: {getattr(error, 'reason', None) or error.strerror or error}")
        return EXIT_INFRASTRUCTURE
    _write(target, merged)
    if merged.quorum != offered.quorum:
        talk(f"The higher quorum holds for all: {merged.quorum} of {len(merged.witnesses)} witnesses must have cosigned.")
    out(f"Added {', '.join(safe(one.name) for one in offered.operators)} to {target}  sha256:{merged.fingerprint}")
    return 0


@command.command("show")
@click.option("--trust", "path", type=click.Path(path_type=Path), help="Trust file (default: REPROVE_TRUST, else your own).")
@click.option("--json", "as_json", is_flag=True, help="Print the file itself.")
def show(path: Path | None, *, as_json: bool) -> int:
    """Show what you believe, with the fingerprint to compare."""
    try:
        trust = chosen_trust(path)
    except OSError as error:
        error_line(f"{error.filename}: {error.strerror}")
        return EXIT_INFRASTRUCTURE
    if trust is None:
        error_line("You trust nobody yet: reprove trust add URL --fingerprint sha256:…")
        return 1
    if as_json:
        print_json(trust.as_json())
        return 0
    out(f"fingerprint  sha256:{trust.fingerprint}")
    for log in trust.logs:
        out(f"log          {safe(log.origin)}  key {log.vkey.key_hash.hex()}")
    out(f"witnesses    {trust.quorum} of {len(trust.witnesses)}: {', '.join(safe(vkey.name) for vkey in trust.witnesses) or 'none'}")
    for operator in trust.operators:
        out(f"operator     {safe(operator.name)}")
        for role, rows in (("attester", operator.attesters), ("worker", operator.workers), ("resolver", operator.resolvers)):
            for row in rows:
                out(f"  {role:<10} {row.key.fingerprint[:16]}…  {_window(row)}")
    return 0


def _window(row: TrustedKey) -> str:
    text = f"from {format_time(row.valid_from)}"
    if row.until is not None:
        text += f" until {format_time(row.until)}"
    return text if row.compromised_since is None else f"{text}, COMPROMISED since {format_time(row.compromised_since)}"


def _read(path: Path) -> TrustFile:
    with path.open("rb") as stream:
        return parse_trust(stream.read(MAX_TRUST_BYTES + 1))


def _fetch(source: str) -> bytes:
    """Read a file, or ``<URL>/trust.json``; what comes is worth nothing until its fingerprint is compared."""
    if "://" not in source:
        with Path(source).open("rb") as stream:
            return stream.read(MAX_TRUST_BYTES + 1)
    if not source.startswith(("https://", "http://")):
        raise ProblemError(Slug.INVALID_REQUEST, "an address begins with https:// or http://")
    address = source if source.endswith(".json") else f"{source.rstrip('/')}/trust.json"
    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # the scheme was checked above
        return bytes(answer.read(MAX_TRUST_BYTES + 1))


def _write(path: Path, trust: TrustFile) -> None:
    """Replace the file in one step: a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(trust.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
