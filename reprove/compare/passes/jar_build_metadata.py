"""Who, when and by which tools a jar was built, in the main section of its manifest."""

from __future__ import annotations

from reprove.archive.tree import Profile
from reprove.compare.anatomies.manifest import MANIFEST
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.compare.pieces import Piece
from reprove.core.outcomes import Level

_NAMES = """
    Ant-Version Archiver-Version Bnd-LastModified Branch Build Build-Branch Build-Commit Build-Date Build-Date-UTC Build-Host Build-Id
    Build-Java-Version Build-Jdk Build-Jdk-Spec Build-Job Build-Number Build-OS Build-Revision Build-Tag Build-Time Build-Time-ISO-8601
    Build-Timestamp Build-Tool Build-Url Build-User Build-Version Built-At Built-By Built-Date Built-Host Built-JDK Built-On Built-OS Change
    Commit Compiled-By Created-At Created-By Created-On Created-Time Git-Branch Git-Build-Time Git-Commit Git-Commit-Date Git-Commit-Id
    Git-Commit-Id-Abbrev Git-Commit-Time Git-Describe Git-Dirty Git-Head-Rev Git-Hash Git-Revision Git-SHA Git-Tag Gradle-Version
    Hudson-Build-Number Implementation-Build Implementation-Build-Date Implementation-Build-Id Implementation-Build-Java-Vendor
    Implementation-Build-Java-Version Implementation-Build-Number Implementation-Build-Time Implementation-Timestamp JDK-Version Java-Vendor
    Java-Version Jenkins-Build-Number Jenkins-Job Jenkins-Url Job-Name Kotlin-Version Last-Commit-Time Maven-Version Module-Origin OS-Arch
    OS-Name OS-Version Originally-Created-By Os-Info SCM-Branch SCM-Commit SCM-Git-Branch SCM-Git-Commit-Dirty SCM-Git-Commit-ID
    SCM-Git-Commit-Timestamp SCM-Revision SCM-Tag Scm-Url Source-Commit Source-Date-Epoch Tool Vcs-Branch Vcs-Revision X-Build-JDK X-Build-OS
    X-Build-Time X-Built-By X-Compile-Source-JDK X-Compile-Target-JDK
"""
_DROPPED = frozenset(f"{kind}:{name.lower()}" for kind in ("main", "fold") for name in _NAMES.split())
"""A closed list: none is read by the class loader, the launcher, OSGi or the module system."""


def _keep(piece: Piece) -> Piece | None:
    return None if piece.name.lower() in _DROPPED else piece


PASS = Pass(
    id="jar-build-metadata",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=frozenset({Profile.JAR}),
    paths=("META-INF/MANIFEST.MF",),
    reason=(
        "Build tools record user, host, time, JDK, tool versions and commit in the manifest's main section; the Java runtime "
        "does not act on these attributes."
    ),
    mask=PieceMask(MANIFEST, _keep),
)
