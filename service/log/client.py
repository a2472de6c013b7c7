"""The attester's side of the sequencer's socket. One connection per call: a lost answer is simply asked again, and deduplicated by id."""

from __future__ import annotations

import base64
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprove.core.canonical import parse
from reprove.core.digests import AttestationId, parse_sha256
from reprove.core.dsse import Envelope
from reprove.core.errors import OwnError, ProblemError, Slug
from service.log import frames


@dataclass(frozen=True, slots=True)
class AddedEntry:
    """One logged entry: id, index, the leaf's bytes, and the audit path under :attr:`Added.checkpoint`. Not verified here."""

    id: AttestationId
    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Added:
    """The sequencer's answer: entries in the order submitted, the cosigned checkpoint that covers them, the last one that covers none of them."""

    entries: tuple[AddedEntry, ...]
    checkpoint: str
    before: str | None


class LogClient:
    """Speaks to the sequencer at a socket's path. ``timeout`` seconds bound each wait; it must exceed the sequencer's own bound of 10 s."""

    def __init__(self, path: Path, *, timeout: float = 15.0) -> None:
        self._path = path
        self._timeout = timeout

    def add(self, envelopes: Sequence[Envelope]) -> Added:
        """Log 1 to 256 envelopes, contiguous and in order.

        ProblemError as the sequencer refuses (``forbidden``, ``storage-full``, ``unavailable`` …); ``unavailable`` also when it cannot be
        reached or its answer is lost. After ``unavailable`` submit the same envelopes again: they are logged once.
        """
        return _added(self._ask({"op": "add", "envelopes": [envelope.as_json() for envelope in envelopes]}))

    def prove(self, attestation: AttestationId) -> Added:
        """Return the entry of a logged attestation; ProblemError ``not-found`` else."""
        return _added(self._ask({"op": "prove", "id": attestation}))

    def prove_index(self, index: int) -> Added:
        """Return the entry with a log index; ProblemError ``not-found`` else."""
        return _added(self._ask({"op": "prove", "index": index}))

    def head(self) -> str | None:
        """Return the newest published checkpoint's note; None before the first."""
        checkpoint = self._ask({"op": "head"})["checkpoint"]
        return None if checkpoint is None else str(checkpoint)

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout)
                connection.connect(str(self._path))
                frames.send(connection, request)
                frame = frames.receive(connection)
        except OSError as error:
            raise ProblemError(Slug.UNAVAILABLE, f"the sequencer does not answer: {error}") from error
        if frame is None:
            raise ProblemError(Slug.UNAVAILABLE, "the sequencer ended without an answer")
        answer = parse(frame, max_bytes=frames.MAX_FRAME, what="the sequencer's answer")
        if not isinstance(answer, dict):
            raise OwnError("the sequencer's answer is not an object")
        if "error" in answer:
            _raise(answer["error"])
        return answer


def _raise(problem: object) -> None:
    if isinstance(problem, dict):
        slug = str(problem.get("type", "")).removeprefix("urn:reprove:problem:")
        if slug in set(Slug):
            raise ProblemError(Slug(slug), str(problem.get("detail", "")), pointer=problem.get("pointer"))
    raise OwnError("the sequencer's refusal is not a problem that this program knows")


def _added(answer: dict[str, Any]) -> Added:
    try:
        entries = tuple(
            AddedEntry(
                AttestationId(parse_sha256(entry["id"])),
                int(entry["index"]),
                base64.b64decode(entry["leaf"], validate=True),
                tuple(base64.b64decode(one, validate=True) for one in entry["proof"]),
                bool(entry["duplicate"]),
            )
            for entry in answer["entries"]
        )
        return Added(entries, str(answer["checkpoint"]), answer["before"])
    except (KeyError, TypeError, ValueError) as error:
        raise OwnError("the sequencer's answer lacks what its protocol says") from error
