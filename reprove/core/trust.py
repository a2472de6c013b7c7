"""The trust file: the keys that a reader has chosen to believe (INTERFACE section 6). All its windows are bound by log time.

Its fingerprint is the SHA-256 of its JCS form, so that two people compare one line and not a page of keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reprove.core import keys
from reprove.core.canonical import canonical, parse
from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.notes import COSIGNATURE, ED25519, VKey, parse_vkey
from reprove.core.times import format_time, parse_time

MAX_TRUST_BYTES = 1024 * 1024
MAX_ROWS = 1024


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key with the window (POSIX seconds, log time) in which what it signed counts; ``until`` and ``compromised_since`` may be open."""

    key: PublicKey
    valid_from: int
    until: int | None = None
    compromised_since: int | None = None

    def refuses(self, not_after: int | None) -> str | None:
        """Say why an entry that was logged by ``not_after`` at the latest does not count, or None if it does.

        Without a time (nobody whom the reader believes cosigned) only a key whose window has no end can be used.
        """
        if not_after is None:
            bounded = self.until is not None or self.compromised_since is not None
            return "its key has an end date, and no trusted witness says when it was logged" if bounded else None
        if not_after < self.valid_from:
            return f"it was logged before its key is trusted, {format_time(self.valid_from)}"
        if self.until is not None and not_after > self.until:
            return f"it was logged after its key's last day, {format_time(self.until)}"
        if self.compromised_since is not None and not_after >= self.compromised_since:
            return f"its key is compromised since {format_time(self.compromised_since)}"
        return None

    def as_json(self) -> dict[str, str]:
        """The key's row; open ends are absent."""
        row = {"spki": self.key.base64, "from": format_time(self.valid_from)}
        if self.until is not None:
            row["until"] = format_time(self.until)
        if self.compromised_since is not None:
            row["compromisedSince"] = format_time(self.compromised_since)
        return row


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log that the reader believes; its origin is its verifier key's name."""

    vkey: VKey
    base_url: str

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.vkey.name


@dataclass(frozen=True, slots=True)
class Operator:
    """Who answers for attesters, workers and resolvers; quorums count operators."""

    name: str
    attesters: tuple[TrustedKey, ...]
    workers: tuple[TrustedKey, ...] = ()
    resolvers: tuple[TrustedKey, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The operator's row; ``resolvers`` is absent when there are none."""
        row: dict[str, object] = {
            "name": self.name,
            "attesters": [one.as_json() for one in self.attesters],
            "workers": [one.as_json() for one in self.workers],
        }
        if self.resolvers:
            row["resolvers"] = [one.as_json() for one in self.resolvers]
        return row


@dataclass(frozen=True, slots=True)
class TrustFile:
    """Logs, witnesses with their quorum, and operators."""

    logs: tuple[TrustedLog, ...]
    witnesses: tuple[VKey, ...]
    quorum: int
    operators: tuple[Operator, ...]

    def __post_init__(self) -> None:
        _distinct((log.origin for log in self.logs), "two logs of one origin")
        _distinct((vkey.key.spki for vkey in self.witnesses), "one witness key twice")
        _distinct((operator.name for operator in self.operators), "one operator twice")
        _distinct((one.key.spki for operator in self.operators for one in operator.attesters), "one attester key twice")
        if any(log.vkey.algorithm != ED25519 for log in self.logs) or any(vkey.algorithm != COSIGNATURE for vkey in self.witnesses):
            raise _invalid("a log's key has algorithm 1, a witness's algorithm 4")
        if {log.vkey.key.spki for log in self.logs} & {vkey.key.spki for vkey in self.witnesses}:
            raise _invalid("a log cannot be its own witness")
        if not 0 <= self.quorum <= len(self.witnesses):
            raise _invalid(f"a quorum of {self.quorum} cannot be met by {len(self.witnesses)} witnesses", "/witnesses/quorum")

    def encode(self) -> bytes:
        """The JCS bytes."""
        return canonical(self.as_json())

    @property
    def fingerprint(self) -> Sha256:
        """SHA-256 of the JCS form."""
        return sha256(self.encode())

    def as_json(self) -> dict[str, object]:
        """The file's JSON value."""
        return {
            "kind": "trust",
            "version": 1,
            "logs": [{"origin": log.origin, "vkey": str(log.vkey), "baseUrl": log.base_url} for log in self.logs],
            "witnesses": {"quorum": self.quorum, "vkeys": [str(vkey) for vkey in self.witnesses]},
            "operators": [operator.as_json() for operator in self.operators],
        }

    def attester(self, key: PublicKey) -> tuple[Operator, TrustedKey] | None:
        """Find the operator that ``key`` attests for."""
        return next(((operator, one) for operator in self.operators for one in operator.attesters if one.key == key), None)

    def merged(self, other: TrustFile) -> TrustFile:
        """Believe both: rows that are equal count once, ``other``'s row replaces one of the same name, the higher quorum holds.

        ProblemError when a log of one origin has two keys: that is never an update.
        """
        known = {log.origin: log for log in self.logs}
        for log in other.logs:
            if log.origin in known and known[log.origin].vkey != log.vkey:
                raise _invalid(f"log {log.origin} is already trusted with another key")
        logs = {**known, **{log.origin: log for log in other.logs}}
        witnesses = {vkey.key.spki: vkey for vkey in (*self.witnesses, *other.witnesses)}
        operators = {operator.name: operator for operator in (*self.operators, *other.operators)}
        quorum = max(self.quorum, other.quorum)
        return TrustFile(tuple(logs.values()), tuple(witnesses.values()), quorum, tuple(operators.values()))


def parse_trust(data: bytes | str) -> TrustFile:
    """Read a trust file in any JSON form; unknown members are refused. Raises only ProblemError."""
    return from_json(parse(data, max_bytes=MAX_TRUST_BYTES, what="the trust file"))


def from_json(document: object) -> TrustFile:
    """Turn a parsed JSON value into a trust file."""
    top = _members(document, "", {"kind", "version", "logs", "witnesses", "operators"})
    if top["kind"] != "trust" or top["version"] != 1 or top["version"] is True:
        raise _invalid("is not a trust file of version 1")
    witnesses = _members(top["witnesses"], "/witnesses", {"quorum", "vkeys"})
    quorum = witnesses["quorum"]
    if not isinstance(quorum, int) or isinstance(quorum, bool):
        raise _invalid("a quorum is a number", "/witnesses/quorum")
    return TrustFile(
        tuple(_log(row, f"/logs/{at}") for at, row in enumerate(_rows(top["logs"], "/logs"))),
        tuple(parse_vkey(_text(row, f"/witnesses/vkeys/{at}")) for at, row in enumerate(_rows(witnesses["vkeys"], "/witnesses/vkeys"))),
        quorum,
        tuple(_operator(row, f"/operators/{at}") for at, row in enumerate(_rows(top["operators"], "/operators"))),
    )


def _log(row: object, pointer: str) -> TrustedLog:
    members = _members(row, pointer, {"origin", "vkey", "baseUrl"})
    log = TrustedLog(parse_vkey(_text(members["vkey"], f"{pointer}/vkey")), _text(members["baseUrl"], f"{pointer}/baseUrl"))
    if log.origin != members["origin"]:
        raise _invalid("a log's origin is the name of its key", f"{pointer}/origin")
    return log


def _operator(row: object, pointer: str) -> Operator:
    members = _members(row, pointer, {"name", "attesters", "workers"}, {"resolvers"})
    return Operator(
        _text(members["name"], f"{pointer}/name"),
        _keys(members["attesters"], f"{pointer}/attesters"),
        _keys(members["workers"], f"{pointer}/workers"),
        _keys(members.get("resolvers", []), f"{pointer}/resolvers"),
    )


def _keys(rows: object, pointer: str) -> tuple[TrustedKey, ...]:
    return tuple(_key(row, f"{pointer}/{at}") for at, row in enumerate(_rows(rows, pointer)))


def _key(row: object, pointer: str) -> TrustedKey:
    members = _members(row, pointer, {"spki", "from"}, {"until", "compromisedSince"})
    ends = [parse_time(members[name], pointer=f"{pointer}/{name}") if name in members else None for name in ("until", "compromisedSince")]
    key = keys.from_base64(_text(members["spki"], f"{pointer}/spki"))
    if key.base64 != members["spki"]:
        raise _invalid("a key has base64 that is not canonical", f"{pointer}/spki")
    return TrustedKey(key, parse_time(members["from"], pointer=f"{pointer}/from"), *ends)


def _members(value: object, pointer: str, required: set[str], optional: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid("is not an object", pointer)
    for name in value:
        if name not in required and name not in optional:
            raise _invalid(f"has an unknown member {name!r}", pointer)
    for name in sorted(required):
        if name not in value:
            raise _invalid(f"lacks {name!r}", pointer)
    return value


def _rows(value: object, pointer: str) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_ROWS:
        raise _invalid(f"is not a list of at most {MAX_ROWS}", pointer)
    return value


def _text(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 1024 or not value.isprintable():
        raise _invalid("is not one line of text", pointer)
    return value


def _distinct(values: Iterable[object], what: str) -> None:
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise _invalid(f"names {what}")


def _invalid(detail: str, pointer: str | None = None) -> ProblemError:
    where = f" ({pointer})" if pointer else ""
    return ProblemError(Slug.INVALID_REQUEST, f"the trust file{where}: {detail}", pointer=pointer)
