"""What reaches a terminal: untrusted text made harmless, consoles that respect NO_COLOR and pipes, sizes and times with units.

Standard output is data, standard error is talk (INTERFACE section 2). Names, details and logs come from packages and registries: a control
character or a bidirectional override in one could rewrite the line that says DENY, so every character that is not printable is shown escaped.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console  # takes time to load, and a pipe needs none of it

MAX_FIELD = 2000
_STYLES = {
    "reproduced": "bold green",
    "differs": "bold red",
    "ambiguous-archive": "bold red",
    "allow": "bold green",
    "deny": "bold red",
    "pending": "bold yellow",
}


def style_of(word: object) -> str:
    """The colour of an outcome or verdict; what ended without one is yellow."""
    return _STYLES.get(str(word), "bold yellow")


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
    from rich.console import Console

    terminal = stream.isatty()
    return Console(
        file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True, no_color=None if terminal else True, force_terminal=terminal
    )


def out(line: str = "", style: str | None = None) -> None:
    """Print one line of data."""
    _line(sys.stdout, line, style)


def talk(line: str = "", style: str | None = None) -> None:
    """Print one line of talk."""
    _line(sys.stderr, line, style)


def error_line(message: str, slug: str = "") -> None:
    """The one line of a bad end, with its slug."""
    if not sys.stderr.isatty():
        _line(sys.stderr, f"{safe(message)}{f'  {slug}' if slug else ''}", None)
        return
    from rich.text import Text

    text = Text(safe(message))
    if slug:
        text.append(f"  {slug}", style="dim")
    console(sys.stderr).print(text)


def _line(stream: TextIO, line: str, style: str | None) -> None:
    """One line, with its style on a terminal and as it is in a pipe."""
    if not stream.isatty():
        stream.write(f"{line}\n")
        return
    from rich.text import Text

    console(stream).print(Text(line, style=style or ""))


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
