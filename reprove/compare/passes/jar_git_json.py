"""What the git plugin for Maven records of the checkout, as JSON."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.json_object import JSON
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level


def _keep(piece: Piece) -> Piece | None:
    return None if piece.name == "layout" or piece.name.startswith("member:git.") else piece


PASS = Pass(
    id="jar-git-json",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.JAR}),
    paths=("git.json", "META-INF/git.json", "BOOT-INF/classes/git.json", "WEB-INF/classes/git.json"),
    reason="git.json records commit, branch, host and time of the build for display; a program may read and act on it.",
    mask=PieceMask(JSON, _keep),
)
