"""Opinions for policy tests: one call makes an attestation as a verified reader would hand it to the policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reprove.core.digests import AttestationId, Sha256, sha256
from reprove.core.outcomes import CAUSE_CLASSES, Finding, Level, Origin, Outcome
from reprove.core.policy import Bindings, Evaluation, Opinion, Policy, Question, evaluate, parse_bindings, parse_policy
from reprove.core.purls import parse_purl
from reprove.core.statements.codec import Timestamp
from reprove.core.statements.comparison import ComparedIndex, ComparedOriginal, Comparison, Supersedes
from reprove.core.statements.decision import ArtifactVerdict
from reprove.core.statements.parts import Blob, Cause, Deployment, EnvironmentRef, FindingRow, RecipeRef, Sized, SourceRef, Stamp

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ARTIFACT = sha256(b"the artifact")
PURL = "pkg:pypi/demo@1.0?file_name=demo-1.0-py3-none-any.whl"
HOME = "https://home.invalid"
STRICT = """\
reprove-policy: 1
name: default
rules:
  - match: "pkg:pypi/"
    indexes: [pypi]
"""


def opinion(
    index: int = 1,
    *,
    outcome: Outcome = Outcome.REPRODUCED,
    level: Level | None = Level.BITWISE,
    operator: str = HOME,
    origin: Origin = Origin.INFERRED,
    recipe: str = "one",
    artifact: Sha256 = ARTIFACT,
    purl: str = PURL,
    age: timedelta | None = timedelta(days=1),
    findings: tuple[Finding, ...] = (),
    index_id: str | None = "pypi",
    canonical: bool = True,
    source: str = "https://files.invalid/demo-1.0.tar.gz",
    deployment: Deployment = Deployment.SINGLE_HOST,
    supersedes: AttestationId | None = None,
    attester: str = "key",
    **changes: Any,
) -> Opinion:
    reproduced = outcome is Outcome.REPRODUCED
    level = level if reproduced else None
    cause = None if reproduced else Cause(min(CAUSE_CLASSES[outcome]), "why")
    rebuilt = {Level.BITWISE: artifact}.get(level, sha256(b"rebuilt")) if level else sha256(b"rebuilt")  # type: ignore[arg-type]
    stamps = (Stamp("demo/RECORD", 2, "00000000", "01020304"),) if level is Level.TIMES_STAMPED else None  # type: ignore[arg-type]
    compared = None
    if index_id is not None:
        compared = ComparedIndex(id=index_id, canonical=canonical, page=Blob(sha256(b"page")), fetched=Timestamp("2026-11-23T00:00:00Z"))
    value = Comparison(
        **{
            "outcome": outcome,
            "level": level,
            "cause": cause,
            "findings": tuple(FindingRow(code) for code in findings),
            "original": ComparedOriginal(sha256=artifact, size=5, purl=purl, verified=True),
            "rebuilt": Sized(rebuilt, 5) if outcome in (Outcome.REPRODUCED, Outcome.DIFFERS) else None,
            "stamps": stamps,
            "recipe": RecipeRef(sha256(recipe.encode()), origin) if outcome not in (Outcome.NOT_ATTEMPTABLE, Outcome.INPUT_UNAVAILABLE) else None,
            "source": SourceRef("sdist", source, sha256(b"source")),
            "index": compared,
            "environment": EnvironmentRef(Blob(sha256(b"lock"))),
            "operator": operator,
            "deployment": deployment,
            "claimed_by": {},
            "supersedes": Supersedes(supersedes, "because") if supersedes else None,
            **changes,
        }
    )
    moment = None if age is None else NOW - age
    return Opinion(
        id=AttestationId(sha256(f"{index} {operator}".encode())),
        comparison=value,
        operator=operator,
        attester=sha256(attester.encode()),
        log_index=index,
        not_before=moment,
        not_after=moment and moment + timedelta(seconds=1),
    )


def decide(
    *opinions: Opinion,
    policy: str = STRICT,
    bindings: str = "{}",
    policies: dict[str, str] | None = None,
    purl: str | None = None,
    under_way: bool = False,
    artifact: Sha256 | None = ARTIFACT,
    now: datetime = NOW,
) -> Evaluation:
    parsed: Policy = parse_policy(policy)
    bound: Bindings = parse_bindings(bindings)
    known = {parsed.name: parsed} | {name: parse_policy(text) for name, text in (policies or {}).items()}
    question = Question(artifact, parse_purl(purl) if purl else None, under_way)
    return evaluate(parsed, bound, known, questions=[question], opinions=opinions, now=now)


def row(evaluation: Evaluation) -> ArtifactVerdict:
    return evaluation.rows[0]


def rules(evaluation: Evaluation) -> list[str]:
    return [reason.rule for reason in row(evaluation).reasons]


def with_rule(text: str) -> str:
    return STRICT + "".join(f"    {line}\n" for line in text.splitlines())
