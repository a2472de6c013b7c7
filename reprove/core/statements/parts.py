"""The pieces that several predicates share, with the rules that tie their members together (INTERFACE sections 5 and 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from reprove.core.digests import Sha256
from reprove.core.outcomes import CAUSE_CLASSES, Certainty, Finding, Level, Origin, Outcome
from reprove.core.statements.codec import Hex4, Label, Timestamp, bad

MAX_CAUSES = 20
COUNTED_FROM_ONE = "[1-9][0-9]{0,8}"
MASKED = frozenset({Level.NORMALIZED, Level.SEMANTIC})
"""The levels at which passes left something out."""


class Deployment(StrEnum):
    """Whether whoever signs shares a host with the builds (DESIGN section 4)."""

    SINGLE_HOST = "single-host"
    SPLIT = "split"


class Claimant(StrEnum):
    """Who answers for a field of a comparison."""

    ATTESTER = "attester"
    WORKER = "worker"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a rebuild did not end in ``reproduced``: a class of the closed list, and the line or bytes that show it."""

    class_: str = field(metadata={"json": "class"})
    detail: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A fact that denies unless a policy allows it by name."""

    code: Finding
    path: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class CauseHint:
    """A named reason of differences, with what would remove it; ``detail`` shows it, ``count`` differences are claimed by it and by no other."""

    id: Label
    certainty: Certainty
    fix: str | None = None
    detail: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """Four bytes at ``offset`` of the rebuilt archive: what stands there and what the original has."""

    member: str
    offset: int
    old: Hex4
    new: Hex4


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; ``path`` nests with ``!/``, an absent side did not exist."""

    path: str
    field: str
    old: str | int | None = None
    new: str | int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the blob store."""

    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Differences:
    """How many there are, the first of them, and the whole list as a blob."""

    count: int
    shown: tuple[Difference, ...]
    blob: Blob | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A named pass without which the bytes would not be equal at ``normalized`` or ``semantic``; versions count from ``1``."""

    id: Label
    version: str


@dataclass(frozen=True, slots=True)
class Sized:
    """Bytes by digest and size."""

    sha256: Sha256
    size: int


@dataclass(frozen=True, slots=True)
class RecipeRef:
    """A recipe blob and who chose it."""

    digest: Sha256
    origin: Origin


@dataclass(frozen=True, slots=True)
class SourceRef:
    """What was built from."""

    kind: str
    uri: str
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class EnvironmentRef:
    """The root file system, named by its lock."""

    lock: Blob
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """One file that the build may have read."""

    name: str
    uri: str
    sha256: Sha256
    size: int


@dataclass(frozen=True, slots=True)
class IndexRef:
    """The index page that named the files; ``canonical`` by the operator's setting."""

    id: str
    canonical: bool
    uri: str
    page: Blob
    fetched: Timestamp


def check_outcome(outcome: Outcome, level: Level | None, cause: Cause | None) -> None:
    """Refuse impossible triples: a level exactly with ``reproduced``, a cause of the outcome's own classes with every other."""
    if (outcome is Outcome.REPRODUCED) != (level is not None):
        raise bad("level stands with outcome reproduced and with no other")
    if outcome is Outcome.REPRODUCED:
        if cause is not None:
            raise bad("outcome reproduced has no cause")
        return
    if cause is None:
        raise bad(f"outcome {outcome} needs a cause")
    if cause.class_ not in CAUSE_CLASSES[outcome]:
        raise bad(f"cause class {cause.class_!r} does not belong to outcome {outcome}: {', '.join(sorted(CAUSE_CLASSES[outcome]))}")


def check_stamps(stamps: tuple[Stamp, ...] | None, level: Level | None) -> None:
    """Stamps stand exactly with ``times-stamped``: in order, apart, at most two a member, at most three new values (DESIGN section 6)."""
    if (stamps is not None) != (level is Level.TIMES_STAMPED):
        raise bad("stamps stand with level times-stamped and with no other")
    if stamps is None:
        return
    if not stamps:
        raise bad("level times-stamped needs at least one stamp")
    per_member: dict[str, int] = {}
    end = 0
    for stamp in sorted(stamps, key=lambda each: each.offset):
        if stamp.offset < end:
            raise bad("two stamps overlap")
        end = stamp.offset + 4
        per_member[stamp.member] = per_member.get(stamp.member, 0) + 1
    if max(per_member.values()) > 2:
        raise bad("a member has more than two stamps")
    if len({stamp.new for stamp in stamps}) > 3:
        raise bad("the stamps have more than three distinct new values")


def check_passes(passes: tuple[Pass, ...] | None, level: Level | None) -> None:
    """Passes stand exactly with ``normalized`` and ``semantic``: at least one, each once."""
    if (passes is not None) != (level in MASKED):
        raise bad("passes stand with levels normalized and semantic and with no other")
    if passes is None:
        return
    if not passes:
        raise bad(f"level {level} needs at least one pass")
    if len({each.id for each in passes}) != len(passes) or not all(re.fullmatch(COUNTED_FROM_ONE, each.version) for each in passes):
        raise bad("a pass is named once, with a version from 1")


def check_unstamped(unstamped: str | None, level: Level | None) -> None:
    """Why the times could not be stamped stands with a level below ``times-stamped``; what differs says it in its cause."""
    if unstamped is not None and (level is None or level.satisfies(Level.TIMES_STAMPED)):
        raise bad("unstamped stands with levels below times-stamped and with no other")


def check_causes(causes: tuple[CauseHint, ...], outcome: Outcome, level: Level | None) -> None:
    """Causes explain a comparison whose bytes differ, at whatever level it ends."""
    if not causes:
        return
    if outcome not in (Outcome.REPRODUCED, Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE) or level is Level.BITWISE:
        raise bad("causes stand where bytes were compared and differ")
    if len(causes) > MAX_CAUSES:
        raise bad(f"more than {MAX_CAUSES} causes")


def check_findings(findings: tuple[FindingRow, ...], level: Level | None) -> None:
    """What means two things, or says something false of itself, is never equal below ``times-stamped`` (docs/comparison.md)."""
    if level is None or level.satisfies(Level.TIMES_STAMPED):
        return
    for each in findings:
        if each.code in (Finding.AMBIGUOUS_ARCHIVE, Finding.FALSE_MANIFEST):
            raise bad(f"finding {each.code} rules out level {level}")
