"""What every sub-command shares: the service option, exit codes of outcomes and verdicts, times and ages as text."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from reprove.client import from_environment
from reprove.core.outcomes import Outcome
from reprove.problems import Json

EXIT_OK = 0
EXIT_NO = 1
EXIT_USAGE = 2
EXIT_PENDING = 3
EXIT_INFRASTRUCTURE = 4
EXIT_NO_VERDICT = 6

_OF_OUTCOME = {
    Outcome.REPRODUCED: EXIT_OK,
    Outcome.DIFFERS: EXIT_NO,
    Outcome.AMBIGUOUS_ARCHIVE: EXIT_NO,
    Outcome.INCONCLUSIVE: EXIT_INFRASTRUCTURE,
    Outcome.BUILD_FAILED: EXIT_NO_VERDICT,
    Outcome.INPUT_UNAVAILABLE: EXIT_NO_VERDICT,
    Outcome.NOT_ATTEMPTABLE: EXIT_NO_VERDICT,
    Outcome.LIMIT_EXCEEDED: EXIT_NO_VERDICT,
}
_OF_VERDICT = {"allow": EXIT_OK, "deny": EXIT_NO, "pending": EXIT_PENDING}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(s|m|h|d)?\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """Seconds, or a number with s, m, h or d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  # click's signature
        """Read the text. Fails with a usage error."""
        if isinstance(value, (int, float)):
            return float(value)
        match = _DURATION.match(str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90, 90s, 5m, 2h or 30d", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


def service(command: Command) -> Command:
    """Give a command ``--url`` and ``--json`` and pass it ``client`` and ``as_json``."""

    @click.option("--url", metavar="URL", help="Address of the service (default: REPROVE_URL, else http://127.0.0.1:8710).")
    @click.option("--json", "as_json", is_flag=True, help="Print the service's JSON, with its kind.")
    @functools.wraps(command)
    def wrapped(*args: Any, url: str | None, as_json: bool, **options: Any) -> Any:  # noqa: ANN401  # click's own values
        return command(*args, client=from_environment(os.environ, url=url), as_json=as_json, **options)

    return wrapped  # type: ignore[return-value]  # the wrapper takes url and gives client: click sees only the former


def exit_of_rebuild(rebuild: Json) -> int:
    """The exit code of a terminal rebuild; rejected and cancelled ones have no verdict, a running one is pending."""
    state = rebuild.get("state")
    if state in ("rejected", "cancelled"):
        return EXIT_NO_VERDICT
    if state != "done":
        return EXIT_PENDING
    try:
        return _OF_OUTCOME[Outcome(str(rebuild.get("outcome")))]
    except ValueError:
        # an outcome that this client does not know is never a success
        return EXIT_INFRASTRUCTURE


def exit_of_verdict(verdict: object) -> int:
    """The exit code of a decision; anything but the word ``allow`` is no permission."""
    return _OF_VERDICT.get(str(verdict), EXIT_INFRASTRUCTURE)


def instant(text: str, now: datetime) -> str:
    """A point in time for a filter: RFC 3339 as it is, or an age such as ``7d`` before ``now``."""
    match = _DURATION.match(text)
    if match is None:
        return text
    return (now - timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
