"""The order of clauses in OSGi attributes of a jar's manifest."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.manifest import MANIFEST
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level

_SETS = frozenset({"main:export-package", "main:private-package", "main:provide-capability"})
"""Attributes whose clauses are a set (OSGi Core, "Bundle Manifest Headers"). Where a later clause overrides an earlier one, order is data."""


def _keep(piece: Piece) -> Piece | None:
    if piece.name.lower() not in _SETS:
        return piece
    clauses = _clauses(piece.data)
    return piece if clauses is None else piece._replace(data=b",".join(sorted(clauses)))


def _clauses(value: bytes) -> list[bytes] | None:
    """Split at commas outside quoted strings, in which a backslash takes the next byte along. None where a quote stays open."""
    clauses, start, quoted, escaped = [], 0, False, False
    for at, byte in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and byte == 0x5C:  # a backslash
            escaped = True
        elif byte == 0x22:  # a quote
            quoted = not quoted
        elif byte == 0x2C and not quoted:  # a comma
            clauses.append(value[start:at])
            start = at + 1
    return None if quoted else [*clauses, value[start:]]


PASS = Pass(
    id="jar-attribute-value-order",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.JAR}),
    paths=("META-INF/MANIFEST.MF",),
    reason="Tools list exported packages and capabilities of an OSGi bundle in any order; a framework reads them as a set.",
    mask=PieceMask(MANIFEST, _keep),
)
