"""Comments of archives and of their members."""

from __future__ import annotations

from reprove.compare.passes.masks import ANY, EVERYWHERE
from reprove.compare.passes.model import FieldMask, Pass, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="archive-comment",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="A comment in an archive is shown by some tools and never written to disk.",
    mask=FieldMask(frozenset({"comment"})),
)
