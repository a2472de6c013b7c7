"""What reaches a terminal: untrusted text made harmless, consoles that respect NO_COLOR and pipes, sizes and times with units.

Standard output is data, standard error is talk (INTERFACE section 2). Names, details and logs come from packages and registries: a control
character or a bidirectional override in one could rewrite the line that says DENY, so every character that is not printable is shown escaped.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

MAX_FIELD = 2000


def safe(text: object, limit: int = MAX_FIELD) -> str:
    """Show one line of untrusted text: non-printable characters by their number, no line breaks, at most ``limit`` characters."""
    plain = text if isinstance(text, str) else str(text)
    shown = plain if len(plain) <= limit else plain[:limit] + "…"
    return shown if shown.isprintable() else "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in shown)


def safe_lines(text: str) -> str:
    """Like :func:`safe` for log text: line feeds and tabs stay, a carriage return before a line feed goes."""
    return "\n".join("\t".join(safe(part, len(part)) for part in line.removesuffix("\r").split("\t")) for line in text.split("\n"))


def console(stream: TextIO) -> Console:
    """A console for ``stream``: colours only on a terminal without NO_COLOR; no mark-up, no guessing at what text means."""
    terminal = stream.isatty()
    return Console(
        file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True, no_color=None if terminal else True, force_terminal=terminal
    )


def out(line: str = "", style: str | None = None) -> None:
    """Print one line of data."""
    console(sys.stdout).print(Text(line, style=style or ""))


def talk(line: str = "", style: str | None = None) -> None:
    """Print one line of talk."""
    console(sys.stderr).print(Text(line, style=style or ""))


def error_line(message: str, slug: str = "") -> None:
    """The one line of a bad end, with its slug."""
    text = Text(safe(message))
    if slug:
        text.append(f"  {slug}", style="dim")
    console(sys.stderr).print(text)


def print_json(document: Any) -> None:  # noqa: ANN401  # any JSON value
    """Print a document for programs: two spaces, ASCII only, so that no text of a package reaches the terminal as it is."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def short(digest: str | None, length: int = 12) -> str:
    """A digest for the eye: ``sha256:9c1e…``."""
    return f"sha256:{safe(digest)[:length]}…" if digest else "-"


def seconds(value: float) -> str:
    """A duration with its unit."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
