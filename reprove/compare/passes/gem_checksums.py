"""The digests that a gem carries of its own members."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.digest_lists import CHECKSUMS
from reprove.compare.passes.masks import without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="gem-checksums",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.GEM}),
    paths=("checksums.yaml",),
    reason=(
        "checksums.yaml repeats the digests of the gem's packed members; it was recomputed and is true on both sides, so it adds "
        "no difference of its own."
    ),
    mask=PieceMask(CHECKSUMS, without("digest")),
)
