"""The time of the last change in a PNG image."""

from __future__ import annotations

from reprove.compare.anatomies.dates import is_iso_date
from reprove.compare.anatomies.png import PNG
from reprove.compare.passes.masks import ANY
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level

_TEXTS = frozenset({"text:date:create", "text:date:modify", "text:date:timestamp"})


def _keep(piece: Piece) -> Piece | None:
    time = piece.name == "chunk:tIME" and len(piece.data) == 7
    return None if time or (piece.name in _TEXTS and is_iso_date(piece.data)) else piece


PASS = Pass(
    id="png-time",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=("*.png",),
    reason="A PNG image carries the time when it was written; viewers do not act on it.",
    mask=PieceMask(PNG, _keep),
)
