"""Ids of rows: a prefix and 20 characters of lower-case base32, ten of time (so that keys grow at the right end of an index) and ten random."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import NewType

from service.records.times import to_milliseconds

RequestId = NewType("RequestId", str)
RebuildId = NewType("RebuildId", str)
AttemptId = NewType("AttemptId", str)
DecisionId = NewType("DecisionId", str)
PrincipalId = NewType("PrincipalId", str)
TokenId = NewType("TokenId", str)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base32, lower case: sorts as the numbers do."""

_SHAPE = re.compile(r"(rq|rb|at|dec|pr|tk)-[0-9a-z]{20}\Z")


def request_id(now: datetime) -> RequestId:
    """A new request's id."""
    return RequestId(f"rq-{_suffix(now)}")


def rebuild_id(now: datetime) -> RebuildId:
    """A new rebuild's id."""
    return RebuildId(f"rb-{_suffix(now)}")


def attempt_id(now: datetime) -> AttemptId:
    """A new attempt's id, which is also its RQ job's id."""
    return AttemptId(f"at-{_suffix(now)}")


def decision_id(now: datetime) -> DecisionId:
    """A new decision's id."""
    return DecisionId(f"dec-{_suffix(now)}")


def principal_id(now: datetime) -> PrincipalId:
    """A new principal's id."""
    return PrincipalId(f"pr-{_suffix(now)}")


def token_id(now: datetime) -> TokenId:
    """A new token's public id; it says nothing about the token."""
    return TokenId(f"tk-{_suffix(now)}")


def is_id(text: str, prefix: str) -> bool:
    """Say whether ``text`` has the shape of an id with this prefix (without the hyphen)."""
    match = _SHAPE.match(text)
    return match is not None and match[1] == prefix


def _suffix(now: datetime) -> str:
    number = (to_milliseconds(now) << 50) | secrets.randbits(50)
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(95, -5, -5))
