"""Which of the forms that a resource has the caller wants (``Accept``)."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import NotAcceptable

STATEMENT = "application/json"
DSSE = "application/vnd.dsse+json"
EVIDENCE = "application/vnd.reprove.evidence+json"


def choose(offered: tuple[str, ...]) -> str:
    """The best of ``offered`` for this request; the first one when anything goes. Raises 406 when none is acceptable."""
    if not request.accept_mimetypes:
        return offered[0]
    best = request.accept_mimetypes.best_match(offered)
    if best is None:
        raise NotAcceptable(f"offered here: {', '.join(offered)}")
    return best
