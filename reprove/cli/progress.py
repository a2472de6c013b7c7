"""Following a rebuild: a live line per phase on a terminal, plain lines in a pipe; on standard error, since it is talk.

:func:`follow` is also what the quickstart shows. The screen is fed by the rebuild's events; lines of the build log can be shown below.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from reprove.cli.terminal import console, safe, seconds
from reprove.client import Client
from reprove.core.errors import ReproveError
from reprove.core.states import Phase
from reprove.problems import Json

BAR_AFTER_SECONDS = 2.0
SHOWN_WAIT_SECONDS = 1.0
"""A shorter wait leaves no line behind."""
LOG_LINES = 5
LOG_SECONDS = 0.7
_DOING: dict[str, str] = {
    Phase.RESOLVE: "which bytes are the original, which are the source",
    Phase.WAIT: "waiting",
    Phase.RECIPE: "how it was built",
    Phase.FETCH: "what the build reads",
    Phase.BUILD: "building without network",
    Phase.COMPARE: "comparing with the original",
    Phase.REPORT: "storing and signing the report",
    Phase.ATTEST: "signing and logging the outcome",
}


@dataclass(slots=True)
class Step:
    """One line of progress: a phase (of one candidate), what is known of it, and how long it took."""

    phase: str
    detail: str = ""
    candidate: int | None = None
    started: float = field(default_factory=time.monotonic)
    took: float | None = None
    failed: bool = False

    @property
    def label(self) -> str:
        """The phase, with the candidate's number from the second one on."""
        return f"{self.phase} {self.candidate}" if self.candidate and self.candidate > 1 else self.phase


class Steps:
    """The lines so far, made of events and of the rebuild's own state; answers which steps are new or have ended."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @property
    def running(self) -> Step | None:
        """The last step, while it has not ended."""
        return self.steps[-1] if self.steps and self.steps[-1].took is None else None

    def event(self, event: Json) -> Step | None:
        """Take in one event; gives the step when the event ended it."""
        phase, status = safe(event.get("phase", ""), 20), event.get("status")
        candidate = event.get("candidate") if isinstance(event.get("candidate"), int) else None
        detail = safe(event.get("detail", ""), 400)
        step = next((one for one in reversed(self.steps) if one.took is None and one.phase == phase and one.candidate in (None, candidate)), None)
        if step is None:
            self.end()
            step = Step(phase, candidate=candidate)
            self.steps.append(step)
        step.detail, step.candidate = detail or step.detail, candidate
        if status not in ("done", "failed"):
            return None
        told = event.get("seconds")
        step.took = float(told) if isinstance(told, (int, float)) else time.monotonic() - step.started
        step.failed = status == "failed"
        return step

    def phase(self, phase: str, detail: str) -> None:
        """Take in a phase that no event has announced: waiting in the queue, attesting."""
        running = self.running
        if running is None or running.phase != phase:
            self.end()
            self.steps.append(Step(phase, detail))
        elif detail:
            running.detail = detail

    def end(self) -> Step | None:
        """End what is running."""
        step = self.running
        if step is not None:
            step.took = time.monotonic() - step.started
        return step


class Screen(Protocol):
    """Where progress is shown."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def state(self, rebuild: Json) -> None:
        """Show that the rebuild has changed."""

    def events(self, events: Iterable[Json]) -> None:
        """Show new events, in order."""

    def log(self, text: str) -> None:
        """Show more of the build log."""


class PlainScreen:
    """One line when a step ends; nothing moves and nothing is coloured."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._out = console(sys.stderr)
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def state(self, rebuild: Json) -> None:
        """Say what is waited for, once for each reason: a position that changes is not news."""
        waiting = rebuild.get("waiting")
        reason = safe(waiting.get("reason"), 60) if isinstance(waiting, dict) else ""
        if reason and reason != self._said:
            self._out.print(Text(f"  {'wait':<10} {waiting_text(rebuild)}"))
        self._said = reason or self._said

    def events(self, events: Iterable[Json]) -> None:
        """Print each step that ended."""
        for event in events:
            step = self._steps.event(event)
            if step is not None and step.phase != Phase.WAIT:
                what = step.detail or _DOING.get(step.phase, "")
                self._out.print(Text(f"  {step.label:<10} {'failed: ' if step.failed else ''}{what}  {seconds(step.took or 0.0)}"))

    def log(self, text: str) -> None:
        """The log is not shown in a pipe; ``reprove logs -f`` is for that."""


class LiveScreen:
    """The lines so far with a spinner on the running one, a bar under it after two seconds, and the log's last lines."""

    def __init__(self, *, show_log: bool = True) -> None:
        self._steps = Steps()
        self._show_log = show_log
        self._log: list[str] = []
        self._live = Live(console=console(sys.stderr), refresh_per_second=8, get_renderable=self._render, transient=False)
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._steps.end()
        self._log.clear()
        self._live.stop()

    @property
    def building(self) -> bool:
        """Whether a build runs, whose log is worth reading."""
        running = self._steps.running
        return running is not None and running.phase == Phase.BUILD

    def state(self, rebuild: Json) -> None:
        """Show what is waited for, and the attester's work, which sends no events."""
        waiting = waiting_text(rebuild)
        if waiting:
            self._steps.phase(Phase.WAIT, waiting)
        elif rebuild.get("state") == "attesting":
            self._steps.phase(Phase.ATTEST, "")

    def events(self, events: Iterable[Json]) -> None:
        """Show new events."""
        for event in events:
            self._steps.event(event)
            if event.get("phase") != Phase.BUILD:
                self._log.clear()

    def log(self, text: str) -> None:
        """Keep the last lines of the build log."""
        lines = [safe(line, 400) for line in text.splitlines() if line.strip()]
        self._log = [*self._log, *lines][-LOG_LINES:]

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        rows: list[RenderableType] = [table]
        running = self._steps.running
        for step in self._steps.steps:
            if step.phase == Phase.WAIT and step.took is not None and step.took < SHOWN_WAIT_SECONDS:
                continue
            took = time.monotonic() - step.started if step.took is None else step.took
            detail = step.detail or _DOING.get(step.phase, "")
            style = "red" if step.failed else "bold" if step is running else ""
            mark: RenderableType = self._spinner if step is running else Text("x" if step.failed else " ")
            lead = Table.grid(padding=(0, 1))
            lead.add_row(mark, Text(f"{step.label:<10}", style=style))
            table.add_row(lead, Text(detail), Text(seconds(took), style="dim"))
        if running is not None and time.monotonic() - running.started > BAR_AFTER_SECONDS:
            bar = Table.grid()
            bar.add_row(ProgressBar(total=None, pulse=True, width=60, animation_time=time.monotonic()))
            rows.append(bar)
            rows.extend(Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._log if self._show_log)
        return Group(*rows)


def waiting_text(rebuild: Json) -> str:
    """Why nothing happens to the rebuild at the moment, or an empty string."""
    waiting = rebuild.get("waiting")
    if isinstance(waiting, dict):
        detail, reason = safe(waiting.get("detail") or "", 300), safe(waiting.get("reason", ""), 60)
        return f"{'queued' if reason == 'queue' else reason}{f': {detail}' if detail else ''}"
    return "queued" if rebuild.get("state") == "queued" else ""


def screen(*, quiet: bool = False) -> Screen:
    """The screen that standard error deserves."""
    return LiveScreen() if sys.stderr.isatty() and not quiet else PlainScreen()


def follow(client: Client, identifier: str, *, until: float | None = None, shown: Screen | None = None) -> Json:
    """Follow a rebuild to its end, or until ``until`` (``time.monotonic``), on a screen; gives its last state."""
    state: Json = {}
    seen = 0
    with shown or screen() as view, _Tail(client, identifier, view):
        for state in client.follow(identifier, until=until):
            view.state(state)
            events = client.events(identifier, after=seen)
            view.events(events)
            seen = max([seen, *(int(event.get("n", 0)) for event in events)])
    return state


class _Tail:
    """Feeds the build log to a live screen from a thread of its own, since the main one sits in a long poll."""

    def __init__(self, client: Client, identifier: str, view: Screen) -> None:
        self._client, self._identifier, self._view = client, identifier, view
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)

    def __enter__(self) -> None:
        if isinstance(self._view, LiveScreen):
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _run(self) -> None:
        offset = 0
        while not self._stop.wait(LOG_SECONDS):
            if not (isinstance(self._view, LiveScreen) and self._view.building):
                continue
            try:
                part = self._client.log(self._identifier, offset)
            except ReproveError:
                continue  # no log yet, or no answer: the main thread reports what lasts
            self._view.log(part.data.decode("utf-8", "replace"))
            offset = part.end
