"""How a file inside the artifact was compressed by gzip."""

from __future__ import annotations

from reprove.compare.anatomies.gzip_file import GZIP
from reprove.compare.passes.masks import ANY, without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="nested-gzip",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=("*.gz",),
    reason=(
        "A manual page or other file compressed by gzip inside the artifact has the same content; time, name and strength of the compression differ."
    ),
    mask=PieceMask(GZIP, without("flags", "time", "effort", "os", "name", "packed")),
)
