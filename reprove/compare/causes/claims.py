"""Who claims which difference."""

from __future__ import annotations

from dataclasses import dataclass, field

from reprove.compare.causes.fields import Guess
from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty


@dataclass(slots=True)
class Claims:
    """Which differences each cause has, by certainty; every index is claimed once. ``named`` are causes that share another's difference."""

    rows: tuple[Difference, ...]
    owner: dict[int, Guess] = field(default_factory=dict)
    named: dict[str, Certainty] = field(default_factory=dict)

    def give(self, index: int, guess: Guess) -> None:
        """Claim one difference, if nobody has."""
        self.owner.setdefault(index, guess)

    def free(self) -> list[int]:
        """The differences that nobody has claimed."""
        return [index for index in range(len(self.rows)) if index not in self.owner]
