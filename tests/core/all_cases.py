"""The whole table of evidence and exit codes; importing the modules fills it."""

from __future__ import annotations

from tests.core import outcome_cases, verification_cases
from tests.core.cases import CASES

__all__ = ["CASES", "outcome_cases", "verification_cases"]
