"""The whole table of evidence and exit codes; importing the modules fills it."""

from __future__ import annotations

from tests.core import level_cases, outcome_cases, verification_cases
from tests.core.cases import CASES

__all__ = ["CASES", "level_cases", "outcome_cases", "verification_cases"]
