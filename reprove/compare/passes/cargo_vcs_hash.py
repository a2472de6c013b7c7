"""The commit that a crate says it was packed from."""

from __future__ import annotations

import json

from reprove.archive.tree import Profile
from reprove.compare.anatomies.json_object import JSON, value
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level

_HEX = frozenset("0123456789abcdef")


def _keep(piece: Piece) -> Piece | None:
    """Drop the hash only: a dirty checkout and the path in the repository stay."""
    if piece.name != "member:git":
        return piece
    git = value(piece.data)
    if not isinstance(git, dict):
        return piece
    commit = git.get("sha1")
    if not isinstance(commit, str) or len(commit) not in (40, 64) or not _HEX.issuperset(commit):
        return piece
    return piece._replace(data=json.dumps({**git, "sha1": ""}, sort_keys=True).encode())


PASS = Pass(
    id="cargo-vcs-hash",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.CRATE}),
    paths=(".cargo_vcs_info.json", "*/.cargo_vcs_info.json"),
    reason="The crate claims another commit as its source; the claim is to be checked against the source used, not believed.",
    mask=PieceMask(JSON, _keep),
)
