"""The order of names in setuptools' lists of files and packages."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.lines import LINES
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="egg-info-order",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.SDIST, Profile.WHEEL, Profile.DEB}),
    paths=("*.egg-info/SOURCES.txt", "*.egg-info/top_level.txt", "*.dist-info/top_level.txt"),
    reason="setuptools lists source files and top-level packages in the order that the file system gave; readers take the lists as sets.",
    mask=PieceMask(LINES, lambda piece: piece, unordered=frozenset({"line"})),
)
