"""The log's side of the witness protocol (C2SP tlog-witness): ask for cosignatures, and find out whether a witness has seen more than we know.

A witness is believed only where it shows our own signature: a checkpoint that our key signed and that is ahead of ours, or has another root,
proves that this log was rolled back or that a second one signs. A bare status code of a broken witness stops nothing but its own vote.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from reprove.core import merkle, notes
from reprove.core.checkpoints import Checkpoint, open_checkpoint
from reprove.core.cosignatures import cosignature_time
from reprove.core.errors import ProblemError, Slug, UpstreamError, VerificationError
from reprove.core.notes import VKey
from service.log.errors import RollbackError

_MAX_ANSWER = 64 * 1024
_GRACE_SECONDS = 0.1
"""How long the others are waited for once the quorum is there."""
_log = structlog.get_logger()


class Tree(Protocol):
    """What the panel needs of the tree: node hashes up to ``size``."""

    @property
    def size(self) -> int:
        """Number of leaves."""

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of a complete node."""


@dataclass(frozen=True, slots=True)
class WitnessAddress:
    """A witness of the settings: its cosignature key and its URL prefix."""

    vkey: VKey
    url: str


def parse_witness(text: str) -> WitnessAddress:
    """Read ``<vkey> <url>``; ProblemError when the key is not a cosignature key (0x04) or the URL not http(s)."""
    key, _, url = text.strip().partition(" ")
    vkey = notes.parse_vkey(key)
    parts = urlsplit(url.strip())
    if vkey.algorithm != notes.COSIGNATURE or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProblemError(Slug.INVALID_REQUEST, f"witness {text!r} must be a cosignature vkey (algorithm 4) and an http(s) URL")
    return WitnessAddress(vkey, url.strip().rstrip("/"))


class Witness:
    """One witness as the log sees it. ``known`` is the size that it last cosigned, as far as we were told."""

    def __init__(self, address: WitnessAddress, log: VKey, timeout: float) -> None:
        self.name = address.vkey.name
        self.vkey = address.vkey
        self._url = urlsplit(address.url)
        self._log = log
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        # Guards the connection and ``known``; held for one whole dialogue.
        self.busy = threading.Lock()
        self.known: int | None = None

    def observe(self, tree: Tree) -> None:
        """Learn what the witness has seen, and compare. Raises RollbackError (proved by our own signature) or UpstreamError (not reached)."""
        status, body = self._exchange("GET", f"/{sha256(self._log.name.encode()).hexdigest()}/checkpoint", b"")
        if status == 404:
            self.known = 0
            return
        if status != 200:
            raise UpstreamError(f"witness {self.name} answered {status} to the question for its checkpoint")
        try:
            seen = open_checkpoint(body, self._log).checkpoint
        except VerificationError as error:
            raise UpstreamError(f"witness {self.name} shows a checkpoint that this log did not sign: {error.detail}") from error
        refuse_rollback(seen, tree, f"witness {self.name} has cosigned")
        self.known = seen.size

    def cosign(self, tree: Tree, note: str) -> str:
        """Have the checkpoint ``note`` of ``tree`` cosigned and return the verified signature line. RollbackError, or UpstreamError."""
        if self.known is None:
            self.observe(tree)
        for _ in range(3):
            old = self.known or 0
            proof = merkle.consistency_path(tree, old, tree.size)
            status, body = self._exchange("POST", "/add-checkpoint", encode_request(old, proof, note))
            if status == 200:
                line = self._verified(note, body)
                self.known = tree.size
                return line
            if status not in (409, 422):
                break
            # 409: another size than we thought. 422: another tree. Either way its own checkpoint, signed by us, tells which of us is behind.
            self.observe(tree)
        raise UpstreamError(f"witness {self.name} answered {status}: {body[:200].decode(errors='replace').strip()}")

    def _verified(self, note: str, body: bytes) -> str:
        try:
            lines = notes.parse_signature_lines(body.decode())
            mine = [line for line in lines if line.is_by(self.vkey)]
            signed = notes.SignedNote(notes.parse_note(note).text, tuple(mine[:1]))
            if cosignature_time(signed, self.vkey) is not None:
                return mine[0].line
        except (ProblemError, VerificationError, UnicodeDecodeError) as error:
            raise UpstreamError(f"witness {self.name} answered no valid cosignature: {error}") from error
        raise UpstreamError(f"witness {self.name} answered without a line by its key")

    def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        for attempt in (1, 2):
            fresh = self._connection is None
            try:
                connection = self._connected()
                connection.request(method, self._url.path + path, body or None)
                answer = connection.getresponse()
                data = answer.read(_MAX_ANSWER)
                if not answer.isclosed():
                    self.disconnect()
            except (OSError, http.client.HTTPException) as error:
                self.disconnect()
                # A kept connection may have been closed by the other side in the meantime; a fresh one may not.
                if attempt == 1 and not fresh:
                    continue
                raise UpstreamError(f"witness {self.name} does not answer: {error}") from error
            return answer.status, data
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        return self._connection

    def disconnect(self) -> None:
        """Drop the kept connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Panel:
    """All witnesses of the settings, asked in parallel, until the quorum has cosigned."""

    def __init__(self, addresses: Sequence[WitnessAddress], quorum: int, log: VKey, timeout: float) -> None:
        self._witnesses = [Witness(address, log, timeout) for address in addresses]
        self._quorum = quorum
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(max(1, len(self._witnesses)), thread_name_prefix="witness")

    def close(self) -> None:
        """End the threads; a dialogue under way is left to its time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for witness in self._witnesses:
            witness.disconnect()

    def observe(self, tree: Tree) -> bool:
        """Compare with every witness that has not been reached yet; say whether the quorum has been. RollbackError when one proves us behind."""
        reached = 0
        for witness in self._witnesses:
            with witness.busy:
                if witness.known is None:
                    try:
                        witness.observe(tree)
                    except UpstreamError as error:
                        _log.warning("witness not reached", witness=witness.name, detail=str(error))
                        continue
                reached += 1
        return reached >= self._quorum

    def cosign(self, tree: Tree, note: str) -> str | None:
        """Return the note with cosignatures by the quorum at least, or None when too few answered in time."""
        if len(self._witnesses) == 1:
            lines = [self._ask(self._witnesses[0], tree, note)]
        else:
            lines = self._ask_all(tree, note)
        good = [line for line in lines if line]
        return note + "".join(good) if len(good) >= self._quorum else None

    def _ask_all(self, tree: Tree, note: str) -> list[str | None]:
        futures: list[Future[str | None]] = [self._pool.submit(self._ask, witness, tree, note) for witness in self._witnesses]
        pending, good = set(futures), 0
        with contextlib.suppress(TimeoutError):
            while pending and good < self._quorum:
                done, pending = wait(pending, self._timeout * 2, return_when="FIRST_COMPLETED")
                if not done:
                    break
                good += sum(1 for future in done if future.result())
        wait(pending, _GRACE_SECONDS)
        return [future.result() for future in futures if future.done()]

    def _ask(self, witness: Witness, tree: Tree, note: str) -> str | None:
        if not witness.busy.acquire(timeout=self._timeout):
            return None
        try:
            return witness.cosign(tree, note)
        except UpstreamError as error:
            _log.warning("no cosignature", witness=witness.name, detail=str(error))
            return None
        finally:
            witness.busy.release()


def refuse_rollback(seen: Checkpoint, tree: Tree, who: str) -> None:
    """Raise RollbackError when a checkpoint that our key signed is ahead of ``tree`` or not a part of it."""
    if seen.size > tree.size:
        raise RollbackError(f"rollback: {who} size {seen.size} of this log, log.db ends at {tree.size}; restore the newer state, never sign over it")
    if merkle.root_of(tree, seen.size) != seen.root:
        raise RollbackError(f"rollback: {who} another tree of size {seen.size} under this log's key; a second log has signed")


def encode_request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of ``add-checkpoint``."""
    lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
    return f"old {old}\n{lines}\n{note}".encode()
