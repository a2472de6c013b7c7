"""The witness: ``python -m service.log.witness``. It cosigns what extends the largest tree that it has seen, and nothing else.

C2SP tlog-witness over plain HTTP on loopback: ``POST /add-checkpoint`` and ``GET /<hex sha256 of origin>/checkpoint``. Its own process, key and
state; on the log's own machine it is a seat belt against restored backups, not an independent party, and the quickstart says so.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from reprove.core import cosignatures, merkle, notes
from reprove.core.checkpoints import Checkpoint, parse_checkpoint
from reprove.core.errors import ProblemError, Slug, VerificationError
from reprove.core.notes import NoteSigner, SignedNote
from service.log.witness_state import Seen, WitnessState

MAX_BODY = 64 * 1024
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: status, body, content type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed ``add-checkpoint`` body."""

    old: int
    proof: tuple[bytes, ...]
    note: SignedNote
    checkpoint: Checkpoint


class _RefusalError(Exception):
    """Ends a request with an answer other than 200."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Witness:
    """The rules of tlog-witness over a state; no sockets here."""

    def __init__(self, state: WitnessState, signer: NoteSigner, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._signer = signer
        self._clock = clock
        self._name = notes.parse_vkey(state.meta("vkey") or "").name
        self._by_hash = {sha256(origin.encode()).hexdigest(): origin for origin in state.origins()}

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer ``POST /add-checkpoint``: 200 with a cosignature line, or 400, 403, 404, 409, 422 as the specification says."""
        try:
            request = parse_request(body)
            seen = self._state.seen(request.checkpoint.origin)
            if seen is None:
                raise _refusal(404, "this witness does not know the log")
            _require_signature(request, seen)
            cosigned = self._state.advance(request.checkpoint.origin, lambda old: self._decide(old, request))
        except ProblemError as error:
            return _text(400, error.problem.detail)
        except _RefusalError as refusal:
            return refusal.reply
        line = notes.parse_note(cosigned.note or "").signatures[-1].line
        return Reply(200, line.encode())

    def latest(self, origin_hash: str) -> Reply:
        """Answer ``GET /<hex sha256(origin)>/checkpoint``: the newest cosigned checkpoint, or 404."""
        origin = self._by_hash.get(origin_hash)
        seen = self._state.seen(origin) if origin is not None else None
        if seen is None or seen.note is None:
            return _text(404, "nothing cosigned of such a log")
        return Reply(200, seen.note.encode())

    def _decide(self, seen: Seen, request: Request) -> Seen:
        """Check and cosign, inside the transaction that replaces ``seen``."""
        checkpoint = request.checkpoint
        if request.old != seen.size:
            raise _RefusalError(Reply(409, f"{seen.size}\n".encode(), SIZE_TYPE))
        try:
            merkle.verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, request.proof)
        except VerificationError as error:
            raise _refusal(422, error.detail) from None
        mine = [one.line for one in request.note.signatures if one.is_by(seen.vkey)]
        line = cosignatures.cosign(request.note.text, self._name, self._signer, int(self._clock()))
        return Seen(seen.vkey, checkpoint.size, checkpoint.root, notes.format_note(request.note.text, [*mine, line]))


def parse_request(body: bytes) -> Request:
    """Read an ``add-checkpoint`` body; ProblemError (answered 400) when it is malformed or ``old`` is beyond the checkpoint."""
    head, separator, note = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _malformed("it is not ASCII before the checkpoint") from None
    match = _OLD.fullmatch(lines[0])
    if not separator or match is None or len(lines) - 1 > merkle.MAX_PROOF_HASHES:
        raise _malformed("it is: old <size>, at most 63 lines of hashes, a blank line, the checkpoint")
    signed = notes.parse_note(note)
    checkpoint = _checkpoint(signed.text)
    if int(match[1]) > checkpoint.size:
        raise _malformed("old is larger than the checkpoint")
    return Request(int(match[1]), tuple(_hash(line) for line in lines[1:]), signed, checkpoint)


def _checkpoint(text: str) -> Checkpoint:
    try:
        return parse_checkpoint(text)
    except ProblemError:
        lines = text.split("\n")
        if lines[1:2] == ["0"]:
            # Well-formed but for a root that no empty tree has: that is inconsistent (422), not malformed (400).
            parse_checkpoint("\n".join([lines[0], "1", *lines[2:]]))
            raise _refusal(422, "size 0 with the root of a tree that is not empty") from None
        raise


def _require_signature(request: Request, seen: Seen) -> None:
    try:
        notes.verify(request.note, (seen.vkey,))
    except VerificationError as error:
        raise _refusal(403, error.detail) from None


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("a hash of the proof is not base64") from None
    if len(data) != merkle.HASH_BYTES or base64.b64encode(data).decode() != line:
        raise _malformed("a hash of the proof is not the canonical base64 of 32 bytes")
    return data


def _malformed(what: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the request is malformed: {what}")


def _refusal(status: int, detail: str) -> _RefusalError:
    return _RefusalError(_text(status, detail))


def _text(status: int, detail: str) -> Reply:
    return Reply(status, f"{detail}\n".encode())


if __name__ == "__main__":
    from service.log.witness_http import main

    raise SystemExit(main())
