"""``reprove log fsck FOLDER|URL``: check that a log is whole, under a checkpoint by keys that you trust."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from reprove.cli.terminal import error_line, out, print_json, talk
from reprove.cli.trust import chosen_trust
from reprove.core.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from reprove.core.errors import ProblemError, VerificationError
from reprove.core.notes import VKey, parse_note, parse_vkey
from service.log.fsck import Report, check_folder, check_log
from service.log.remote import RemoteLog

EXIT_BROKEN = 1
EXIT_USAGE = 2


@click.group("log")
def command() -> None:
    """Check the transparency log."""


@command.command("fsck")
@click.argument("place", metavar="FOLDER|URL")
@click.option("--trust", "trust_path", type=click.Path(path_type=Path), help="Trust file (default: REPROVE_TRUST, else your own).")
@click.option("--vkey", "vkey_text", help="The log's verifier key, in place of a trust file.")
@click.option("--since", "since_path", type=click.Path(path_type=Path), help="An older checkpoint that the log must extend.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fsck(place: str, trust_path: Path | None, vkey_text: str | None, since_path: Path | None, *, as_json: bool) -> int:
    """Hash every entry of a log again and recompute every tile and the root; exit 0 when nothing is wrong, 1 else."""
    remote = RemoteLog(place) if place.startswith(("http://", "https://")) else None
    try:
        note = remote.read("checkpoint") if remote else _local(Path(place) / "checkpoint")
        if note is None:
            error_line(f"{place} holds no checkpoint: name the folder log/ of a state folder, a copy of it, or the URL of a log")
            return EXIT_USAGE
        log, witnesses, quorum = _keys(note, trust_path, vkey_text)
        since = _older(since_path, log) if since_path else None
    except OSError as error:
        error_line(f"{error.filename}: {error.strerror}")
        return EXIT_USAGE
    except (ProblemError, VerificationError) as error:
        error_line(str(error))
        return EXIT_USAGE
    if remote:
        report = check_log(remote.read, log=log, witnesses=witnesses, quorum=quorum, since=since, progress=_progress())
        remote.close()
    else:
        report = check_folder(Path(place), log=log, witnesses=witnesses, quorum=quorum, since=since, progress=_progress())
    if as_json:
        print_json(_document(report, signed=log is not None))
    else:
        _print(report, log)
    return 0 if report.sound else EXIT_BROKEN


def _local(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _keys(note: bytes, trust_path: Path | None, vkey_text: str | None) -> tuple[VKey | None, tuple[VKey, ...], int]:
    """Choose the keys: the one given, else those that the trust file has for the origin that the log shows."""
    if vkey_text is not None:
        return parse_vkey(vkey_text), (), 0
    trust = chosen_trust(trust_path)
    if trust is None:
        return None, (), 0
    try:
        origin = parse_checkpoint(parse_note(note).text).origin
    except ProblemError:
        origin = ""
    log = next((one.vkey for one in trust.logs if one.origin == origin), trust.logs[0].vkey if trust.logs else None)
    return log, trust.witnesses, trust.quorum


def _older(path: Path, log: VKey | None) -> Checkpoint:
    note = path.read_bytes()
    return open_checkpoint(note, log).checkpoint if log else parse_checkpoint(parse_note(note).text)


def _progress() -> Callable[[int, int], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(done: int, size: int) -> None:
        click.echo(f"\r{done} of {size} entries", nl=done == size, err=True)

    return show


def _document(report: Report, *, signed: bool) -> dict[str, object]:
    return {
        "kind": "log-check",
        "origin": report.origin,
        "size": report.size,
        "files": report.files,
        "ahead": report.ahead,
        "signature_checked": signed,
        "cosigned": [{"witness": name, "time": time} for name, time in report.cosigned],
        "sound": report.sound,
        "problems": list(report.problems),
    }


def _print(report: Report, log: VKey | None) -> None:
    for problem in report.problems:
        out(problem)
    verdict = "SOUND" if report.sound else "BROKEN"
    out(f"{verdict}   log {report.origin} size {report.size}, {report.files} files checked, {len(report.cosigned)} witnesses")
    if report.ahead:
        talk(f"{report.ahead} files beyond the checkpoint: a batch that is committed and not yet published")
    if log is None:
        talk("The checkpoint's signatures were not checked: give --trust FILE or --vkey KEY.")
