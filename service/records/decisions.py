"""Decisions: a question stored by the API, answered, signed and logged by the attester (DESIGN section 5.11).

API: ``ask``, ``get``. Attester: ``asked``, then ``answer_pending`` | ``begin_signing`` (in the transaction that inserts the envelope) and,
with the entry, ``finish``; or ``fail``. No verdict of these rows is ever believed: pages show it, the envelope counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from reprove.core.errors import OwnError
from service.records import ids
from service.records.ids import DecisionId
from service.records.principals import Principal
from service.records.schema import decision, decision_artifact


class DecisionState(StrEnum):
    """Where a question is: ``asked`` and ``signing`` are answered 202."""

    ASKED = "asked"
    SIGNING = "signing"
    DONE = "done"
    FAILED = "failed"


_TRANSITIONS = {
    DecisionState.ASKED: {DecisionState.SIGNING, DecisionState.DONE, DecisionState.FAILED},
    DecisionState.SIGNING: {DecisionState.DONE},
}


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One row of ``decision``; ``question`` is ``{artifacts, release?, …}`` as the API stored it, ``result`` the body of INTERFACE section 5."""

    id: DecisionId
    principal_id: str
    state: DecisionState
    policy: str
    question: dict[str, Any]
    now: datetime
    checkpoint: str | None
    verdict: str | None
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    created: datetime
    finished: datetime | None


def ask(conn: Connection, principal: Principal, *, policy: str, question: dict[str, Any], checkpoint: str | None, now: datetime) -> DecisionId:
    """Store a question with the time and checkpoint for which it is asked."""
    made = ids.decision_id(now)
    conn.execute(
        decision.insert().values(
            id=made,
            principal_id=principal.id,
            state=DecisionState.ASKED.value,
            policy=policy,
            question=question,
            now=now,
            checkpoint=checkpoint,
            created=now,
        )
    )
    return made


def get(conn: Connection, id: str) -> DecisionRow | None:  # noqa: A002  # the column's name
    """Read one decision."""
    row = conn.execute(select(decision).where(decision.c.id == id)).mappings().first()
    return None if row is None else _read(row)


def asked(conn: Connection, limit: int = 16) -> list[DecisionRow]:
    """The attester's queue: questions not answered yet, oldest first."""
    return _in_state(conn, DecisionState.ASKED, limit)


def signing(conn: Connection, limit: int = 16) -> list[DecisionRow]:
    """Answers whose envelope is persisted and has no entry yet."""
    return _in_state(conn, DecisionState.SIGNING, limit)


def answer_pending(conn: Connection, id: str, result: dict[str, Any], now: datetime) -> None:  # noqa: A002  # the column's name
    """The verdict is ``pending``: neither signed nor logged."""
    _move(conn, id, DecisionState.DONE, verdict="pending", result=result, finished=now)


def begin_signing(conn: Connection, id: str, verdict: str, result: dict[str, Any], artifacts: Iterable[str]) -> None:  # noqa: A002  # the column's name
    """The envelope is persisted in this transaction; ``artifacts`` are the digests by which the decision is found."""
    _move(conn, id, DecisionState.SIGNING, verdict=verdict, result=result)
    rows = [{"decision_id": id, "sha256": digest} for digest in sorted(set(artifacts))]
    if rows:
        conn.execute(decision_artifact.insert(), rows)


def finish(conn: Connection, id: str, now: datetime) -> None:  # noqa: A002  # the column's name
    """The entry is recorded in this transaction: the decision may be shown."""
    _move(conn, id, DecisionState.DONE, finished=now)


def fail(conn: Connection, id: str, problem: dict[str, Any], now: datetime) -> None:  # noqa: A002  # the column's name
    """No answer is possible (a policy that cannot be read): never an allow (G6)."""
    _move(conn, id, DecisionState.FAILED, problem=problem, finished=now)


def about(conn: Connection, sha256: str, limit: int = 100) -> list[DecisionRow]:
    """Signed decisions that had this artifact among theirs, newest first."""
    query = (
        select(decision)
        .join(decision_artifact, decision_artifact.c.decision_id == decision.c.id)
        .where(decision_artifact.c.sha256 == sha256, decision.c.state == DecisionState.DONE.value)
    )
    return [_read(row) for row in conn.execute(query.order_by(decision.c.id.desc()).limit(limit)).mappings()]


def _in_state(conn: Connection, state: DecisionState, limit: int) -> list[DecisionRow]:
    query = select(decision).where(decision.c.state == state.value).order_by(decision.c.id).limit(limit)
    return [_read(row) for row in conn.execute(query).mappings()]


def _move(conn: Connection, id: str, to: DecisionState, **columns: object) -> None:  # noqa: A002  # the column's name
    froms = [state.value for state, targets in _TRANSITIONS.items() if to in targets]
    done = conn.execute(update(decision).where(decision.c.id == id, decision.c.state.in_(froms)).values(state=to.value, **columns))
    if done.rowcount != 1:
        raise OwnError(f"decision {id} cannot become {to}")


def _read(row: RowMapping) -> DecisionRow:
    return DecisionRow(**{**row, "state": DecisionState(row["state"])})
