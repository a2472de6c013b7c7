"""Build requirements as the fetch tool may see them: parsed, written again, one a line, nothing but names from the index.

They come out of a source that nobody trusts; a line with an option or an address in it would be an order to the tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from reprove.core.errors import ReproveError

MAX_REQUIREMENTS = 200
MAX_LENGTH = 2000


class RequirementRefusedError(ReproveError):
    """A requirement that cannot be met from wheels of one index; the message names it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Lines for the tool; ``overrides`` are the exact pins, which also bind what other requirements ask for."""

    lines: tuple[str, ...]
    overrides: tuple[str, ...]

    @property
    def pins(self) -> tuple[str, ...]:
        """``name==version`` of each pin, for messages."""
        return self.overrides


def read(texts: Iterable[str]) -> Wanted:
    """Parse PEP 508 requirements. Raises RequirementRefusedError for a direct address, an option, or what is no requirement."""
    parsed = [_one(text) for text in texts]
    if len(parsed) > MAX_REQUIREMENTS:
        raise RequirementRefusedError(f"more than {MAX_REQUIREMENTS} build requirements")
    extras: dict[NormalizedName, set[str]] = {}
    for requirement in parsed:
        extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    overrides = {}
    for requirement in parsed:
        name = canonicalize_name(requirement.name)
        if _is_pin(requirement):
            # An override replaces what others ask for, extras included, so it carries all of them.
            overrides[name] = f"{name}{_extras(extras[name])}{requirement.specifier}"
    return Wanted(tuple(sorted({str(requirement) for requirement in parsed})), tuple(overrides[name] for name in sorted(overrides)))


def _one(text: str) -> Requirement:
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise RequirementRefusedError(f"{text[:80]!r} is no requirement")
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        raise RequirementRefusedError(f"{text[:80]!r} is no requirement (PEP 508)") from None
    if requirement.url is not None:
        raise RequirementRefusedError(f"{requirement.name} is asked for by an address; only the index is read")
    return requirement


def _is_pin(requirement: Requirement) -> bool:
    specifiers = list(requirement.specifier)
    return len(specifiers) == 1 and specifiers[0].operator == "==" and not specifiers[0].version.endswith(".*") and requirement.marker is None


def _extras(names: set[str]) -> str:
    return f"[{','.join(sorted(names))}]" if names else ""
