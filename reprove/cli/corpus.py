"""``reprove corpus``: rebuild a list of published wheels through the service and count what came out."""

from __future__ import annotations

import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from reprove.cli import common
from reprove.cli.corpus_table import summary
from reprove.cli.terminal import console, print_json, safe, seconds, talk
from reprove.client import Client
from reprove.core.canonical import parse
from reprove.core.errors import ProblemError, ReproveError, Slug
from reprove.core.purls import Purl, parse_purl
from reprove.problems import Json

MAX_FILE_BYTES = 64 * 1024**2
MAX_WHEELS = 100_000
_ENDED = ("done", "rejected", "cancelled")


@dataclass(frozen=True, slots=True)
class Wheel:
    """What the run sees of a row: project, version and file name, nothing that could help a build."""

    project: str
    version: str
    name: str

    @property
    def purl(self) -> Purl:
        """The file as a package URL."""
        return parse_purl(f"pkg:pypi/{self.project}@{self.version}").with_file(self.name)


@click.group("corpus")
def command() -> None:
    """Rebuild lists of published artifacts and count the outcomes."""


@command.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Rebuilds that are waited for at the same time.")
@click.option("--out", "output", type=click.Path(path_type=Path), help="Write each result here as it comes (default: FILE with .results.json).")
@click.option("--resume", is_flag=True, help="Go on with what the output file does not have yet.")
@click.option("--force", is_flag=True, help="Rebuild although a recent outcome could be shared.")
@common.service
def run(  # one parameter per option
    file: Path, *, client: Client, workers: int, output: Path | None, resume: bool, force: bool, as_json: bool
) -> int:
    """Rebuild every wheel of FILE, a JSON list of objects with project, version and wheel (its file name)."""
    wheels = read_corpus(file)
    target = output or file.with_suffix(".results.json")
    results = Results(target, resume=resume)
    todo = [wheel for wheel in wheels if not results.ended(wheel)]
    talk(f"{len(wheels)} wheels, {len(wheels) - len(todo)} already there, {workers} at a time; results in {safe(target)}")
    began = time.monotonic()
    try:
        _run_all(client, todo, results, workers=workers, force=force)
    except KeyboardInterrupt:
        results.save()
        talk("Interrupted; the rebuilds under way go on. To go on here: the same command with --resume.")
        return 130
    rows = results.of(wheels)
    if as_json:
        print_json({"kind": "corpus", "wheels": rows, "seconds": round(time.monotonic() - began, 1)})
    else:
        summary(rows, time.monotonic() - began if todo else None)
    return common.EXIT_OK if all(row.get("state") in _ENDED for row in rows) else common.EXIT_INFRASTRUCTURE


def read_corpus(file: Path) -> list[Wheel]:
    """Read a list of wheels; other members of a row are not looked at. Raises ``invalid-request`` with the row."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    rows = parse(data, max_bytes=MAX_FILE_BYTES, what=str(file))
    if not isinstance(rows, list) or len(rows) > MAX_WHEELS:
        raise ProblemError(Slug.INVALID_REQUEST, f"{file} is not a JSON list of at most {MAX_WHEELS} objects")
    wheels: dict[Wheel, None] = {}
    for at, row in enumerate(rows):
        given = [row.get(key) for key in ("project", "version", "wheel")] if isinstance(row, dict) else []
        texts = [text for text in given if isinstance(text, str) and text]
        if len(texts) != 3:
            raise ProblemError(Slug.INVALID_REQUEST, f"row {at + 1} of {file} lacks project, version or wheel", pointer=f"/{at}")
        wheel = Wheel(*texts)
        _ = wheel.purl  # a row that names no file is told now, not after an hour
        wheels[wheel] = None
    return list(wheels)


class Results:
    """The output file: rewritten whole after each result, so that an interrupted run loses nothing. ``_rows`` is guarded by ``_lock``."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._rows: dict[str, Json] = {}
        if resume and path.exists():
            document = parse(path.read_bytes(), max_bytes=MAX_FILE_BYTES, what=str(path))
            rows = document.get("wheels") if isinstance(document, dict) else None
            if not isinstance(rows, list):
                raise ProblemError(Slug.INVALID_REQUEST, f"{path} is not the output of a corpus run")
            self._rows = {str(row["purl"]): row for row in rows if isinstance(row, dict) and "purl" in row}
        elif path.exists() and path.stat().st_size:
            raise ProblemError(Slug.INVALID_REQUEST, f"{path} exists: go on with --resume, or choose another --out")

    def ended(self, wheel: Wheel) -> bool:
        """Whether the wheel has a result."""
        with self._lock:
            return self._rows.get(str(wheel.purl), {}).get("state") in _ENDED

    def begun(self, wheel: Wheel) -> str | None:
        """The rebuild that an earlier run posted for the wheel."""
        with self._lock:
            found = self._rows.get(str(wheel.purl), {}).get("rebuild")
        return str(found) if found else None

    def put(self, wheel: Wheel, row: Json) -> None:
        """Keep a result and save all."""
        with self._lock:
            self._rows[str(wheel.purl)] = {"project": wheel.project, "version": wheel.version, "wheel": wheel.name, "purl": str(wheel.purl)} | row
        self.save()

    def save(self) -> None:
        """Write the file beside and replace it."""
        with self._lock:
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            temporary.write_text(json.dumps({"kind": "corpus", "wheels": list(self._rows.values())}, indent=1) + "\n")
            temporary.replace(self._path)

    def of(self, wheels: Iterable[Wheel]) -> list[Json]:
        """The rows in the order of the corpus; a wheel without result says so."""
        with self._lock:
            return [self._rows.get(str(wheel.purl), {"purl": str(wheel.purl), "state": "missing"}) for wheel in wheels]


def _run_all(client: Client, todo: list[Wheel], results: Results, *, workers: int, force: bool) -> None:
    """Keep ``workers`` rebuilds under way. The threads are daemons: an interrupt ends the command at once, not after their long polls."""
    waiting: queue.SimpleQueue[Wheel] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Wheel, Json]] = queue.SimpleQueue()
    for wheel in todo:
        waiting.put(wheel)

    def work() -> None:
        while True:
            try:
                wheel = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put((wheel, _one(client, wheel, results, force=force)))

    for number in range(min(workers, len(todo))):
        threading.Thread(target=work, name=f"corpus-{number + 1}", daemon=True).start()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    live = sys.stderr.isatty()
    with Progress(*columns, console=console(sys.stderr), disable=not live) as progress:
        task = progress.add_task("rebuilding", total=len(todo))
        for _ in todo:
            wheel, row = ended.get()
            progress.advance(task)
            line = f"{safe(_word(row)):<32} {safe(wheel.name)}  {seconds(float(row.get('total', 0)))}"
            progress.console.print(line) if live else talk(line)


def _one(client: Client, wheel: Wheel, results: Results, *, force: bool) -> Json:
    """Post one wheel (or go on with the rebuild that an earlier run posted), follow it, keep its row."""
    try:
        identifier = results.begun(wheel)
        if identifier is None:
            identifier = client.request_rebuild(str(wheel.purl), force=force)
            results.put(wheel, {"rebuild": identifier, "state": "posted"})
        last: Json = {}
        for document in client.follow(identifier):
            last = document
        row = row_of(last, client.events(identifier))
    except (ReproveError, KeyError, TypeError, ValueError) as error:
        # an answer that makes no sense ends one row, not the run; --resume tries it again
        row = {"state": "failed", "error": str(error)[:500]} | ({"rebuild": begun} if (begun := results.begun(wheel)) else {})
    results.put(wheel, row)
    return row


def row_of(document: Json, events: list[Json]) -> Json:
    """The row of a rebuild: outcome, level, cause, findings, backend, and seconds by phase (all candidates together)."""
    row: Json = {key: document[key] for key in ("state", "outcome", "level", "cause") if key in document}
    row["rebuild"] = document.get("id")
    row["findings"] = sorted({str(one.get("code")) for one in document.get("findings", [])})
    row["log_indexes"] = [one.get("logIndex") for one in document.get("attestations", [])]
    phases: dict[str, float] = {}
    for event in events:
        if event.get("status") in ("done", "failed") and isinstance(event.get("seconds"), (int, float)):
            phase = str(event.get("phase"))
            phases[phase] = round(phases.get(phase, 0.0) + float(event["seconds"]), 3)
    row["seconds"] = phases
    told = next((str(event.get("detail", "")) for event in events if event.get("phase") == "recipe" and event.get("status") == "done"), "")
    row["backend"] = backend_of(told)
    row["recipe"] = told
    if document.get("created") and document.get("finished"):
        row["total"] = round(_moment(document["finished"]) - _moment(document["created"]), 3)
    return row


def backend_of(recipe: str) -> str:
    """The build backend among a recipe's pins (``setuptools==40.6.2, wheel==0.32.3 on Python 3.9 …``); wheel only when nothing else is pinned."""
    pins = re.findall(r"([A-Za-z][A-Za-z0-9._-]{0,40})==", recipe)
    named = [pin.lower().replace("_", "-") for pin in pins]
    if "setuptools" in named:
        return "setuptools"
    return next((pin for pin in named if pin != "wheel"), named[0] if named else "unknown")


def _moment(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _word(row: Json) -> str:
    if row.get("state") == "done":
        cause = row.get("cause", {}).get("class")
        return str(row.get("level") or f"{row.get('outcome')}{f': {cause}' if cause else ''}")
    return str(row.get("error") or f"{row.get('state')}: {row.get('cause', {}).get('class', '')}")
