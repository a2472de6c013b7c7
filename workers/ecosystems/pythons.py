"""Rule R15: which of our Pythons builds, and how old a backend may be there."""

from __future__ import annotations

from dataclasses import dataclass

from workers.ecosystems.generator import version_key

RELEASES = (
    ("3.14", "2025-10-07"),
    ("3.13", "2024-10-07"),
    ("3.12", "2023-10-02"),
    ("3.11", "2022-10-24"),
    ("3.10", "2021-10-04"),
    ("3.9", "2020-10-05"),
)
"""Minor versions of CPython by release date, newest first."""


@dataclass(frozen=True, slots=True)
class Python:
    """An environment that we make, and its Python."""

    environment: str
    version: str


PYTHONS = (Python("trixie-python", "3.13"), Python("bookworm-python", "3.11"), Python("bullseye-python", "3.9"))
"""Newest first; Debian suites give them (DESIGN section 8)."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """The oldest release of a build requirement that imports and builds on a Python, measured; ``released`` is its upload date."""

    version: str
    released: str


_OLDEST: dict[tuple[str, str], Oldest] = {
    ("setuptools", "3.9"): Oldest("41.1.0", "2019-08-13"),  # before: HTMLParser().unescape
    ("setuptools", "3.13"): Oldest("66.1.0", "2023-01-20"),  # before: no distutils, pkgutil.ImpImporter
}
"""Measured with one tiny project over setuptools 40.8 to 69, wheel 0.30.0a0 to 0.41.1 and our Pythons. Every such ``wheel`` builds on all of them,
and every setuptools from 45 on does on 3.11."""


def python_for(uploaded: str) -> tuple[Python, ...]:
    """Ours that are not newer than the newest Python at ``uploaded`` (RFC 3339), newest first; the oldest of ours when none is."""
    known = next((version for version, released in RELEASES if released <= uploaded[:10]), RELEASES[-1][0])
    return tuple(python for python in PYTHONS if version_key(python.version) <= version_key(known)) or PYTHONS[-1:]


def oldest(distribution: str, python: Python) -> Oldest | None:
    """The oldest release that works there, or None when any does (or nobody measured)."""
    return _OLDEST.get((distribution, python.version))


def too_old(distribution: str, specifier: str, cut: str, python: Python) -> Oldest | None:
    """The oldest release that works there, when what a pin (or, without one, the index as of ``cut``) gives is older; else None."""
    floor = oldest(distribution, python)
    if floor is None:
        return None
    if specifier.startswith("=="):
        return floor if version_key(specifier[2:]) < version_key(floor.version) else None
    if specifier.startswith("<") and version_key(specifier[1:]) <= version_key(floor.version):
        return floor
    return floor if cut[:10] < floor.released else None
