"""The pieces that several predicates share, with the rules that tie their members together (INTERFACE sections 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reprove.core.digests import Sha256
from reprove.core.outcomes import CAUSE_CLASSES, Finding, Level, Origin, Outcome
from reprove.core.statements.codec import Hex4, Timestamp, bad


class Deployment(StrEnum):
    """Whether whoever signs shares a host with the builds (DESIGN section 4)."""

    SINGLE_HOST = "single-host"
    SPLIT = "split"


class Certainty(StrEnum):
    """How sure a cause is."""

    PROVED = "proved"
    LIKELY = "likely"
    UNEXPLAINED = "unexplained"


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
    """A named reason of a difference, with what would remove it."""

    id: str
    certainty: Certainty
    fix: str | None = None


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
    """A named, versioned pass of levels ``normalized`` and ``semantic``."""

    id: str
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
