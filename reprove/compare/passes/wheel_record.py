"""The list of members in a wheel, which follows from the members."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.record import RECORD
from reprove.compare.passes.masks import without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="wheel-record",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.WHEEL}),
    paths=("*.dist-info/RECORD",),
    reason=(
        "RECORD repeats the names, sizes and hashes of the members; it was recomputed and is true on both sides, so it adds no difference of its own."
    ),
    mask=PieceMask(RECORD, without("hashed", "endings")),
)
