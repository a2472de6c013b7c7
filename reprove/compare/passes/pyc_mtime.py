"""The time of the source in a compiled Python module."""

from __future__ import annotations

from reprove.compare.anatomies.pyc import PYC
from reprove.compare.passes.masks import ANY, without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="pyc-mtime",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=("*.pyc",),
    reason=("A compiled Python module repeats the time of its source file; Python uses it to see whether to compile again, never to run other code."),
    mask=PieceMask(PYC, without("mtime")),
)
