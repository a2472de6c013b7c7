"""The disk space that a Debian package says it takes."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.headers import CONTROL
from reprove.compare.passes.masks import without_header
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="deb-installed-size",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.DEB}),
    paths=("control.tar!/control",),
    reason="Installed-Size is an estimate in KiB that apt shows before it installs; it follows from the files, but packages may set it freely.",
    mask=PieceMask(CONTROL, without_header("Installed-Size", bytes.isdigit)),
)
