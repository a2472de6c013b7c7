"""What the git plugins for Maven and Gradle record of the checkout."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.properties import PROPERTIES
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level


def _keep(piece: Piece) -> Piece | None:
    return None if piece.name == "date" or piece.name.startswith("property:git.") else piece


PASS = Pass(
    id="jar-git-properties",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.JAR}),
    paths=("git.properties", "META-INF/git.properties", "BOOT-INF/classes/git.properties", "WEB-INF/classes/git.properties"),
    reason="git.properties records commit, branch, host and time of the build for display; a program may read and act on it.",
    mask=PieceMask(PROPERTIES, _keep),
)
