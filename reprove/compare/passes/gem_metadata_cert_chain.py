"""The certificates of a signed gem."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.gem_metadata import GEM_METADATA
from reprove.compare.passes.masks import without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="gem-metadata-cert-chain",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.GEM}),
    paths=("metadata",),
    reason="Signing a gem adds the signer's certificates to its metadata; an installer told to check signatures reads them.",
    mask=PieceMask(GEM_METADATA, without("key:cert_chain")),
)
