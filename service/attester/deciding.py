"""One round over stored questions: read policy files and envelopes, decide, sign, persist, log, record (DESIGN section 5.11)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from reprove.core import dsse
from reprove.core.digests import Sha256
from reprove.core.errors import OwnError, ProblemError, ReproveError, Slug, VerificationError
from reprove.core.merkle import EMPTY_ROOT
from reprove.core.purls import parse_purl
from reprove.core.statements import decision as statements_of_decisions
from reprove.core.statements.common import PredicateType, decode
from reprove.core.statements.decision import CheckpointRef, Decision
from reprove.core.states import RebuildState
from reprove.crashpoints import crash_point
from reprove.signers import sign_statement
from service.attester.attest import Identity
from service.attester.submit import LogTrust, Submitter, record_entry
from service.gate.answering import Answer, Asked, answer, read_question, timestamp
from service.gate.opinions import Opinions
from service.gate.policies import PolicyFolder
from service.records import decisions, statements, times
from service.records.database import Database
from service.records.decisions import DecisionRow, DecisionState
from service.records.schema import decision, rebuild

log = structlog.get_logger()

LAG_SECONDS = 10
"""How long a question waits for entries that its checkpoint covers and the records do not have yet."""
ALARM_SECONDS = 60
STALE_SECONDS = 600
"""Age from which a question is not answered any more: its time and its checkpoint would hide what came since (G6)."""
AHEAD_SECONDS = 60
"""How far the asking process's clock may be ahead."""


class Decisions:
    """The deciding half of the attester. One per process; not shared between threads."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        submitter: Submitter,
        *,
        trust: LogTrust,
        opinions: Opinions,
        policies: Callable[[], PolicyFolder],
    ) -> None:
        self._database = database
        self._identity = identity
        self._submitter = submitter
        self._trust = trust
        self._opinions = opinions
        self._policies = policies
        self._alarmed: dict[str, float] = {}

    def round(self) -> int:
        """Answer what is asked and finish what is being signed; returns how many decisions ended."""
        with self._database.read() as conn:
            unfinished = decisions.signing(conn)
            queue = decisions.asked(conn)
        done = sum(self._guarded(row, self._finish) for row in unfinished)
        return done + sum(self._guarded(row, self._answer) for row in queue)

    def _guarded(self, row: DecisionRow, work: Callable[[DecisionRow], int]) -> int:
        try:
            return work(row)
        except ProblemError as error:
            if error.problem.slug in (Slug.UNAVAILABLE, Slug.STORAGE_FULL):
                self._alarm(row.id, error.problem.detail)
                return 0
            return self._fail(row, error)
        except (OwnError, VerificationError) as error:
            # Evidence that does not verify, a log that lies: never an allow, and the operator has to look.
            self._alarm(row.id, str(error))
            if row.state is not DecisionState.ASKED:
                return 0
            return self._fail(row, ProblemError(Slug.UNAVAILABLE, "the evidence does not verify; the operator has to look"))
        except (ReproveError, SQLAlchemyError) as error:
            self._alarm(row.id, str(error))
            return 0
        except Exception as error:
            # Whatever it is, also what tampered rows cause that nobody thought of: one question's fault never stops the others.
            log.exception("a question cannot be worked on", decision=row.id)
            self._alarm(row.id, f"internal error: {type(error).__name__}")
            if row.state is not DecisionState.ASKED:
                return 0
            return self._fail(row, ProblemError(Slug.UNAVAILABLE, "an internal error; the operator has to look"))

    def _answer(self, row: DecisionRow) -> int:
        age = (times.now() - row.now).total_seconds()
        if not -AHEAD_SECONDS <= age <= STALE_SECONDS:
            return self._fail(row, ProblemError(Slug.UNAVAILABLE, f"the question's time is {age:.0f} s ago, so its evidence may be stale: ask again"))
        result = self.evaluate(row)
        if result is None:
            return self._lagging(row)
        if result.statement is None:
            with self._database.write() as conn:
                decisions.answer_pending(conn, row.id, result.body, times.now())
            return 1
        return self._finish(row) if self._persist(row, result) else 0

    def evaluate(self, row: DecisionRow) -> Answer | None:
        """Answer a question without storing anything: the same row gives the same payload at any later time. None: the records lag its tree."""
        checkpoint = self._checkpoint(row.checkpoint)
        with self._database.read() as conn:
            if statements.complete_to(conn) < checkpoint.size:
                return None
            questions, release = read_question(row.question, _under_way(conn))
            digests = [question.sha256 for question in questions if question.sha256 is not None]
            names = [str(question.purl) for question in questions if question.purl is not None]
            found = {opinion.id: opinion for opinion in self._opinions.about(conn, digests, size=checkpoint.size)}
            found |= {opinion.id: opinion for opinion in self._opinions.named(conn, names, size=checkpoint.size)}
        asked = Asked(row.policy, questions, row.now, checkpoint, release)
        return answer(asked, self._policies(), found.values(), operator=self._identity.operator, deployment=self._identity.deployment)

    def _persist(self, row: DecisionRow, result: Answer) -> bool:
        """Sign, and keep envelope and state in one transaction; a question that is answered is never evaluated again.

        False when the same question of the same millisecond has this very answer already: it is asked again, a millisecond later.
        """
        assert result.statement is not None
        envelope = sign_statement(self._identity.signer, result.statement.encode())
        subject = result.statement.subjects[0]
        with self._database.write() as conn:
            if statements.get(conn, envelope.id) is not None:
                conn.execute(update(decision).where(decision.c.id == row.id).values(now=row.now + timedelta(milliseconds=1)))
                return False
            statements.insert(
                conn,
                envelope.id,
                envelope.encode(),
                PredicateType.DECISION.value,
                decision_id=row.id,
                created=times.now(),
                subject_name=subject.name,
                subject_sha256=subject.sha256,
                operator=self._identity.operator,
            )
            decisions.begin_signing(conn, row.id, result.verdict.value, result.body, result.digests)
        # A crash here: the state is `signing`, and the next run submits these bytes; until then nobody is told allow.
        crash_point("decision.persisted")
        return True

    def _finish(self, row: DecisionRow) -> int:
        """Submit the persisted envelope, check that it answers this question, record its entry and `done` in one transaction."""
        with self._database.read() as conn:
            stored = statements.of_decision(conn, row.id)
        if len(stored) != 1:
            raise OwnError(f"decision {row.id} is being signed and has {len(stored)} envelopes")
        envelope = dsse.decode(stored[0].envelope)
        if envelope.id != stored[0].id or not envelope.signed_by([self._identity.signer.public_key]):
            raise OwnError(f"the envelope of decision {row.id} is not ours: somebody wrote a verdict that nobody signed")
        value = statements_of_decisions.read(decode(envelope.payload))
        if value.policy.name != row.policy or value.now != timestamp(row.now) or not _about(value, row.question):
            raise OwnError(f"the envelope of decision {row.id} answers another question")
        (entry,) = self._submitter.submit([envelope])
        now = times.now()
        with self._database.write() as conn:
            record_entry(conn, entry, now)
            decisions.finish(conn, row.id, now)
        crash_point("decision.recorded")
        log.info("decided", decision=row.id, verdict=value.verdict.value, policy=value.policy.name, log_index=entry.index)
        return 1

    def _checkpoint(self, note: str | None) -> CheckpointRef:
        """The tree for which the question is asked, verified; the empty tree when the log had none yet."""
        if note is None:
            return CheckpointRef(self._trust.vkey.name, 0, Sha256(EMPTY_ROOT.hex()))
        opened = self._trust.open(note).checkpoint
        return CheckpointRef(opened.origin, opened.size, Sha256(opened.root.hex()))

    def _lagging(self, row: DecisionRow) -> int:
        """Entries of the question's tree are not recorded yet: wait, for what is missing may be a dissent."""
        if (times.now() - row.created).total_seconds() < LAG_SECONDS:
            return 0
        return self._fail(row, ProblemError(Slug.UNAVAILABLE, "the records lack entries that the log has; ask again"))

    def _fail(self, row: DecisionRow, error: ProblemError) -> int:
        log.warning("a question cannot be answered", decision=row.id, reason=error.problem.detail)
        try:
            with self._database.write() as conn:
                decisions.fail(conn, row.id, error.problem.as_json(), times.now())
        except (ReproveError, SQLAlchemyError) as fault:
            self._alarm(row.id, str(fault))
            return 0
        return 1

    def _alarm(self, what: str, reason: str) -> None:
        now = time.monotonic()
        if now - self._alarmed.get(what, -ALARM_SECONDS) >= ALARM_SECONDS:
            self._alarmed[what] = now
            log.error("deciding is held up", alarm=True, decision=what, reason=reason)


def _about(value: Decision, question: dict[str, Any]) -> bool:
    """Whether an envelope's artifacts are the question's; a large one names them only by the digest of its rows."""
    if value.artifacts is None:
        return value.rows is not None and len(question["artifacts"]) >= value.rows.count
    asked = {(row.get("sha256"), None if row.get("sha256") else row.get("purl")) for row in question["artifacts"]}
    return asked == {(row.sha256, None if row.sha256 else row.purl) for row in value.artifacts}


def _under_way(conn: Connection) -> Callable[[Sha256 | None, str | None], bool]:
    """Which artifacts have a rebuild that has not ended: by digest once it is resolved, by name before. It can only turn deny into pending."""
    states = [state.value for state in RebuildState if not state.terminal]
    rows = conn.execute(select(rebuild.c.original_sha256, rebuild.c.purl).where(rebuild.c.state.in_(states))).all()
    digests = {row.original_sha256 for row in rows}
    names = {row.purl for row in rows}

    def under_way(digest: Sha256 | None, purl: str | None) -> bool:
        if digest is not None and digest in digests:
            return True
        return purl is not None and not names.isdisjoint({purl, str(parse_purl(purl).without_file())})

    return under_way
