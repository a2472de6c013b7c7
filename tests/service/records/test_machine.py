"""A state machine over the repository: whatever happens in whatever order, the table of transitions holds and everything ends once."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from reprove.core.digests import AttestationId, sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.states import ATTEMPT_TRANSITIONS, REBUILD_TRANSITIONS, AttemptState, RebuildState
from service.records import attempts, fenced, outbox, rebuilds, recovery, requests
from service.records.attempts import AttemptKind
from service.records.fenced import ResolutionFacts, Signed
from service.scheduling.reconciler import stuck
from tests.service.world import START, World

PURLS = st.sampled_from(["pkg:pypi/a@1.0", "pkg:pypi/b@1.0"])
WHO = st.sampled_from(["client", "other"])
LEASE = 15
RETRIES = 2
S = TypeVar("S")


class Records(RuleBasedStateMachine):
    """One clock, two principals, two packages, and workers that may do anything at any time, with old leases too."""

    leases = Bundle("leases")

    @initialize()
    def make(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="rpv-", dir="/dev/shm"))
        self.world = World.make(self.home)
        self.now: datetime = START
        self.count = 0
        self.accepted: dict[str, None] = {}  # in order: ids are random, and a replay has to draw the same request
        self.seen: dict[str, RebuildState] = {}
        self.seen_attempts: dict[str, AttemptState] = {}
        self.ended: dict[str, RebuildState] = {}

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.finish_everything()
            self.world.db.close()
            shutil.rmtree(self.home)

    @rule(purl=PURLS, who=WHO, force=st.booleans(), key=st.sampled_from([None, "k1", "k2"]), priority=st.integers(0, 3))
    def accept(self, purl: str, who: str, force: bool, key: str | None, priority: int) -> None:
        try:
            accepted = self.world.accept(purl, who=who, force=force, key=key, priority=priority, now=self.now)
        except ProblemError as error:
            if error.problem.slug is not Slug.IDEMPOTENCY_CONFLICT or key is None:
                raise
        else:
            self.accepted[accepted.rebuild_id] = None

    @rule(who=WHO, data=st.data())
    def cancel(self, who: str, data: st.DataObject) -> None:
        if not self.accepted:
            return
        rebuild = data.draw(st.sampled_from(list(self.accepted)))
        try:
            with self.world.db.write() as conn:
                requests.cancel(conn, self.world.principals[who], rebuild, self.now)
        except ProblemError as error:
            if error.problem.slug not in (Slug.NOT_FOUND, Slug.INVALID_REQUEST):
                raise

    @rule(lost=st.booleans())
    def dispatch(self, lost: bool) -> None:
        with self.world.db.write() as conn:
            for queue in outbox.queues(conn):
                for ring in outbox.next_to_ring(conn, queue, now=self.now, limit=2):
                    row = attempts.get(conn, ring.attempt_id)
                    assert row is not None
                    attempts.set_state(conn, row, AttemptState.DISPATCHED, now=self.now)
                    outbox.mark_rung(conn, ring.attempt_id, self.now)
            if lost:
                for ring in outbox.rung_before(conn, self.now + timedelta(seconds=1), limit=5):
                    row = attempts.get(conn, ring.attempt_id)
                    assert row is not None
                    attempts.set_state(conn, row, AttemptState.WAITING, now=self.now)
                    outbox.mark_lost(conn, ring.attempt_id, due=self.now)

    @rule(target=leases, data=st.data())
    def claim(self, data: st.DataObject) -> Any:
        rows = self.world.sql("SELECT id, kind FROM attempt ORDER BY state IN ('waiting', 'dispatched') DESC, rowid")
        if not rows:
            return multiple()
        row = data.draw(st.sampled_from(rows))
        kind = AttemptKind(row.kind)
        try:
            with self.world.db.write() as conn:
                claimed = fenced.claim(
                    conn, row.id, kind, principal=self.world.principals["worker"], worker_sha256="ab" * 32, now=self.now, seconds=LEASE
                )
        except ProblemError as error:
            if error.problem.slug is not Slug.LEASE_LOST:
                raise
            return multiple()
        return claimed.lease

    @rule(lease=leases, phase=st.sampled_from(["build", "compare"]))
    def heartbeat(self, lease: str, phase: str) -> None:
        with self._fence(), self.world.db.write() as conn:
            fenced.heartbeat(conn, lease, [{"phase": phase, "status": "started"}], None, now=self.now, seconds=LEASE)

    @rule(lease=leases, settled=st.booleans())
    def resolution(self, lease: str, settled: bool) -> None:
        facts = ResolutionFacts(
            original_sha256="cd" * 32, original_file="a.whl", original_size=1, original_purl="pkg:pypi/a@1.0?file_name=a.whl",
            release="pkg:pypi/a@1.0", listing=[("a.whl", "cd" * 32)], settled=settled,
        )  # fmt: skip
        with self._fence(), self.world.db.write() as conn:
            if fenced.held(conn, lease, self.now).kind is AttemptKind.RESOLVE:
                fenced.store_resolution(conn, lease, self._signed(), facts, self.now)

    @rule(lease=leases)
    def report(self, lease: str) -> None:
        with self._fence(), self.world.db.write() as conn:
            if fenced.held(conn, lease, self.now).kind is AttemptKind.REBUILD:
                fenced.store_report(conn, lease, self._signed(), [{"n": 1, "outcome": "differs"}], self.now)

    @rule(lease=leases, retry=st.booleans())
    def release(self, lease: str, retry: bool) -> None:
        with self._fence(), self.world.db.write() as conn:
            fenced.release(conn, lease, "the engine is gone", retry=retry, retries=RETRIES, now=self.now)

    @rule(lease=leases)
    def reject(self, lease: str) -> None:
        with self._fence(), self.world.db.write() as conn:
            if fenced.held(conn, lease, self.now).kind is AttemptKind.RESOLVE:
                fenced.reject(conn, lease, Slug.UNKNOWN_PACKAGE, "no such project", self.now)

    @rule(seconds=st.integers(0, 20))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def reconcile(self) -> None:
        with self.world.db.write() as conn:
            for row in recovery.expired(conn, self.now):
                recovery.lose(conn, row, retries=RETRIES, now=self.now)

    @rule()
    def attest(self) -> None:
        with self.world.db.write() as conn:
            for row in rebuilds.attesting(conn):
                assert row.settled_by is not None
                assert row.resolution_id is not None
                rebuilds.move(
                    conn, row.id, RebuildState.DONE, now=self.now, outcome="inconclusive" if row.settled_by == "infrastructure" else "differs"
                )

    @invariant()
    def moves_stand_in_the_table(self) -> None:
        if not hasattr(self, "world"):
            return
        for row in self.world.sql("SELECT id, state FROM rebuild"):
            state, before = RebuildState(row.state), self.seen.get(row.id, RebuildState.QUEUED)
            assert _reachable(before, state, REBUILD_TRANSITIONS), (before, state)
            self.seen[row.id] = state
            if state.terminal:
                assert self.ended.setdefault(row.id, state) is state
        for row in self.world.sql("SELECT id, state FROM attempt"):
            after, was = AttemptState(row.state), self.seen_attempts.get(row.id, AttemptState.WAITING)
            assert _reachable(was, after, ATTEMPT_TRANSITIONS), (was, after)
            self.seen_attempts[row.id] = after

    @invariant()
    def everything_open_can_go_on(self) -> None:
        if not hasattr(self, "world"):
            return
        assert stuck(self.world.db) == []
        open_without_bell = """SELECT a.id FROM attempt a LEFT JOIN outbox o ON o.attempt_id = a.id
            WHERE (a.state IN ('waiting', 'dispatched')) <> (o.id IS NOT NULL)"""
        assert self.world.sql(open_without_bell) == []
        assert self.world.sql("SELECT id FROM rebuild WHERE state IN ('attesting', 'done') AND resolution_id IS NULL") == []
        assert self.world.sql("SELECT id FROM rebuild WHERE outcome IS NOT NULL AND state <> 'done'") == []
        twice = "SELECT rebuild_id FROM report WHERE kind = 'report' GROUP BY rebuild_id HAVING count(*) > 1"
        assert self.world.sql(twice) == []
        beyond = f"SELECT id FROM attempt WHERE n > {RETRIES + 1}"
        assert self.world.sql(beyond) == []

    def finish_everything(self) -> None:
        """From any state, workers that only ever die bring every accepted request to one end."""
        for _ in range(4 * (RETRIES + 1)):
            self.now += timedelta(seconds=100)
            self.dispatch(lost=False)
            for row in self.world.sql("SELECT id, kind FROM attempt WHERE state IN ('waiting', 'dispatched')"):
                with self.world.db.write() as conn:
                    fenced.claim(
                        conn,
                        row.id,
                        AttemptKind(row.kind),
                        principal=self.world.principals["worker"],
                        worker_sha256="ab" * 32,
                        now=self.now,
                        seconds=LEASE,
                    )
            self.now += timedelta(seconds=100)
            self.reconcile()
            self.attest()
            self.moves_stand_in_the_table()
            self.everything_open_can_go_on()
        assert {row.id for row in self.world.sql("SELECT id FROM rebuild")} == set(self.accepted)
        assert set(self.ended) == set(self.accepted)
        assert self.world.sql("SELECT * FROM outbox") == []

    def _fence(self) -> _Fence:
        return _Fence()

    def _signed(self) -> Signed:
        self.count += 1
        return Signed(id=AttestationId(sha256(str(self.count).encode())), envelope=b"{}", blobs=frozenset())


class _Fence:
    """A worker without the lease gets lease-lost, and nothing else."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        return isinstance(error, ProblemError) and error.problem.slug is Slug.LEASE_LOST


def _reachable(start: S, goal: S, table: dict[S, frozenset[S]]) -> bool:
    seen, edge = {start}, {start}
    while edge:
        edge = {after for each in edge for after in table[each]} - seen
        seen |= edge
    return goal in seen


TestRecords = pytest.mark.slow(Records.TestCase)
TestRecords.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
