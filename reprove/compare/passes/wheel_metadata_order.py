"""The order of headers in a wheel's metadata."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.headers import WHEEL_METADATA
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

_NAMES = (
    "Author Author-email Classifier Description-Content-Type Download-URL Dynamic Generator Home-page Keywords License "
    "License-Expression License-File Maintainer Maintainer-email Metadata-Version Name Platform Project-URL Provides-Extra "
    "Requires-Python Root-Is-Purelib Summary Tag Version Wheel-Version"
)
_UNORDERED = frozenset(f"header:{name}" for name in _NAMES.split())

PASS = Pass(
    id="wheel-metadata-order",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.WHEEL}),
    paths=("*.dist-info/METADATA", "*.dist-info/WHEEL"),
    reason=(
        "Tools write the headers of METADATA and WHEEL in different orders; no reader depends on it. The order of Requires-Dist "
        "among themselves counts."
    ),
    mask=PieceMask(WHEEL_METADATA, lambda piece: piece, unordered=_UNORDERED),
)
