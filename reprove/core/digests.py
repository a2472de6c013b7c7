"""Digests and the ids made of them. Hex is 64 lower-case characters everywhere (DESIGN section 7)."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from reprove.core.errors import ProblemError, Slug

Sha256 = NewType("Sha256", str)
"""64 lower-case hex characters."""

AttestationId = NewType("AttestationId", str)
"""SHA-256 of the DSSE PAE, 64 lower-case hex: the id of an attestation, a report and a resolution."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")


def sha256(data: bytes) -> Sha256:
    """Return the SHA-256 of ``data`` as hex."""
    return Sha256(hashlib.sha256(data).hexdigest())


def parse_sha256(text: object, *, pointer: str | None = None) -> Sha256:
    """Accept exactly 64 lower-case hex characters, raise ``invalid-request`` for anything else."""
    if isinstance(text, str) and _HEX.match(text):
        return Sha256(text)
    raise ProblemError(Slug.INVALID_REQUEST, "a SHA-256 is 64 lower-case hex characters", pointer=pointer)


def parse_prefixed(text: object, *, pointer: str | None = None) -> Sha256:
    """Accept ``sha256:<hex>``, the form in which artifacts are named."""
    if isinstance(text, str) and text.startswith("sha256:"):
        return parse_sha256(text.removeprefix("sha256:"), pointer=pointer)
    raise ProblemError(Slug.INVALID_REQUEST, "an artifact is named sha256:<64 lower-case hex characters>", pointer=pointer)
