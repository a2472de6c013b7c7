"""``reprove env``: lock, make, list and remove environments, on the operator's machine."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from reprove import settings
from reprove.cli.terminal import console, out, print_json, safe, talk
from reprove.core.errors import ProblemError, Slug
from workers.environments import Environment, EnvironmentFaultError, EnvironmentStore, Spec, load_spec, lock_environment, make_environment
from workers.environments.values import Progress
from workers.sandbox import SandboxError, connect

UNUSED_DAYS = 30
PROGRESS_SECONDS = 0.5


@click.group(name="env", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Lock, make, list and remove the environments that builds run in."""


@command.command(name="lock")
@click.argument("spec", metavar="SPEC|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lock_command(spec: str, *, as_json: bool) -> None:
    """Resolve a spec from the signed package index anew and keep its packages; builds that start later use the new lock once it is made."""
    store, found = _store(), _spec(spec)
    started = time.monotonic()
    with _progress(found.name) as progress:
        lock = lock_environment(store, found, progress=progress)
    took = time.monotonic() - started
    if as_json:
        about = {"packages": len(lock.packages), "python": lock.python, "seconds": round(took, 1)}
        print_json({"kind": "environment", "name": found.name, "lock": lock.sha256, **about})
        return
    out(f"{found.name}  sha256:{lock.sha256}  {len(lock.packages)} packages, {took:.1f} s")
    made = store.find(found.name)
    if made is None or made.lock_sha256 != lock.sha256:
        talk(f"Locked, not made yet: reprove env make {found.name}")


@command.command(name="make")
@click.argument("names", nargs=-1, metavar="NAME")
@click.option("--all", "everything", is_flag=True, help="Every spec under deploy/environments.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def make_command(names: tuple[str, ...], *, everything: bool, as_json: bool) -> int:
    """Make environments: lock where there is no lock yet, layer, load archive. One that is made already takes no time."""
    if everything == bool(names):
        raise click.UsageError("name the environments to make, or --all")
    # a polite end: the tools below are ended with us and tidy up after themselves
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    store = _store()
    failed = 0
    for name in names or [path.stem for path in sorted(_specs_folder().glob("*.yaml"))]:
        started = time.monotonic()
        try:
            spec = _spec(name)
            with _progress(spec.name) as progress:
                made = make_environment(store, spec, progress=progress)
        except EnvironmentFaultError as error:
            if not everything:
                raise
            # one suite that the archive no longer has must not keep the others from being made
            talk(f"{name}: {safe(str(error))}")
            failed += 1
            continue
        lock = store.load_lock(made.lock_sha256)
        took = time.monotonic() - started
        if as_json:
            print_json({"kind": "environment", **_row(store, spec.name), "packages": len(lock.packages), "seconds": round(took, 1)})
        else:
            out(f"{spec.name}  sha256:{made.lock_sha256}  {len(lock.packages)} packages, image {made.image_config_digest[:12]}…, {took:.1f} s")
    return 4 if failed else 0


@command.command(name="list")
@click.option("--unused", is_flag=True, help=f"Only what is made and was not used for {UNUSED_DAYS} days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(*, unused: bool, as_json: bool) -> None:
    """List the specs of this release and what is made of them."""
    store = _store()
    specs = {path.stem for path in _specs_folder().glob("*.yaml")}
    rows = [_row(store, name) for name in sorted(specs | set(store.names()))]
    if unused:
        old = time.time() - UNUSED_DAYS * 86400
        rows = [row for row in rows if (found := store.find(str(row["name"]))) is not None and store.used(found) < old]
    if as_json:
        print_json({"kind": "environments", "items": rows})
        return
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.0f} MB, used {row['used']}" if "bytes" in row else ""
        lock = f"sha256:{str(row['lock'])[:12]}…" if "lock" in row else "-"
        out(f"{row['name']:<20} {row['state']:<10} {lock:<22} python {row.get('python', '-'):<6} {size}".rstrip())
    if unused and not rows:
        talk(f"Every environment that is made was used within {UNUSED_DAYS} days.")


@command.command(name="remove")
@click.argument("name")
def remove_command(name: str) -> None:
    """Remove an environment's archive. Its lock and packages stay, since statements name them: making it again gives the same bytes."""
    store = _store()
    with store.exclusively():
        found = store.find(name)
        if found is None:
            raise ProblemError(Slug.NOT_FOUND, f"environment {name[:64]} is not made here (reprove env list)")
        freed = store.forget(found)
    _unload(found)
    out(f"{found.name}  {freed / 1e6:.0f} MB freed; lock sha256:{found.lock_sha256[:12]}… and its packages stay (reprove env make {found.name})")


def _unload(found: Environment) -> None:
    """Let the engine forget the image too; an engine that is not there, or uses it at this moment, keeps it."""
    with contextlib.suppress(SandboxError), contextlib.closing(connect()) as client:
        client.call("DELETE", f"/images/sha256:{found.image_config_digest}")


def _store() -> EnvironmentStore:
    return EnvironmentStore(settings.load().home)


def _specs_folder() -> Path:
    configured = settings.load().deploy_dir
    return (configured or Path(__file__).resolve().parents[2] / "deploy") / "environments"


def _spec(name: str) -> Spec:
    """Read a spec by path, or by the name of one of this release's."""
    if "/" in name or name.endswith(".yaml"):
        return load_spec(Path(name))
    known = sorted(path.stem for path in _specs_folder().glob("*.yaml"))
    if name not in known:
        raise ProblemError(Slug.NOT_FOUND, f"no environment {name[:64]!r}; known are {', '.join(known) or 'none'}, or give a spec's path")
    return load_spec(_specs_folder() / f"{name}.yaml")


def _row(store: EnvironmentStore, name: str) -> dict[str, object]:
    row: dict[str, object] = {"name": name, "state": "not made"}
    lock = store.lock_of(name)
    if lock is None:
        return row
    row |= {"state": "locked", "lock": lock}
    made = store.find(name)
    if made is not None:
        used = datetime.fromtimestamp(store.used(made), UTC).strftime("%Y-%m-%d")
        # locked anew and not made yet: builds still use what was made before
        row |= {"state": "made" if made.lock_sha256 == lock else "older", "lock": made.lock_sha256}
        row |= {"image": made.image_config_digest, "python": made.python, "bytes": made.archive.stat().st_size, "used": used}
    return row


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """Show a bar on a terminal; in a pipe, a line ``<fraction> <text>`` at most every half second, for whoever shows it further."""
    if sys.stderr.isatty():
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn(name), BarColumn(30), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bars(*columns, console=console(sys.stderr), transient=True) as bars:
            task = bars.add_task("", total=1.0)
            yield lambda fraction, text: bars.update(task, completed=fraction, description=safe(text, 60))
        return
    last = 0.0

    def line(fraction: float, text: str) -> None:
        nonlocal last
        if fraction >= 1 or time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            sys.stderr.write(f"{fraction:.2f} {safe(text, 100)}\n")
            sys.stderr.flush()

    yield line
