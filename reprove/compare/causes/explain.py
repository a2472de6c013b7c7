"""Give every difference to at most one cause."""

from __future__ import annotations

from reprove.compare.causes.model import Case, CauseFound


def explain(case: Case) -> tuple[CauseFound, ...]:
    """The causes of a case, the unexplained first."""
    del case
    return ()
