"""The third part of the table: levels below ``times-stamped``, whose equality is a worker's word, and the passes that they rest on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from reprove.core.digests import sha256
from reprove.core.evidence import build_evidence
from reprove.core.outcomes import Level
from reprove.core.statements.common import decode
from reprove.core.statements.parts import Pass
from tests.core.cases import CASES, GOOD, MALFORMED, OUTCOME, Case, edited, world
from tests.core.world import FILE, NAME

PASSES = (Pass("wheel-generator", "1"), Pass("wheel-record", "2"))
SEMANTIC = (Pass("jar-signature", "1"),)


def asked(level: str, code: int, **options: Any) -> Case:
    return dataclasses.replace(edited(code, lambda _: None, **options), arguments=("--level", level))


@CASES
def canonical_is_below_the_default() -> Case:
    return edited(OUTCOME, lambda _: None, lower=Level.CANONICAL)


@CASES
def canonical_where_canonical_is_asked_for() -> Case:
    return asked("canonical", GOOD, lower=Level.CANONICAL)


@CASES
def canonical_where_normalized_is_asked_for() -> Case:
    return asked("normalized", GOOD, lower=Level.CANONICAL)


@CASES
def normalized_is_below_the_default() -> Case:
    return edited(OUTCOME, lambda _: None, lower=Level.NORMALIZED, passes=PASSES)


@CASES
def normalized_where_canonical_is_asked_for() -> Case:
    return asked("canonical", OUTCOME, lower=Level.NORMALIZED, passes=PASSES)


@CASES
def normalized_where_normalized_is_asked_for() -> Case:
    return asked("normalized", GOOD, lower=Level.NORMALIZED, passes=PASSES)


@CASES
def semantic_where_normalized_is_asked_for() -> Case:
    return asked("normalized", OUTCOME, lower=Level.SEMANTIC, passes=SEMANTIC)


@CASES
def semantic_where_semantic_is_asked_for() -> Case:
    return asked("semantic", GOOD, lower=Level.SEMANTIC, passes=SEMANTIC)


@CASES
def normalized_and_any_outcome_is_asked_for() -> Case:
    return dataclasses.replace(edited(GOOD, lambda _: None, lower=Level.NORMALIZED, passes=PASSES), arguments=("--any-outcome",))


def odd(change: Callable[[dict[str, Any]], object], **options: Any) -> Case:
    """The operator itself signed and logged a comparison that contradicts itself or its report; the reader would accept any level."""
    here = world()
    entries, reported, _ = here.rebuild(**options)
    statement = decode(entries[1].envelope.payload)
    change(statement.predicate)
    statement.predicate.pop("provenance")
    made = build_evidence(name=NAME, sha256=sha256(FILE), entries=here.add(statement), hints=here.trust(), reports=[reported])
    return Case(made.encode(), here.trust(), MALFORMED, arguments=("--level", "semantic"))


NORMALIZED: dict[str, Any] = {"lower": Level.NORMALIZED, "passes": PASSES}


@CASES
def normalized_without_passes() -> Case:
    return odd(lambda said: said.pop("passes"), **NORMALIZED)


@CASES
def normalized_with_an_empty_list_of_passes() -> Case:
    return odd(lambda said: said.update(passes=[]), **NORMALIZED)


@CASES
def normalized_with_a_pass_that_has_no_version() -> Case:
    return odd(lambda said: said["passes"][0].pop("version"), **NORMALIZED)


@CASES
def normalized_with_a_pass_twice() -> Case:
    return odd(lambda said: said.update(passes=[said["passes"][0]] * 2), **NORMALIZED)


@CASES
def normalized_with_a_pass_that_writes_to_the_terminal() -> Case:
    return odd(lambda said: said["passes"][0].update(id="\u001b[2Jnone"), **NORMALIZED)


@CASES
def passes_that_the_report_does_not_name() -> Case:
    return odd(lambda said: said["passes"].pop(), **NORMALIZED)


@CASES
def another_version_of_a_pass_than_the_report_names() -> Case:
    return odd(lambda said: said["passes"][0].update(version="7"), **NORMALIZED)


@CASES
def canonical_where_the_report_says_normalized() -> Case:
    def change(said: dict[str, Any]) -> None:
        said["level"] = "canonical"
        del said["passes"]

    return odd(change, **NORMALIZED)


@CASES
def canonical_with_passes() -> Case:
    return odd(lambda said: said.update(passes=[{"id": "wheel-generator", "version": "1"}]), lower=Level.CANONICAL)


@CASES
def canonical_of_the_same_bytes() -> Case:
    return odd(lambda said: said["rebuilt"].update(sha256=sha256(FILE)), lower=Level.CANONICAL)


@CASES
def canonical_without_rebuilt_bytes() -> Case:
    return odd(lambda said: said.pop("rebuilt"), lower=Level.CANONICAL)


@CASES
def canonical_of_a_false_manifest() -> Case:
    return odd(lambda said: said.update(findings=[{"code": "false-manifest"}]), lower=Level.CANONICAL)


@CASES
def bitwise_with_passes() -> Case:
    return odd(lambda said: said.update(passes=[{"id": "wheel-generator", "version": "1"}]))
