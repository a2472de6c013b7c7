"""The date of a gem's specification."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.dates import is_gem_date
from reprove.compare.anatomies.gem_metadata import GEM_METADATA
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level


def _keep(piece: Piece) -> Piece | None:
    return None if piece.name == "key:date" and is_gem_date(piece.data.strip()) else piece


PASS = Pass(
    id="gem-metadata-date",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.GEM}),
    paths=("metadata",),
    reason="A gem carries the day of its build; installers do not act on it.",
    mask=PieceMask(GEM_METADATA, _keep),
)
