"""A candidate before its inputs are fetched: the recipe of contract section 5 less its lock and its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Because:
    """Why a candidate says what it says: a rule's name and one sentence."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A recipe draft. ``requirements`` are PEP 508; those with ``==`` are pins, which also bind what other requirements ask for.

    ``cut`` (RFC 3339): the index as of then. ``source_modes``: ``masked`` takes the umask off the source's modes, ``kept`` leaves them.
    ``source_tz``: the zone in which a zip source wrote its times, which have none; ``tz`` is the build's.
    """

    environment: str
    python: str
    requirements: tuple[str, ...]
    cut: str
    output: str
    source_date_epoch: int | None = None
    tz: str = "UTC"
    source_tz: str = "UTC"
    umask: str = "022"
    source_modes: str = "masked"
    entry: str = "pep517"
    backend: str | None = None
    backend_path: tuple[str, ...] = ()
    ignore_backend_path: bool = False
    universal: bool = False
    env: tuple[tuple[str, str], ...] = ()
    because: tuple[Because, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The recipe's members that are known before fetching; the worker adds ``lock_sha256`` and ``inputs``."""
        recipe: dict[str, Any] = {
            "reprove-recipe": 1,
            "ecosystem": "pypi",
            "origin": "inferred",
            "environment": self.environment,
            "python": self.python,
            "requirements": list(self.requirements),
            "cut": self.cut,
            "source_date_epoch": self.source_date_epoch,
            "tz": self.tz,
            "source_tz": self.source_tz,
            "umask": self.umask,
            "source_modes": self.source_modes,
            "entry": self.entry,
            "backend_path": list(self.backend_path),
            "ignore_backend_path": self.ignore_backend_path,
            "universal": self.universal,
            "env": dict(self.env),
            "output": self.output,
            "because": [{"rule": item.rule, "why": item.why} for item in self.because],
        }
        if self.backend is not None:
            recipe["backend"] = self.backend
        return recipe

    def same_build(self, other: Draft) -> bool:
        """Whether two drafts ask for the same build, whatever their reasons."""
        return {**self.as_json(), "because": 0} == {**other.as_json(), "because": 0}


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a candidate of this attempt: ``outcome`` and ``cause`` as in INTERFACE section 5, ``needs`` as the build asked."""

    draft: Draft
    outcome: str
    cause: str = ""
    needs: tuple[str, ...] = ()
