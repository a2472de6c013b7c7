"""Lines and progress bars of the quickstart: a live line on a terminal, plain lines in a pipe, nothing with ``--json``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

_WIDTH = 20


@dataclass(slots=True)
class Step:
    """One line being worked on; :meth:`update` moves its bar, ``note`` is what stands at its end."""

    screen: Screen
    name: str
    note: str = ""
    begun: float = field(default_factory=time.monotonic)

    def update(self, fraction: float, text: str) -> None:
        """Show how far the step is (0 to 1) and what it does."""
        self.screen.bar(self.name, fraction, text)


class Screen:
    """Everything the quickstart says on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._colour = self._live and "NO_COLOR" not in os.environ
        self._lock = Lock()

    @property
    def live(self) -> bool:
        """Whether a line may be rewritten."""
        return self._live

    def line(self, text: str = "") -> None:
        """Print one line."""
        if not self._quiet:
            with self._lock:
                sys.stderr.write(("\r\033[K" if self._live else "") + text + "\n")
                sys.stderr.flush()

    def fact(self, name: str, text: str) -> None:
        """Print a finished step."""
        self.line(f"  {name:<13} {text}")

    def bar(self, name: str, fraction: float, text: str) -> None:
        """Rewrite the live line; silent in a pipe."""
        if not self._live:
            return
        done = max(0, min(_WIDTH, int(fraction * _WIDTH)))
        with self._lock:
            sys.stderr.write(f"\r  {name:<13} {'█' * done}{'░' * (_WIDTH - done)} {text[:60]}\033[K")
            sys.stderr.flush()

    def strong(self, text: str, *, good: bool) -> str:
        """Colour a verdict on a terminal."""
        return f"\033[1;{32 if good else 31}m{text}\033[0m" if self._colour else text

    @contextmanager
    def step(self, name: str, *, always: bool = True) -> Iterator[Step]:
        """Time a step; print its line at the end, if it has something to say or took over half a second."""
        step = Step(self, name)
        yield step
        seconds = time.monotonic() - step.begun
        if step.note and (always or seconds > 0.5):
            self.fact(name, f"{step.note}  {seconds:.1f} s" if seconds >= 0.1 else step.note)
