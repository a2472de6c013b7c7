"""Digests of members in a signed jar's manifest."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.manifest import MANIFEST
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level

_KINDS = frozenset({"signed", "signed-fold", "signed-blank"})


def _keep(piece: Piece) -> Piece | None:
    kind, _, name = piece.name.partition(":")
    digest = kind in ("entry", "entry-fold") and name.lower().endswith("-digest")
    return None if kind in _KINDS or digest else piece


PASS = Pass(
    id="jar-manifest-digests",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.JAR}),
    paths=("META-INF/MANIFEST.MF",),
    reason="Signing a jar adds a digest of each member to the manifest; the digests were recomputed, but a program may ask who signed it.",
    mask=PieceMask(MANIFEST, _keep),
)
