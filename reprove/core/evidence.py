"""Evidence: one JCS file that holds all that is known of one artifact, so that it can be checked offline (DESIGN section 7).

``{"kind":"evidence","version":1,"subject":{name,sha256},"entries":[…],"reports"?,"resolutions"?,"decision"?,"hints":{"trust"}}``. Nothing in it is
believed by itself: hints only say which keys the maker means. Parsing checks the form, :mod:`reprove.core.verification` everything else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reprove.core import dsse, merkle, trust
from reprove.core.canonical import canonical, parse_canonical
from reprove.core.digests import Sha256, parse_sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.leaf import MAX_LEAF_BYTES
from reprove.core.notes import MAX_NOTE_BYTES
from reprove.core.trust import TrustFile

MAX_EVIDENCE_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 256
_MAX_INDEX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class LoggedEnvelope:
    """An envelope with its proof: leaf bytes, index, audit path, and the checkpoint note under which the path holds.

    ``before`` is the last cosigned checkpoint that does not cover the entry, absent for the first batch of a log.
    """

    envelope: Envelope
    leaf: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    before: str | None = None

    def as_json(self) -> dict[str, object]:
        """The entry's JSON value."""
        row: dict[str, object] = {
            "envelope": self.envelope.as_json(),
            "leaf": _b64(self.leaf),
            "index": self.index,
            "proof": [_b64(one) for one in self.proof],
            "checkpoint": self.checkpoint,
        }
        if self.before is not None:
            row["before"] = self.before
        return row


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence as parsed: well-formed, nothing verified."""

    subject_name: str
    subject_sha256: Sha256
    entries: tuple[LoggedEnvelope, ...]
    hints: TrustFile
    reports: tuple[Envelope, ...] = ()
    resolutions: tuple[Envelope, ...] = ()
    decision: LoggedEnvelope | None = None

    def as_json(self) -> dict[str, object]:
        """The file's JSON value; empty lists and no decision are absent members."""
        document: dict[str, object] = {
            "kind": "evidence",
            "version": 1,
            "subject": {"name": self.subject_name, "sha256": self.subject_sha256},
            "entries": [one.as_json() for one in self.entries],
            "hints": {"trust": self.hints.as_json()},
        }
        if self.reports:
            document["reports"] = [one.as_json() for one in self.reports]
        if self.resolutions:
            document["resolutions"] = [one.as_json() for one in self.resolutions]
        if self.decision is not None:
            document["decision"] = self.decision.as_json()
        return document

    def encode(self) -> bytes:
        """The JCS bytes: the only form that readers accept."""
        return canonical(self.as_json())


def build_evidence(
    *,
    name: str,
    sha256: Sha256,
    entries: Iterable[LoggedEnvelope],
    hints: TrustFile,
    reports: Iterable[Envelope] = (),
    resolutions: Iterable[Envelope] = (),
    decision: LoggedEnvelope | None = None,
) -> Evidence:
    """Put evidence together: entries by index, each once; reports and resolutions by id."""
    ordered = sorted({(one.index, one.leaf): one for one in entries}.values(), key=lambda one: (one.index, one.leaf))
    return Evidence(name, sha256, tuple(ordered), hints, _by_id(reports), _by_id(resolutions), decision)


def parse_evidence(data: bytes) -> Evidence:
    """Read evidence. Raises only ProblemError: too large, not JCS, unknown members, wrong order, odd base64, absurd counts."""
    document = parse_canonical(data, max_bytes=MAX_EVIDENCE_BYTES, what="the evidence")
    members = {"kind", "version", "subject", "entries", "hints"}
    top = _members(document, "", members, {"reports", "resolutions", "decision"})
    if top["kind"] != "evidence" or top["version"] != 1 or top["version"] is True:
        raise _invalid("is not evidence of version 1")
    subject = _members(top["subject"], "/subject", {"name", "sha256"})
    entries = tuple(_entry(row, f"/entries/{at}") for at, row in enumerate(_rows(top["entries"], "/entries", least=0)))
    order = [(one.index, one.leaf) for one in entries]
    if order != sorted(set(order)):
        raise _invalid("has entries that are not in the order of their index, or one of them twice", "/entries")
    return Evidence(
        _text(subject["name"], "/subject/name", 1024),
        parse_sha256(subject["sha256"], pointer="/subject/sha256"),
        entries,
        trust.from_json(_members(top["hints"], "/hints", {"trust"})["trust"]),
        _envelopes(top, "reports"),
        _envelopes(top, "resolutions"),
        _entry(top["decision"], "/decision") if "decision" in top else None,
    )


def _entry(row: object, pointer: str) -> LoggedEnvelope:
    members = _members(row, pointer, {"envelope", "leaf", "index", "proof", "checkpoint"}, {"before"})
    index = members["index"]
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= _MAX_INDEX:
        raise _invalid("is not an index", f"{pointer}/index")
    proof = tuple(_bytes(one, f"{pointer}/proof", merkle.HASH_BYTES) for one in _rows(members["proof"], f"{pointer}/proof", least=0))
    if len(proof) > merkle.MAX_PROOF_HASHES or any(len(one) != merkle.HASH_BYTES for one in proof):
        raise _invalid("is not a list of at most 63 hashes of 32 bytes", f"{pointer}/proof")
    return LoggedEnvelope(
        dsse.from_json(members["envelope"]),
        _bytes(members["leaf"], f"{pointer}/leaf", MAX_LEAF_BYTES),
        index,
        proof,
        _text(members["checkpoint"], f"{pointer}/checkpoint", MAX_NOTE_BYTES),
        _text(members["before"], f"{pointer}/before", MAX_NOTE_BYTES) if "before" in members else None,
    )


def _envelopes(top: dict[str, Any], name: str) -> tuple[Envelope, ...]:
    if name not in top:
        return ()
    envelopes = tuple(dsse.from_json(row) for row in _rows(top[name], f"/{name}", least=1))
    if envelopes != _by_id(envelopes):
        raise _invalid("are not in the order of their ids, or one of them stands twice", f"/{name}")
    return envelopes


def _by_id(envelopes: Iterable[Envelope]) -> tuple[Envelope, ...]:
    return tuple(one for _, one in sorted({one.id: one for one in envelopes}.items()))


def _members(value: object, pointer: str, required: set[str], optional: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(value, dict) or not required <= value.keys() <= required | optional:
        raise _invalid(f"has not exactly the members {', '.join(sorted(required))}{' and optional ones' if optional else ''}", pointer)
    return value


def _rows(value: object, pointer: str, *, least: int) -> list[object]:
    if not isinstance(value, list) or not least <= len(value) <= MAX_ENTRIES:
        raise _invalid(f"is not a list of {least} to {MAX_ENTRIES}", pointer)
    return value


def _text(value: object, pointer: str, limit: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limit:
        raise _invalid(f"is not text of 1 to {limit} characters", pointer)
    return value


def _bytes(value: object, pointer: str, limit: int) -> bytes:
    text = _text(value, pointer, 4 * limit)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("is not base64", pointer) from None
    if _b64(data) != text or len(data) > limit:
        raise _invalid(f"is not the canonical base64 of at most {limit} bytes", pointer)
    return data


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _invalid(detail: str, pointer: str = "") -> ProblemError:
    where = f" ({pointer})" if pointer else ""
    return ProblemError(Slug.INVALID_REQUEST, f"the evidence{where}: {detail}", pointer=pointer or None)
