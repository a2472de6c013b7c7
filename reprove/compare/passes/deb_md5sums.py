"""The digests that a Debian package carries of its own files."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.digest_lists import MD5SUMS
from reprove.compare.passes.masks import without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="deb-md5sums",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.DEB}),
    paths=("control.tar!/md5sums",),
    reason="md5sums repeats the digests of the package's files; it was recomputed and is true on both sides. Which files it lists counts.",
    mask=PieceMask(MD5SUMS, without("digest"), unordered=frozenset({"path"})),
)
