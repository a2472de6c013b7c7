"""Rule R1: the ``Generator`` line of WHEEL names the backend and its version."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORMS = (
    (re.compile(r"bdist_wheel \((?P<v>[^)]+)\)\Z"), "wheel"),
    (re.compile(r"setuptools \((?P<v>[^)]+)\)\Z"), "setuptools"),
    (re.compile(r"flit (?P<v>\S+)\Z"), "flit-core"),
    (re.compile(r"poetry(?:-core)? (?P<v>\S+)\Z"), "poetry-core"),
    (re.compile(r"hatchling (?P<v>\S+)\Z"), "hatchling"),
    (re.compile(r"pdm-(?:backend|pep517) \(?(?P<v>[^)\s]+)\)?\Z"), "pdm-backend"),
)
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?\Z")
_LOCAL_FORM = re.compile(r"\.(?=(a|b|rc)\d+\Z)")


@dataclass(frozen=True, slots=True)
class Backend:
    """The distribution that wrote the wheel. ``setuptools`` stands for both families: the old one is written by ``wheel``."""

    distribution: str
    version: str

    @property
    def setuptools(self) -> bool:
        """Whether setuptools drives the build."""
        return self.distribution in ("wheel", "setuptools")

    @property
    def pin(self) -> str:
        """The requirement for exactly this version."""
        return f"{self.distribution}=={self.version}"


def parse_generator(text: str) -> Backend | None:
    """Read a ``Generator`` value, or None for one that no rule knows. ``0.30.0.a0`` is the version ``0.30.0a0``."""
    for form, distribution in _FORMS:
        found = form.match(text.strip())
        if found:
            version = _LOCAL_FORM.sub("", found["v"].partition("+")[0])
            name = "pdm-pep517" if text.startswith("pdm-pep517") else distribution
            return Backend(name, version) if _VERSION.match(version) else None
    return None


def version_key(version: str) -> tuple[int, ...]:
    """The release numbers of a version, for the coarse comparisons of the tables; pre-releases sort as their release."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
