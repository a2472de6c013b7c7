"""A story for each cause in builds that real tools made, and for each attack: what is named first, and how sure."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from reprove.compare.causes.catalogue import LISTS, ROWS, UNEXPLAINED
from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from reprove.core.outcomes import Certainty
from tests.bench import shapes_bench
from tests.compare import attacks, injections
from tests.compare.builds import DEB, Spec, name_of, project
from tests.compare.ccode import HAS_COMPILER

NEVER_INJECTED = {UNEXPLAINED}
LIKELY = frozenset(
    ["executable-bit", "host-or-user", "random", "git-state", "hash-order", "locale-order", "dependency-drift", "moved-member", "renamed-chunk"]
)
"""Causes whose form says nothing of what the bytes mean: never proved."""


def compared(folder: Path, old: Spec, new: Spec) -> Comparison:
    (folder / "original").write_bytes(old.build())
    (folder / "rebuilt").write_bytes(new.build())
    return compare_files(folder / "original", folder / "rebuilt", names=(name_of(old), name_of(new)))


def proved(found: Comparison) -> set[str]:
    return {one.id for one in found.causes if one.certainty is Certainty.PROVED}


STORIES = [
    pytest.param(cause, form, inject, id=f"{cause} {form} {inject.__name__}", marks=[pytest.mark.slow] if inject in injections.NEED_COMPILER else [])
    for cause, forms, inject in injections.INJECTIONS
    for form in forms[:1] + forms[-1:]
    if form != DEB or len(forms) == 1
]


@pytest.mark.parametrize(("cause", "form", "inject"), STORIES)
def test_what_was_injected_is_named_first(tmp_path: Path, cause: str, form: str, inject: injections.Inject) -> None:
    if inject in injections.NEED_COMPILER and not HAS_COMPILER:
        pytest.skip("no gcc here")
    rng = random.Random(f"{cause} {form}")
    old = project(rng, form)
    new = old.twin()
    inject(rng, old, new)
    found = compared(tmp_path, old, new)
    assert found.causes[0].id == cause
    assert not proved(found) & LIKELY
    assert sum(one.count for one in found.causes) == found.count


def test_every_cause_of_the_catalogue_is_injected_somewhere() -> None:
    assert {row.id for row in ROWS} == {cause for cause, _, _ in injections.INJECTIONS} | NEVER_INJECTED


ATTACKS = [
    pytest.param(kind, form, attack, what, id=f"{kind} {what} {form}", marks=[pytest.mark.slow] if attack in attacks.NEED_COMPILER else [])
    for kind, table in (("plain", attacks.PLAIN), ("dressed", attacks.DRESSED))
    for what, forms, attack in table
    for form in forms[:2]
]


@pytest.mark.parametrize(("kind", "form", "attack", "what"), ATTACKS)
def test_nothing_that_an_attacker_did_is_proved_harmless(tmp_path: Path, kind: str, form: str, attack: attacks.Attack, what: str) -> None:
    if attack in attacks.NEED_COMPILER and not HAS_COMPILER:
        pytest.skip("no gcc here")
    rng = random.Random(f"{what} {form}")
    old = project(rng, form)
    new = old.twin()
    attack(rng, old, new)
    for sides in ((old, new), (new, old)):
        found = compared(tmp_path, *sides)
        assert proved(found) <= LISTS | {attacks.ALSO.get(what, "")}
        assert kind == "dressed" or found.causes[0].id == UNEXPLAINED


@pytest.mark.slow
def test_causes_are_named_in_builds_drawn_at_random() -> None:
    seed = random.SystemRandom().randrange(2**32)
    score, _ = shapes_bench.measure(seed, share=0.2)
    print(f"seed {seed}: {score.missed}")
    assert score.false == []
    assert all(score.good[kind] == score.kinds[kind] for kind in ("tampered", "covered", "dressed"))
    assert score.top1 >= 0.9
    assert score.mixed_recall >= 0.9
