"""The signature of a jar."""

from __future__ import annotations

from collections.abc import Collection

from reprove.archive.tree import Profile
from reprove.compare.passes.model import MemberMask, Pass, Risk
from reprove.core.outcomes import Level

_FOLDER = "META-INF/"
_BLOCKS = ("RSA", "DSA", "EC")


def _among(path: str, members: Collection[str]) -> bool:
    """Drop a signature file beside its block and a block beside its file (JAR File Specification, "Signed JAR File"); one alone is any data."""
    base, _, ending = path.removeprefix(_FOLDER).rpartition(".")
    if not path.startswith(_FOLDER) or "/" in path.removeprefix(_FOLDER) or not base:
        return False
    if ending in _BLOCKS:
        return f"{_FOLDER}{base}.SF" in members
    return ending == "SF" and any(f"{_FOLDER}{base}.{block}" in members for block in _BLOCKS)


PASS = Pass(
    id="jar-signature",
    version=1,
    level=Level.SEMANTIC,
    risk=Risk.SEMANTIC,
    profiles=frozenset({Profile.JAR}),
    paths=("META-INF/*.SF", "META-INF/*.RSA", "META-INF/*.DSA", "META-INF/*.EC"),
    reason=(
        "A jar signed by its author has a signature that only the author can make; a program may ask who signed it, and could "
        "read these files as data."
    ),
    mask=MemberMask(lambda _path: False, _among),
)
