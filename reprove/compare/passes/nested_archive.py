"""How an archive inside the artifact was packed."""

from __future__ import annotations

from reprove.compare.anatomies.archive_file import ARCHIVE
from reprove.compare.passes.masks import ANY, EVERYWHERE, without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="nested-archive",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="An archive inside the artifact holds the same members with the same contents; order, times and compression differ.",
    mask=PieceMask(ARCHIVE, without("packed")),
)
