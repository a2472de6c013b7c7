"""The date comment of pom.properties."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.properties import PROPERTIES
from reprove.compare.passes.masks import without
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="jar-maven-pom-properties",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.JAR}),
    paths=("META-INF/maven/*/*/pom.properties", "*/META-INF/maven/*/*/pom.properties"),
    reason="Older Maven writes the build time as a comment into pom.properties; comments have no effect.",
    mask=PieceMask(PROPERTIES, without("date")),
)
