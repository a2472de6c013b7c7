"""The signatures of a gem's members."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.passes.model import MemberMask, Pass, Risk
from reprove.core.outcomes import Level

_NAMES = frozenset({"checksums.yaml.gz.sig", "data.tar.gz.sig", "metadata.gz.sig"})

PASS = Pass(
    id="gem-signatures",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.GEM}),
    paths=tuple(sorted(_NAMES)),
    reason=("A gem signed by its author has three signature files that only the author can make; an installer told to check signatures reads them."),
    mask=MemberMask(_NAMES.__contains__),
)
