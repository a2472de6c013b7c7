"""The version of RubyGems that packed a gem."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.gem_metadata import GEM_METADATA
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level


def _keep(piece: Piece) -> Piece | None:
    return None if piece.name == "key:rubygems_version" and _is_version(piece.data.strip()) else piece


def _is_version(text: bytes) -> bool:
    return len(text) <= 32 and text[:1].isdigit() and text.replace(b".", b"").isalnum()


PASS = Pass(
    id="gem-metadata-rubygems-version",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.GEM}),
    paths=("metadata",),
    reason="A gem names the version of RubyGems that packed it; installers do not act on it.",
    mask=PieceMask(GEM_METADATA, _keep),
)
