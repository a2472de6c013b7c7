"""``reprove doctor``: what is wrong with this machine and this instance, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import click

from reprove import settings as settings_module
from reprove.cli.terminal import console, out, print_json, safe
from reprove.core.errors import OwnError, ReproveError
from reprove.settings import Settings
from workers.cli.checks import Row, Status, fail
from workers.cli.checks.host import check_disk, check_engine, check_environments, check_memory
from workers.cli.checks.state import check_clock, check_index, check_instance, check_keys, check_log, check_processes

EXIT_FAILED = 4
_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}

MACHINE: tuple[Callable[[Settings], Iterator[Row]], ...] = (check_engine, check_disk, check_memory, check_clock, check_instance)
"""What can be looked at before there is an instance; the last says whether there is one."""
INSTANCE: tuple[Callable[[Settings], Iterator[Row]], ...] = (check_environments, check_keys, check_processes, check_log, check_index)


@click.command(name="doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Look at engine, sandbox, disk, clock, index, keys and processes: what is wrong and what to do. Exit 0 when nothing fails, else 4."""
    rows: list[Row] = []
    for row in _diagnose():
        rows.append(row)
        if not as_json:
            _show(row)
    worst = max((list(Status).index(row.status) for row in rows), default=0)
    if as_json:
        print_json({"kind": "doctor", "status": str(list(Status)[worst]), "checks": [row.as_json() for row in rows]})
    return EXIT_FAILED if list(Status)[worst] is Status.FAIL else 0


def _diagnose() -> Iterator[Row]:
    try:
        settings = settings_module.load()
    except OwnError as error:
        yield fail("settings", str(error), "mend the file or the REPROVE_ variable that it names")
        return
    there = (settings.home / "instance").exists()
    for check in (*MACHINE, *(INSTANCE if there else ())):
        try:
            yield from check(settings)
        except (ReproveError, OSError) as error:
            yield fail(check.__name__.removeprefix("check_"), f"could not be looked at: {error}")


def _show(row: Row) -> None:
    """Print one row as it comes: some checks take seconds."""
    line = f"{row.status:<5}  {row.name:<16} {safe(row.detail, 300)}"
    out(line, _STYLES[row.status] if console(sys.stdout).is_terminal and row.status is not Status.OK else None)
    if row.remedy and row.status is not Status.OK:
        out(f"       {'':<16} remedy: {safe(row.remedy, 300)}")
