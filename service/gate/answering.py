"""A stored question answered: the same inputs, ``now`` and checkpoint give the same payload bytes (G6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reprove.core.digests import Sha256, parse_sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.policy import Opinion, Question, evaluate
from reprove.core.policy.evaluation import Evaluation
from reprove.core.purls import parse_purl
from reprove.core.statements import decision as decisions
from reprove.core.statements.codec import Timestamp, to_json
from reprove.core.statements.common import MAX_SUBJECTS, Statement
from reprove.core.statements.decision import CheckpointRef, Decision, PolicyRef, Verdict
from reprove.core.statements.parts import Deployment
from service.gate.policies import PolicyFolder

MAX_ARTIFACTS = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was stored: policy, artifacts, time and tree."""

    policy: str
    questions: tuple[Question, ...]
    now: datetime
    checkpoint: CheckpointRef
    release: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict with the body of INTERFACE section 5, and the statement to sign (None for pending)."""

    verdict: Verdict
    body: dict[str, Any]
    statement: Statement | None
    digests: tuple[Sha256, ...]


def read_question(question: dict[str, Any], under_way: Callable[[Sha256 | None, str | None], bool]) -> tuple[tuple[Question, ...], str | None]:
    """Read the stored question; it came through SQL, so it is checked again. Raises ProblemError."""
    rows = question.get("artifacts")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ARTIFACTS:
        raise ProblemError(Slug.INVALID_REQUEST, f"a question has 1 to {MAX_ARTIFACTS} artifacts", pointer="/artifacts")
    found: list[Question] = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or not {"sha256", "purl"} & set(row):
            raise ProblemError(Slug.INVALID_REQUEST, "an artifact has sha256 or purl", pointer=f"/artifacts/{index}")
        digest = parse_sha256(row["sha256"], pointer=f"/artifacts/{index}/sha256") if row.get("sha256") is not None else None
        purl = parse_purl(row["purl"]) if row.get("purl") is not None else None
        found.append(Question(digest, purl, under_way(digest, str(purl) if purl else None)))
    release = question.get("release")
    return tuple(dict.fromkeys(found)), str(release) if release is not None else None


def answer(asked: Asked, policies: PolicyFolder, opinions: Iterable[Opinion], *, operator: str, deployment: Deployment) -> Answer:
    """Evaluate and word the answer. Pure but for the policy files, which the answer names by digest."""
    known = list(opinions)
    policy = policies.named(asked.policy)
    evaluation = evaluate(policy, policies.bindings, policies, questions=asked.questions, opinions=known, now=asked.now)
    reference = PolicyRef(policy.name, policy.sha256)
    digests = tuple(dict.fromkeys(row.sha256 for row in evaluation.rows if row.sha256 is not None))
    body = _body(asked, reference, evaluation)
    if evaluation.verdict is Verdict.PENDING:
        return Answer(evaluation.verdict, body, None, digests)
    value = Decision(
        verdict=evaluation.verdict,
        policy=reference,
        bound=evaluation.bound,
        now=Timestamp(timestamp(asked.now)),
        checkpoint=asked.checkpoint,
        artifacts=evaluation.rows,
        operator=operator,
        deployment=deployment,
        release=asked.release,
    )
    if len(evaluation.rows) > MAX_SUBJECTS:
        value = replace(value, artifacts=None, rows=decisions.rows_of(evaluation.rows))
    return Answer(evaluation.verdict, body, decisions.build(value, _names(known)), digests)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond: what SQL keeps of ``now``."""
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return f"{text}Z"


def _names(opinions: Sequence[Opinion]) -> dict[Sha256, str]:
    """File names by digest; where several are known, the first in the alphabet."""
    names: dict[Sha256, str] = {}
    for opinion in opinions:
        name = opinion.purl.file_name
        if name is not None and name < names.get(opinion.sha256, "\uffff"):
            names[opinion.sha256] = name
    return names


def _body(asked: Asked, policy: PolicyRef, evaluation: Evaluation) -> dict[str, Any]:
    body: dict[str, Any] = {
        "verdict": evaluation.verdict.value,
        "artifacts": [to_json(row) for row in evaluation.rows],
        "policy": to_json(policy),
        "bound": to_json(evaluation.bound),
        "checkpoint": to_json(asked.checkpoint),
        "now": timestamp(asked.now),
        "waivers": [],
    }
    return body | ({"release": asked.release} if asked.release else {})
