"""A question as it comes out of SQL, and the answer as a pure function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError
from reprove.core.outcomes import Outcome
from reprove.core.statements.decision import CheckpointRef, Verdict
from reprove.core.statements.parts import Deployment
from service.gate.answering import Answer, Asked, answer, read_question
from service.gate.policies import PolicyFolder
from tests.core.policy_world import ARTIFACT, NOW, PURL, STRICT, opinion

NOWHERE = CheckpointRef("log.reprove.invalid", 9, sha256(b"root"))


def never(_: Sha256 | None, __: str | None) -> bool:
    return False


def ask(folder: Path, *opinions: Any, artifacts: list[dict[str, str]] | None = None, under_way: bool = False) -> Answer:
    (folder / "default.yaml").write_text(STRICT)
    questions, release = read_question({"artifacts": artifacts or [{"sha256": ARTIFACT}]}, lambda _, __: under_way)
    asked = Asked("default", questions, NOW, NOWHERE, release)
    return answer(asked, PolicyFolder(folder), opinions, operator="https://home.invalid", deployment=Deployment.SINGLE_HOST)


MALFORMED = [
    {},
    {"artifacts": []},
    {"artifacts": "all"},
    {"artifacts": [5]},
    {"artifacts": [{}]},
    {"artifacts": [{"sha256": "x"}]},
    {"artifacts": [{"purl": "x"}]},
    {"artifacts": [{"sha256": "a" * 64}] * 10_001},
]


@pytest.mark.parametrize("question", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_question_is_a_problem(question: dict[str, Any]) -> None:
    with pytest.raises(ProblemError):
        read_question(question, never)


@given(
    st.dictionaries(
        st.sampled_from(["artifacts", "release"]),
        st.recursive(
            st.none() | st.text(max_size=4) | st.integers(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sha256", "purl"]), inner, max_size=2),
        ),
    )
)
def test_any_stored_value_is_a_question_or_a_problem(question: dict[str, Any]) -> None:
    try:
        read_question(question, never)
    except ProblemError:
        return


def test_the_same_question_twice_is_one_row(tmp_path: Path) -> None:
    result = ask(tmp_path, opinion(), artifacts=[{"sha256": ARTIFACT}, {"sha256": ARTIFACT}])
    assert len(result.body["artifacts"]) == 1


def test_the_body_and_the_statement_say_the_same(tmp_path: Path) -> None:
    result = ask(tmp_path, opinion())
    assert result.statement is not None
    for member in ("verdict", "artifacts", "policy", "bound", "checkpoint", "now", "waivers"):
        assert result.body[member] == result.statement.predicate[member], member
    assert [subject.name for subject in result.statement.subjects] == ["demo-1.0-py3-none-any.whl"]


def test_pending_has_no_statement(tmp_path: Path) -> None:
    result = ask(tmp_path, under_way=True)
    assert (result.verdict, result.statement) == (Verdict.PENDING, None)


def test_a_deny_among_pending_ones_is_a_deny(tmp_path: Path) -> None:
    other = opinion(3, artifact=sha256(b"bad"), purl="pkg:pypi/bad@1?file_name=bad-1-py3-none-any.whl", outcome=Outcome.DIFFERS)
    result = ask(tmp_path, other, artifacts=[{"sha256": ARTIFACT}, {"sha256": sha256(b"bad")}], under_way=True)
    assert [row["verdict"] for row in result.body["artifacts"]] == ["pending", "deny"]
    assert result.verdict is Verdict.DENY


def test_a_purl_is_answered_for_the_file_that_it_names(tmp_path: Path) -> None:
    result = ask(tmp_path, opinion(), artifacts=[{"sha256": ARTIFACT, "purl": PURL}])
    assert (result.verdict, result.body["artifacts"][0]["purl"]) == (Verdict.ALLOW, PURL)
