"""The second half of the table: outcomes, histories, and keys of the reader against keys of the evidence."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from reprove.core import checkpoints, cosignatures, notes
from reprove.core.digests import sha256
from reprove.core.evidence import build_evidence
from reprove.core.outcomes import Outcome
from reprove.core.statements.common import Statement, decode
from reprove.signers import sign_statement
from tests.core.cases import (
    CASES,
    GOOD,
    MALFORMED,
    OUTCOME,
    SUBJECT,
    UNTRUSTED,
    Case,
    edited,
    signed_anew,
    world,
)
from tests.core.world import FILE, NAME, START, World, ed


@CASES
def differs() -> Case:
    return edited(OUTCOME, lambda _: None, outcome=Outcome.DIFFERS)


@CASES
def differs_and_any_outcome_is_asked_for() -> Case:
    return dataclasses.replace(edited(GOOD, lambda _: None, outcome=Outcome.DIFFERS), arguments=("--any-outcome",))


@CASES
def times_stamped() -> Case:
    return edited(GOOD, lambda _: None, stamped=True)


@CASES
def times_stamped_and_bitwise_is_asked_for() -> Case:
    return dataclasses.replace(edited(OUTCOME, lambda _: None, stamped=True), arguments=("--level", "bitwise"))


@CASES
def bitwise_and_semantic_would_do() -> Case:
    return dataclasses.replace(edited(GOOD, lambda _: None), arguments=("--level", "semantic"))


def history(code: int, *steps: dict[str, Any]) -> Case:
    here = World()
    entries = [one for step in steps for one in here.rebuild(**step)[0]]
    return Case(build_evidence(name=NAME, sha256=sha256(FILE), entries=entries, hints=here.trust()).encode(), here.trust(), code)


@CASES
def reproduced_and_later_not() -> Case:
    return history(OUTCOME, {}, {"outcome": Outcome.DIFFERS, "recipe": b"another"})


@CASES
def run_again_by_the_same_recipe_until_green() -> Case:
    return history(OUTCOME, {"outcome": Outcome.DIFFERS}, {})


@CASES
def reproduced_later_by_another_recipe() -> Case:
    return history(GOOD, {"outcome": Outcome.DIFFERS}, {"recipe": b"another"})


@CASES
def corrected_by_a_statement_that_supersedes() -> Case:
    here = World()
    bad = here.rebuild(outcome=Outcome.DIFFERS)[0]
    good = here.rebuild()[0]
    old = decode(good[1].envelope.payload)
    fixed = Statement(old.subjects, old.predicate_type, {**old.predicate, "supersedes": {"id": bad[1].envelope.id, "reason": "a broken disk"}})
    entries = [*bad, good[0], here.add(fixed)[0]]
    return Case(build_evidence(name=NAME, sha256=sha256(FILE), entries=entries, hints=here.trust()).encode(), here.trust(), GOOD)


@CASES
def extension_lines_that_the_log_signed() -> Case:
    here = world()
    made = here.evidence()
    head = checkpoints.parse_checkpoint(notes.parse_note(made.entries[1].checkpoint).text)
    text = dataclasses.replace(head, extensions=("extra",)).text
    note = notes.format_note(
        text, [notes.sign_note(text, here.origin, ed("real-log")), cosignatures.cosign(text, "w1.example", ed("real-w1.example"), START)]
    )
    entries = (made.entries[0], dataclasses.replace(made.entries[1], checkpoint=note))
    return Case(dataclasses.replace(made, entries=entries).encode(), here.trust(), MALFORMED)


@CASES
def a_witness_that_the_reader_calls_otherwise() -> Case:
    here = world()
    renamed = World(witnesses=("w1.example",)).witness_vkey("w1.example")
    trusted = dataclasses.replace(here.trust(), witnesses=(dataclasses.replace(renamed, name="mine.example"),))
    return Case(here.evidence().encode(), trusted, GOOD)


@CASES
def a_trusted_attester_in_a_log_that_the_reader_has_not_chosen() -> Case:
    here = world()
    return Case(here.evidence().encode(), dataclasses.replace(here.trust(), logs=World(seed="fake").trust().logs), UNTRUSTED)


@CASES
def an_earlier_checkpoint_by_a_key_that_the_reader_has_not_chosen() -> Case:
    here, fake = world(), world(seed="fake")
    made = here.evidence()
    entries = (made.entries[0], dataclasses.replace(made.entries[1], before=fake.note(2)))
    return Case(dataclasses.replace(made, entries=entries, hints=fake.trust()).encode(), here.trust(), UNTRUSTED)


@CASES
def a_subject_with_the_files_sha512() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda _: None, hashlib.sha512(FILE).hexdigest()).encode(), here.trust(), GOOD)


@CASES
def a_subject_with_another_files_sha512() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda _: None, hashlib.sha512(b"x").hexdigest()).encode(), here.trust(), SUBJECT)


@CASES
def a_report_by_another_worker() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda predicate: predicate["worker"].update(sha256=sha256(b"x"))).encode(), here.trust(), MALFORMED)


@CASES
def a_provenance_about_other_bytes() -> Case:
    here = world()
    entries, reported, resolved = here.rebuild()
    provenance, compared = (decode(one.envelope.payload) for one in entries)
    other = dataclasses.replace(provenance, subjects=(dataclasses.replace(provenance.subjects[0], sha256=sha256(b"x")),))
    compared.predicate["provenance"] = sign_statement(here.key("attester"), other.encode()).id
    made = build_evidence(
        name=NAME, sha256=sha256(FILE), entries=here.add(other, compared), hints=here.trust(), reports=[reported], resolutions=[resolved]
    )
    return Case(made.encode(), here.trust(), MALFORMED)


@CASES
def a_resolution_with_another_source() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda predicate: predicate["source"].update(sha256=sha256(b"x"))).encode(), here.trust(), MALFORMED)


@CASES
def a_report_with_other_rebuilt_bytes() -> Case:
    here = world()
    entries, reported, _ = here.rebuild(stamped=True)
    compared = decode(entries[1].envelope.payload)
    compared.predicate["rebuilt"]["sha256"] = sha256(b"x")
    del compared.predicate["provenance"]
    made = build_evidence(name=NAME, sha256=sha256(FILE), entries=here.add(compared), hints=here.trust(), reports=[reported])
    return Case(made.encode(), here.trust(), MALFORMED)


def two_operators(code: int, first: dict[str, Any], second: dict[str, Any]) -> Case:
    here = world()
    other = world(seed="other", operator="https://other.example", origin="log.other.example", witnesses=("w2.example",))
    other.clock += 1000
    entries = [*here.rebuild(**first)[0], *other.rebuild(filler=2, **second)[0]]
    both = dataclasses.replace(here.trust().merged(other.trust()), quorum=1)
    return Case(build_evidence(name=NAME, sha256=sha256(FILE), entries=entries, hints=both).encode(), both, code)


@CASES
def two_operators_agree() -> Case:
    return two_operators(GOOD, {}, {})


@CASES
def another_operators_later_success_does_not_outvote_dissent() -> Case:
    return two_operators(OUTCOME, {"outcome": Outcome.DIFFERS}, {"recipe": b"another"})
