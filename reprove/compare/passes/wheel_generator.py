"""The build backend that a wheel names."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.headers import WHEEL_METADATA
from reprove.compare.passes.masks import is_line, without_header
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="wheel-generator",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.WHEEL}),
    paths=("*.dist-info/WHEEL",),
    reason="The Generator line names the tool and version that packed the wheel; installers do not act on it.",
    mask=PieceMask(WHEEL_METADATA, without_header("Generator", is_line)),
)
