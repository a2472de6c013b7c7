"""One writer of one log: batches in, published checkpoints and proofs out, in the order that survives every crash (DESIGN section 9).

Per batch:

1. find what is logged already; refuse if the disk is nearly full;
2. compute files, root and signed checkpoint in memory;
3. **commit**: staged entries, their ids and the compare-and-swap of the head, one ``log.db`` transaction;
4. create tiles and bundles durably, never over existing ones;
5. have the checkpoint cosigned by the quorum;
6. replace ``checkpoint`` durably: published;
7. drop staging, then answer.

Steps 4 to 7 are :meth:`Sequencer._finish`; the start runs the same code on what a crash left staged. A batch that cannot be published
(witnesses away, disk full) stays staged and is tried again; no other batch is signed before it is through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import structlog

from reprove.core import notes
from reprove.core.checkpoints import Checkpoint
from reprove.core.errors import Problem, ProblemError, Slug
from reprove.core.leaf import parse_leaf
from reprove.core.notes import NoteSigner
from reprove.crashpoints import crash_point
from service.log import tilewriter
from service.log.admission import Admitted
from service.log.answers import Answer, Logged
from service.log.durable import DurableFolder, free_bytes
from service.log.errors import DiskFullError
from service.log.intake import Intake, Submission
from service.log.recovery import CHECKPOINT, Recovered
from service.log.store import Head, LogStore
from service.log.tilewriter import Plan
from service.log.witness_client import Panel

_CAPACITY_BATCHES = 4
_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_IDLE_SECONDS = 1.0
_FULL = Problem(Slug.STORAGE_FULL, "the log's disk is nearly full; nothing was written")
_FULL_LATER = Problem(Slug.STORAGE_FULL, "the log's disk is full; the entries are committed and will be published; submit the same again")
_STOPPED = Problem(Slug.UNAVAILABLE, "the sequencer stopped before the entries were published; submit the same again")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator chose: entries per batch, how long to linger for more, how long a submitter waits, bytes to keep free."""

    batch: int = 1024
    linger_seconds: float = 0.02
    wait_seconds: float = 10.0
    min_free: int = 0
    refresh_seconds: float = 60.0
    """How old an idle log's cosignatures may get: they say that the next entry is not older."""


def sign_head(origin: str, size: int, root: bytes, signer: NoteSigner) -> Head:
    """Sign a checkpoint. Only two callers may: the creation of a log (size 0), and the sequencer just before its commit."""
    text = Checkpoint(origin, size, root).text
    return Head(size, root, notes.format_note(text, [notes.sign_note(text, origin, signer)]))


class Sequencer:
    """The log's one writer: :meth:`run` in one thread, everything else from any."""

    def __init__(
        self, recovered: Recovered, *, store: LogStore, folder: DurableFolder, origin: str, signer: NoteSigner, panel: Panel, limits: Limits
    ) -> None:
        self._store = store
        self._folder = folder
        self._origin = origin
        self._signer = signer
        self._panel = panel
        self._limits = limits
        self._intake = Intake(batch=limits.batch, linger_seconds=limits.linger_seconds, capacity=_CAPACITY_BATCHES * limits.batch)
        self._stopping = threading.Event()
        # Owned by the sequencing thread: the head and edge that log.db has, and the plan that is committed but not published.
        self._head = recovered.head
        self._edge = recovered.plan.edge
        self._unfinished = None if recovered.published else recovered.plan
        # Replaced as one pair by the sequencing thread, read by any.
        self._published = (recovered.published.size, recovered.published.note) if recovered.published else None
        self._refreshed = time.monotonic()

    @property
    def published(self) -> tuple[int, str] | None:
        """Size and note of the newest published checkpoint; None before the first of this process."""
        return self._published

    def submit(self, entries: Sequence[Admitted]) -> Answer:
        """Log admitted entries, contiguous and in order, and return when they are published.

        Raises ProblemError: ``unavailable`` when that took too long (ask again: what was committed is answered as a duplicate),
        ``storage-full``, ``rate-limited``.
        """
        submission = Submission(entries)
        self._intake.put(submission)
        if not submission.wait(self._limits.wait_seconds):
            self._intake.give_up(submission)
            if not submission.wait(0):
                raise ProblemError(Slug.UNAVAILABLE, "the entries are not published yet: witnesses or disk are slow; submit the same again")
        answer = submission.answer
        if isinstance(answer, Problem):
            raise ProblemError(answer.slug, answer.detail)
        return answer

    def prove(self, *, index: int | None = None, attestation: bytes | None = None) -> Answer:
        """Answer for a published entry, by index or by id; ProblemError ``not-found`` else."""
        if attestation is not None:
            index = self._store.position(attestation)
        published = self._published
        if index is None or published is None or not 0 <= index < published[0]:
            raise ProblemError(Slug.NOT_FOUND, "the log has no such published entry")
        return self._stored([index], [False])

    def stop(self) -> None:
        """Take no more submissions; :meth:`run` returns once what waits is sequenced."""
        self._intake.close()
        self._stopping.set()

    def run(self) -> None:
        """Sequence until stopped. FatalError and RollbackError end the process: the caller must not go on."""
        if self._unfinished is not None:
            self._finish(self._unfinished, ())
        if self._unfinished is None and self._compare_with_quorum():
            while not self._intake.drained:
                if batch := self._intake.take(_IDLE_SECONDS):
                    self._sequence(batch)
                    self._intake.batch_ended()
                elif time.monotonic() - self._refreshed >= self._limits.refresh_seconds:
                    self._refresh()
                if self._unfinished is not None:
                    break
        self._intake.refuse_all(_STOPPED)

    def _compare_with_quorum(self) -> bool:
        """Wait until a quorum of witnesses has shown that it is not ahead of us: before that, signing more could fork the log."""
        nodes = tilewriter.stored_nodes(self._folder.read, self._head.size)
        for attempt in count():
            if self._panel.observe(nodes):
                return True
            if self._stopping.wait(_backoff(attempt)):
                break
        return False

    def _sequence(self, batch: Sequence[Submission]) -> None:
        positions = self._store.find([entry.id for submission in batch for entry in submission.entries])
        fresh: list[Admitted] = []
        firsts: set[int] = set()
        for submission in batch:
            for entry in submission.entries:
                if entry.id not in positions:
                    positions[entry.id] = self._head.size + len(fresh)
                    fresh.append(entry)
                    firsts.add(id(entry))
        if fresh:
            self._commit_and_finish(fresh, batch, positions, firsts)
        for submission in batch:
            if not submission.answered:
                # At least one of its entries is of an earlier batch; all of them are published by now.
                indexes = [positions[entry.id] for entry in submission.entries]
                submission.resolve(self._stored(indexes, [id(entry) not in firsts for entry in submission.entries]))

    def _commit_and_finish(self, fresh: Sequence[Admitted], batch: Sequence[Submission], positions: dict[bytes, int], firsts: set[int]) -> None:
        start = self._head.size
        waiting = [submission for submission in batch if any(positions[entry.id] >= start for entry in submission.entries)]
        leaves = [entry.leaf for entry in fresh]
        if not self._has_room(sum(map(len, leaves))):
            _resolve(waiting, _FULL)
            return
        plan = tilewriter.extend(self._edge, leaves, self._folder.read)
        head = sign_head(self._origin, plan.size, plan.root, self._signer)
        try:
            self._store.stage(self._head, head, leaves, [entry.id for entry in fresh])
        except DiskFullError:
            _resolve(waiting, _FULL)
            return
        self._head, self._edge, self._unfinished = head, plan.edge, plan
        before = self._published[1] if self._published else None
        self._finish(plan, waiting)
        if self._unfinished is not None or self._published is None:
            _resolve(waiting, _STOPPED)
            return
        for submission in waiting:
            indexes = [positions[entry.id] for entry in submission.entries]
            if min(indexes) >= start:
                logged = [
                    Logged(entry.id, index, leaves[index - start], duplicate=id(entry) not in firsts)
                    for entry, index in zip(submission.entries, indexes, strict=True)
                ]
                submission.resolve(Answer(logged, plan.nodes, self._published[1], before))

    def _finish(self, plan: Plan, waiting: Sequence[Submission]) -> None:
        """Publish what is committed, trying until it works or the process is to stop; each step may be done again."""
        for attempt in count():
            try:
                self._folder.create(plan.files)
                # Tiles are complete and durable; no published checkpoint needs them yet. A crash here creates them again, identically.
                crash_point("log.tiles")
                if self._publish(plan):
                    self._unfinished = None
                    return
            except DiskFullError:
                _log.error("disk full; the committed batch waits", size=plan.size)
                _resolve(waiting, _FULL_LATER)
            if self._stopping.wait(_backoff(attempt)):
                return

    def _publish(self, plan: Plan) -> bool:
        cosigned = self._panel.cosign(plan.nodes, self._head.note)
        if cosigned is None:
            _log.warning("too few witnesses cosigned; the committed batch waits", size=plan.size)
            return False
        # Witnesses know this size now. A crash here asks them again: same size, same root, a new time.
        crash_point("log.witnessed")
        self._folder.replace(CHECKPOINT, cosigned.encode())
        # Readers see it. A crash here publishes the same tree again, with newer cosignatures; nobody was answered, so asking again is a duplicate.
        crash_point("log.published")
        self._store.settle(plan.size, cosigned)
        self._published = (plan.size, cosigned)
        self._refreshed = time.monotonic()
        return True

    def _refresh(self) -> None:
        """Have the unchanged head cosigned anew, so that the next entry is known to be younger; a failure changes nothing."""
        self._refreshed = time.monotonic()
        nodes = tilewriter.stored_nodes(self._folder.read, self._head.size)
        cosigned = self._panel.cosign(nodes, self._head.note)
        if cosigned is None:
            return
        try:
            self._folder.replace(CHECKPOINT, cosigned.encode())
            self._store.settle(self._head.size, cosigned)
            self._published = (self._head.size, cosigned)
        except DiskFullError:
            _log.warning("disk full; the checkpoint keeps its old cosignatures")

    def _stored(self, indexes: Sequence[int], duplicates: Sequence[bool]) -> Answer:
        """Answer from the files, as the entries were answered the first time: the first checkpoint that covers them all."""
        covering = self._store.covering(max(indexes))
        if covering is None:
            raise ProblemError(Slug.UNAVAILABLE, "the entry is committed, its checkpoint not published yet; ask again")
        leaves = [tilewriter.stored_entry(self._folder.read, index, covering.size) for index in indexes]
        logged = [
            Logged(parse_leaf(leaf).pae_sha256, index, leaf, duplicate) for index, leaf, duplicate in zip(indexes, leaves, duplicates, strict=True)
        ]
        nodes = tilewriter.stored_nodes(self._folder.read, covering.size)
        return Answer(logged, nodes, covering.note, self._store.before(min(indexes)))

    def _has_room(self, size: int) -> bool:
        # Each entry is written three times (staging, journal, bundle) and the open bundle once more.
        needed = self._limits.min_free + 4 * size + 2 * 1024 * 1024
        return all(free_bytes(path) >= needed for path in (self._folder.root, self._store.folder))


def _resolve(submissions: Sequence[Submission], answer: Problem) -> None:
    for submission in submissions:
        submission.resolve(answer)


def _backoff(attempt: int) -> float:
    return _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
