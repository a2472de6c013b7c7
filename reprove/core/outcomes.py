"""Outcomes, levels, cause classes and findings: closed vocabularies (DESIGN section 2, INTERFACE section 5)."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a rebuild ended. A lost worker, a full disk or a registry that is down is never ``differs``."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    AMBIGUOUS_ARCHIVE = "ambiguous-archive"
    BUILD_FAILED = "build-failed"
    INPUT_UNAVAILABLE = "input-unavailable"
    NOT_ATTEMPTABLE = "not-attemptable"
    LIMIT_EXCEEDED = "limit-exceeded"
    INCONCLUSIVE = "inconclusive"


class Level(StrEnum):
    """How equal two artifacts are. The order is :data:`LEVEL_ORDER`; nobody compares names."""

    BITWISE = "bitwise"
    TIMES_STAMPED = "times-stamped"
    CANONICAL = "canonical"
    NORMALIZED = "normalized"
    SEMANTIC = "semantic"

    def satisfies(self, minimum: Level) -> bool:
        """Say whether this level is ``minimum`` or higher."""
        return LEVEL_ORDER.index(self) <= LEVEL_ORDER.index(minimum)


LEVEL_ORDER = (Level.BITWISE, Level.TIMES_STAMPED, Level.CANONICAL, Level.NORMALIZED, Level.SEMANTIC)
"""High to low."""


class Origin(StrEnum):
    """Who chose the recipe (DESIGN section 6)."""

    INFERRED = "inferred"
    SOURCE = "source"
    REQUESTER = "requester"


class Finding(StrEnum):
    """Facts that deny under the default policy unless allowed by name."""

    ORIGINAL_AMONG_INPUTS = "original-among-inputs"
    UNSOURCED_MEMBERS = "unsourced-members"
    YANKED = "yanked"
    SDIST_LATER = "sdist-later"
    UNSTABLE = "unstable"
    PURL_CONFLICT = "purl-conflict"
    AMBIGUOUS_ARCHIVE = "ambiguous-archive"
    FALSE_MANIFEST = "false-manifest"


class Certainty(StrEnum):
    """How sure a cause is."""

    PROVED = "proved"
    LIKELY = "likely"
    UNEXPLAINED = "unexplained"


CAUSE_CLASSES: dict[Outcome, frozenset[str]] = {
    Outcome.NOT_ATTEMPTABLE: frozenset({"no-sdist", "native-tag"}),
    Outcome.INPUT_UNAVAILABLE: frozenset({"gone", "digest-mismatch", "truncated", "no-upload-times", "input-needs-build"}),
    Outcome.BUILD_FAILED: frozenset(
        {"unsafe-source", "source-layout", "backend-missing", "backend-failed", "output-missing", "output-refused", "output-other-name"}
    ),
    Outcome.LIMIT_EXCEEDED: frozenset({"time", "memory", "disk", "pids", "log", "output"}),
    Outcome.DIFFERS: frozenset({"payload", "missing-member", "extra-member", "metadata", "mode", "times", "container"}),
    Outcome.AMBIGUOUS_ARCHIVE: frozenset({"ambiguous-archive"}),
    Outcome.INCONCLUSIVE: frozenset({"infrastructure"}),
    Outcome.REPRODUCED: frozenset(),
}
"""The closed list of ``cause.class`` per outcome. ``rejected`` rebuilds use problem slugs."""
