"""Enrolled keys: whose signature on a report or resolution is believed. ``$HOME/enrolled.json``, changed by `reprove worker` only.

The worker api reads it; the attester reads it again for itself. A key is valid from ``from`` until ``until``, by the time of arrival.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reprove.core import keys
from reprove.core.canonical import canonical, parse
from reprove.core.errors import OwnError, ProblemError, Slug
from reprove.core.keys import PublicKey
from service.records.principals import Role
from service.records.times import parse_rfc3339, rfc3339

MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """One key with its role (``work`` or ``resolve``) and the time in which it counts."""

    name: str
    role: Role
    key: PublicKey
    since: datetime
    until: datetime | None = None

    def valid(self, at: datetime) -> bool:
        """Whether a signature that arrives at this moment counts."""
        return self.since <= at and (self.until is None or at < self.until)

    def as_json(self) -> dict[str, object]:
        """The row of the file."""
        row: dict[str, object] = {"name": self.name, "role": self.role.value, "spki": self.key.base64, "from": rfc3339(self.since)}
        return row if self.until is None else row | {"until": rfc3339(self.until)}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The whole list, in the file's order; revoked keys stay, since old reports name them."""

    keys: tuple[EnrolledKey, ...]

    def valid(self, role: Role, at: datetime) -> tuple[PublicKey, ...]:
        """The keys whose signatures count for a role at a moment."""
        return tuple(each.key for each in self.keys if each.role is role and each.valid(at))

    def find(self, fingerprint: str, role: Role, at: datetime) -> PublicKey | None:
        """The valid key with this SHA-256 of its SPKI, None when there is none."""
        return next((key for key in self.valid(role, at) if key.fingerprint == fingerprint), None)

    def encode(self) -> bytes:
        """The file's bytes (JCS)."""
        return canonical({"kind": "enrolled", "version": 1, "keys": [each.as_json() for each in self.keys]})


def path_of(home: Path) -> Path:
    """Where the list lies."""
    return home / "enrolled.json"


def load(home: Path) -> Enrolled:
    """Read the list. Raises OwnError with one line when it is missing or malformed: nobody is enrolled by accident."""
    path = path_of(home)
    try:
        return parse_enrolled(path.read_bytes())
    except OSError as error:
        raise OwnError(f"{path}: {error.strerror}: run `reprove init`") from None
    except ProblemError as error:
        raise OwnError(f"{path}: {error}") from None


def parse_enrolled(data: bytes) -> Enrolled:
    """Read the list's bytes strictly. Raises ``invalid-request``."""
    document = parse(data, max_bytes=MAX_BYTES, what="the list of enrolled keys")
    if not isinstance(document, dict) or set(document) != {"kind", "version", "keys"} or (document["kind"], document["version"]) != ("enrolled", 1):
        raise ProblemError(Slug.INVALID_REQUEST, "not a list of enrolled keys, version 1")
    rows = document["keys"]
    if not isinstance(rows, list):
        raise ProblemError(Slug.INVALID_REQUEST, "must be a list", pointer="/keys")
    return Enrolled(tuple(_row(row, f"/keys/{index}") for index, row in enumerate(rows)))


def store(home: Path, enrolled: Enrolled) -> None:
    """Replace the list atomically and durably: readers see the old or the new one, also after a crash at any moment."""
    path = path_of(home)
    temporary = path.with_name(f".enrolled.json.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(enrolled.encode())
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        there = path.stat()
        os.chown(temporary, there.st_uid, there.st_gid)
    temporary.chmod(0o644)
    temporary.replace(path)
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EnrolledFile:
    """The list as a long-lived process sees it: read again when the file was replaced, so that a revocation counts at once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: tuple[int, int, int] | None = None
        self._value = Enrolled(())

    def current(self) -> Enrolled:
        """The list as it is now."""
        try:
            stat = path_of(self._home).stat()
        except OSError as error:
            raise OwnError(f"{path_of(self._home)}: {error.strerror}: run `reprove init`") from None
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._value = load(self._home)
            self._seen = seen
        return self._value


def _row(row: object, pointer: str) -> EnrolledKey:
    if not isinstance(row, dict) or not {"name", "role", "spki", "from"} <= set(row) <= {"name", "role", "spki", "from", "until"}:
        raise ProblemError(Slug.INVALID_REQUEST, "a key has name, role, spki, from and perhaps until", pointer=pointer)
    if not all(isinstance(value, str) for value in row.values()) or row["role"] not in (Role.WORK, Role.RESOLVE):
        raise ProblemError(Slug.INVALID_REQUEST, "a key's members are text, its role work or resolve", pointer=pointer)
    try:
        since, until = parse_rfc3339(row["from"]), parse_rfc3339(row["until"]) if "until" in row else None
    except ValueError as error:
        raise ProblemError(Slug.INVALID_REQUEST, f"a time is RFC 3339 with a zone: {error}", pointer=pointer) from None
    return EnrolledKey(row["name"], Role(row["role"]), keys.from_base64(row["spki"]), since, until)
