"""The attester's own list of worker and resolver keys: ``enrolled.json`` of the state folder, never SQL (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from reprove.core import keys
from reprove.core.canonical import parse
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.statements.codec import parse_time

MAX_BYTES = 1024 * 1024


class Role(StrEnum):
    """What a key may sign: reports or resolutions."""

    WORK = "work"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """One key with its role and the window in which what it signs is accepted."""

    name: str
    role: Role
    key: PublicKey
    valid_from: datetime
    until: datetime | None = None

    def accepts(self, moment: datetime) -> bool:
        """Whether the key is good at ``moment``, which is the attester's clock: what a signer says of time proves nothing."""
        return self.valid_from <= moment and (self.until is None or moment < self.until)


class Enrolment:
    """The list, read again when the file changes. A file that cannot be read keeps nobody enrolled: it raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[EnrolledKey, ...] = ()

    def keys(self) -> tuple[EnrolledKey, ...]:
        """Every enrolled key. Raises OwnError when the file is missing or malformed."""
        try:
            facts = self._path.stat()
            stamp = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            if stamp != self._stamp:
                self._keys = parse_enrolled(self._path.read_bytes())
                self._stamp = stamp
        except OSError as error:
            raise OwnError(f"{self._path}: {error.strerror}") from error
        except ProblemError as error:
            raise OwnError(f"{self._path}: {error.problem.detail}") from error
        return self._keys

    def signer_of(self, envelope: Envelope, role: Role, moment: datetime) -> PublicKey | None:
        """The enrolled key of this role, good at ``moment``, that signed the envelope; None when there is none."""
        candidates = [row.key for row in self.keys() if row.role is role and row.accepts(moment)]
        signed = envelope.signed_by(candidates)
        return signed[0] if signed and len(envelope.signatures) == 1 else None


def parse_enrolled(data: bytes) -> tuple[EnrolledKey, ...]:
    """Read ``{"kind": "enrolled", "version": 1, "keys": [{name, role, spki, from, until?}]}``; raises ProblemError."""
    document = parse(data, max_bytes=MAX_BYTES, what="the list of enrolled keys")
    if not isinstance(document, dict) or document.get("kind") != "enrolled" or document.get("version") != 1 or document["version"] is True:
        raise _bad("is not a list of enrolled keys of version 1")
    rows = document.get("keys")
    if not isinstance(rows, list):
        raise _bad("has no keys")
    return tuple(_key(row) for row in rows)


def _key(row: Any) -> EnrolledKey:  # noqa: ANN401  # any JSON value
    if not isinstance(row, dict) or not {"name", "role", "spki", "from"} <= set(row) or set(row) - {"name", "role", "spki", "from", "until"}:
        raise _bad("a key has name, role, spki, from and maybe until, and nothing else")
    if row["role"] not in set(Role) or not all(isinstance(value, str) for value in row.values()):
        raise _bad(f"a key's role is {' or '.join(Role)}")
    until = parse_time(row["until"]) if "until" in row else None
    return EnrolledKey(row["name"], Role(row["role"]), keys.from_base64(row["spki"]), parse_time(row["from"]), until)


def _bad(detail: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the file {detail}")
