"""One table of evidence, good and bad, with the exit code of each: the library and the single-file verifier must agree on all of it."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

from reprove.core import merkle
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.evidence import build_evidence
from reprove.signers import sign_statement
from tests.core.cases import (
    CASES,
    CHECKPOINT,
    GOOD,
    GREASE,
    INCLUSION,
    MALFORMED,
    NO_EVIDENCE,
    SIGNATURE,
    SUBJECT,
    UNTRUSTED,
    Case,
    edited,
    flipped,
    noted,
    signed_anew,
    world,
)
from tests.core.world import FILE, NAME, START, World


@CASES
def the_evidence_as_it_was_made() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(), GOOD)


@CASES
def with_a_decision() -> Case:
    here = world()
    return Case(here.evidence(decided=True).encode(), here.trust(), GOOD)


@CASES
def the_first_entries_of_a_log() -> Case:
    here = World()
    return Case(here.evidence().encode(), here.trust(), GOOD)


@CASES
def without_reports_and_resolutions() -> Case:
    return edited(GOOD, lambda document: (document.pop("reports"), document.pop("resolutions")))


@CASES
def no_trust_file() -> Case:
    return Case(world().evidence(decided=True).encode(), None, UNTRUSTED)


@CASES
def a_whole_fake_world_under_the_same_names() -> Case:
    return Case(world(seed="fake").evidence(decided=True).encode(), world().trust(), UNTRUSTED)


@CASES
def a_fake_world_under_its_own_names() -> Case:
    fake = world(seed="fake", operator="https://fake.example", origin="log.fake.example", witnesses=("w9.example",))
    return Case(fake.evidence().encode(), world().trust(), UNTRUSTED)


@CASES
def a_fake_world_without_hints() -> Case:
    fake = world(seed="fake")
    return Case(dataclasses.replace(fake.evidence(), hints=world().trust()).encode(), world().trust(), MALFORMED)


@CASES
def a_trusted_log_with_a_strangers_attester() -> Case:
    here = world()
    trusted = here.trust()
    stranger = dataclasses.replace(trusted, operators=World(seed="fake").trust().operators)
    return Case(here.evidence().encode(), stranger, UNTRUSTED)


@CASES
def an_attester_who_speaks_for_another_operator() -> Case:
    here = world()
    trusted = here.trust()
    renamed = dataclasses.replace(trusted, operators=(dataclasses.replace(trusted.operators[0], name="https://other.example"),))
    return Case(here.evidence().encode(), renamed, UNTRUSTED)


@CASES
def a_key_whose_last_day_is_over() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(until=START), UNTRUSTED)


@CASES
def a_key_that_ends_in_the_second_of_the_entry() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(until=START + 2), GOOD)


@CASES
def a_key_that_was_compromised_when_it_signed() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(compromised_since=START + 2), UNTRUSTED)


@CASES
def a_key_that_was_compromised_later() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(compromised_since=START + 3), GOOD)


@CASES
def a_key_that_is_trusted_only_later() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(valid_from=START + 3), UNTRUSTED)


@CASES
def a_worker_whose_key_was_compromised() -> Case:
    here = world()
    trusted = here.trust()
    worker = dataclasses.replace(trusted.operators[0].workers[0], compromised_since=START)
    return Case(
        here.evidence().encode(), dataclasses.replace(trusted, operators=(dataclasses.replace(trusted.operators[0], workers=(worker,)),)), UNTRUSTED
    )


@CASES
def a_key_with_an_end_and_no_witness_to_say_when() -> Case:
    here = world(witnesses=(), quorum=0)
    return Case(here.evidence().encode(), here.trust(until=START + 100), UNTRUSTED)


@CASES
def no_witness_and_none_asked_for() -> Case:
    here = world(witnesses=(), quorum=0)
    return Case(here.evidence().encode(), here.trust(), GOOD)


@CASES
def another_file() -> Case:
    here = world()
    return Case(here.evidence().encode(), here.trust(), SUBJECT, file=b"another file")


@CASES
def the_subject_rewritten_to_another_file() -> Case:
    case = edited(SUBJECT, lambda document: document["subject"].update(sha256=sha256(b"another file")))
    return dataclasses.replace(case, file=b"another file")


@CASES
def the_subject_under_another_name() -> Case:
    return edited(SUBJECT, lambda document: document["subject"].update(name="other-1.0-py3-none-any.whl"))


@CASES
def a_payload_that_was_changed() -> Case:
    def change(document: dict[str, Any]) -> None:
        payload = base64.b64decode(document["entries"][1]["envelope"]["payload"]).replace(b"bookworm", b"bullseye")
        document["entries"][1]["envelope"]["payload"] = base64.b64encode(payload).decode()

    return edited(SIGNATURE, change)


@CASES
def a_signature_that_was_changed() -> Case:
    return edited(
        SIGNATURE,
        lambda document: document["entries"][1]["envelope"]["signatures"].__setitem__(
            0, {"sig": document["entries"][0]["envelope"]["signatures"][0]["sig"]}
        ),
    )


@CASES
def a_second_valid_signature_by_a_stranger() -> Case:
    def change(document: dict[str, Any]) -> None:
        row = document["entries"][1]["envelope"]
        envelope = sign_statement(World(seed="fake").key("attester"), base64.b64decode(row["payload"]))
        row["signatures"].append({"sig": base64.b64encode(envelope.signatures[0]).decode()})

    return edited(INCLUSION, change)


@CASES
def the_leaf_of_the_other_entry() -> Case:
    return edited(SIGNATURE + 1, lambda document: document["entries"][1].update(leaf=document["entries"][0]["leaf"]))


@CASES
def a_flipped_proof() -> Case:
    return edited(INCLUSION, lambda document: document["entries"][1]["proof"].__setitem__(0, flipped(document["entries"][1]["proof"][0])))


@CASES
def a_proof_that_is_too_short() -> Case:
    return edited(INCLUSION, lambda document: document["entries"][1]["proof"].pop())


@CASES
def another_index() -> Case:
    return edited(INCLUSION, lambda document: document["entries"][1].update(index=9))


@CASES
def the_proof_of_another_leaf() -> Case:
    here = world()
    document = json.loads(here.evidence().encode())
    size = len(here.leaves)
    document["entries"][1]["proof"] = [base64.b64encode(one).decode() for one in merkle.inclusion_path(here.reader, 2, size)]
    return Case(canonical(document), here.trust(), INCLUSION)


@CASES
def a_checkpoint_with_another_root() -> Case:
    def change(document: dict[str, Any]) -> None:
        lines = document["entries"][1]["checkpoint"].split("\n")
        document["entries"][1]["checkpoint"] = "\n".join([*lines[:2], flipped(lines[2]), *lines[3:]])

    return edited(CHECKPOINT, change)


@CASES
def a_log_signature_that_was_flipped() -> Case:
    return noted(CHECKPOINT, lambda lines: [lines[0][: lines[0].rindex(" ") + 1] + flipped(lines[0].split(" ")[2].strip()) + "\n", *lines[1:]])


@CASES
def a_cosignature_that_was_flipped() -> Case:
    return noted(CHECKPOINT, lambda lines: [lines[0], lines[1][: lines[1].rindex(" ") + 1] + flipped(lines[1].split(" ")[2].strip(), 40) + "\n"])


@CASES
def a_cosignature_at_another_time() -> Case:
    return noted(CHECKPOINT, lambda lines: [lines[0], lines[1][: lines[1].rindex(" ") + 1] + flipped(lines[1].split(" ")[2].strip(), 11) + "\n"])


@CASES
def a_checkpoint_without_its_witness() -> Case:
    return noted(CHECKPOINT, lambda lines: lines[:1])


@CASES
def a_checkpoint_without_its_log() -> Case:
    return noted(CHECKPOINT, lambda lines: lines[1:])


@CASES
def the_lines_in_another_order() -> Case:
    return noted(GOOD, lambda lines: lines[::-1])


@CASES
def an_unknown_signature_line() -> Case:
    return noted(MALFORMED, lambda lines: [*lines, GREASE])


@CASES
def a_signature_line_twice() -> Case:
    return noted(MALFORMED, lambda lines: [*lines, lines[0]])


@CASES
def an_unknown_line_under_the_earlier_checkpoint() -> Case:
    return noted(MALFORMED, lambda lines: [*lines, GREASE], "before")


@CASES
def a_forged_earlier_checkpoint() -> Case:
    return edited(CHECKPOINT, lambda document: document["entries"][1].update(before=document["entries"][1]["before"].replace("\n5\n", "\n4\n", 1)))


@CASES
def an_earlier_checkpoint_that_covers_the_entry() -> Case:
    return edited(CHECKPOINT, lambda document: document["entries"][1].update(before=document["entries"][1]["checkpoint"]))


@CASES
def an_earlier_checkpoint_of_another_log() -> Case:
    here, other = world(), world(seed="fake", origin="log.fake.example", witnesses=("w9.example",))
    made = here.evidence()
    mixed = dataclasses.replace(made.entries[1], before=other.note(2))
    hints = here.trust().merged(dataclasses.replace(other.trust(), operators=()))
    return Case(dataclasses.replace(made, entries=(made.entries[0], mixed), hints=hints).encode(), here.trust(), CHECKPOINT)


@CASES
def two_histories_of_one_log() -> Case:
    here, fork = world(), World()
    fork.evidence(filler=2, stamped=True)
    fork.add(fork.decision())
    made, other = here.evidence(), fork.evidence(recipe=b"another")
    both = build_evidence(
        name=NAME, sha256=sha256(FILE), entries=[*made.entries, *(dataclasses.replace(one, before=None) for one in other.entries)], hints=here.trust()
    )
    return Case(both.encode(), here.trust(), CHECKPOINT)


@CASES
def a_quorum_that_is_not_met() -> Case:
    here = world(witnesses=("w1.example",))
    made = here.evidence()
    strict = dataclasses.replace(here.trust(), witnesses=World(witnesses=("w1.example", "w2.example")).trust().witnesses, quorum=2)
    return Case(made.encode(), strict, CHECKPOINT)


@CASES
def two_of_two_witnesses() -> Case:
    here = world(witnesses=("w1.example", "w2.example"), quorum=2)
    return Case(here.evidence().encode(), here.trust(), GOOD)


@CASES
def cosigned_only_by_a_witness_of_the_hints() -> Case:
    here = world(witnesses=("w7.example",))
    return Case(here.evidence().encode(), dataclasses.replace(here.trust(), witnesses=World().trust().witnesses), CHECKPOINT)


@CASES
def indented_json() -> Case:
    here = world()
    return Case(json.dumps(json.loads(here.evidence().encode()), indent=1).encode(), here.trust(), MALFORMED)


@CASES
def truncated() -> Case:
    here = world()
    return Case(here.evidence().encode()[:-100], here.trust(), MALFORMED)


@CASES
def a_newline_at_the_end() -> Case:
    here = world()
    return Case(here.evidence().encode() + b"\n", here.trust(), MALFORMED)


@CASES
def not_json_at_all() -> Case:
    return Case(b"\xff\x00 nothing", world().trust(), MALFORMED)


@CASES
def deep_json() -> Case:
    return Case(b"[" * 100_000, world().trust(), MALFORMED)


@CASES
def an_unknown_member() -> Case:
    return edited(MALFORMED, lambda document: document.update(note="hello"))


@CASES
def an_unknown_member_of_an_entry() -> Case:
    return edited(MALFORMED, lambda document: document["entries"][0].update(note="hello"))


@CASES
def another_version() -> Case:
    return edited(MALFORMED, lambda document: document.update(version=2))


@CASES
def true_for_version_one() -> Case:
    return edited(MALFORMED, lambda document: document.update(version=True))


@CASES
def a_keyid_in_an_envelope() -> Case:
    return edited(MALFORMED, lambda document: document["entries"][0]["envelope"]["signatures"][0].update(keyid="abc"))


@CASES
def entries_in_another_order() -> Case:
    return edited(MALFORMED, lambda document: document["entries"].reverse())


@CASES
def an_entry_twice() -> Case:
    return edited(MALFORMED, lambda document: document["entries"].append(document["entries"][1]))


@CASES
def a_provenance_that_is_missing() -> Case:
    return edited(MALFORMED, lambda document: document["entries"].pop(0))


@CASES
def a_provenance_that_nobody_names() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda predicate: predicate.pop("provenance")).encode(), here.trust(), MALFORMED)


@CASES
def a_bitwise_claim_about_other_bytes() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda predicate: predicate["rebuilt"].update(sha256=sha256(b"x"))).encode(), here.trust(), MALFORMED)


@CASES
def a_negative_outcome_with_a_level() -> Case:
    here = world()
    return Case(signed_anew(here, 1, lambda predicate: predicate.update(outcome="differs")).encode(), here.trust(), MALFORMED)


@CASES
def a_report_that_says_something_else() -> Case:
    here = world()
    changed = signed_anew(
        here,
        1,
        lambda predicate: (predicate.update(outcome="build-failed", cause={"class": "backend-failed", "detail": "x"}), predicate.pop("level")),
    )
    return Case(changed.encode(), here.trust(), MALFORMED)


@CASES
def a_report_of_somebody_elses_rebuild() -> Case:
    here = world()
    made = here.evidence()
    _, other, _ = here.rebuild(recipe=b"another")
    return Case(dataclasses.replace(made, reports=(other,)).encode(), here.trust(), MALFORMED)


@CASES
def a_report_whose_signature_was_changed() -> Case:
    def change(document: dict[str, Any]) -> None:
        document["reports"][0]["signatures"][0]["sig"] = document["entries"][0]["envelope"]["signatures"][0]["sig"]

    return edited(SIGNATURE, change)


@CASES
def a_resolution_whose_signature_was_changed() -> Case:
    def change(document: dict[str, Any]) -> None:
        document["resolutions"][0]["signatures"][0]["sig"] = document["entries"][0]["envelope"]["signatures"][0]["sig"]

    return edited(SIGNATURE, change)


@CASES
def an_empty_list_of_reports() -> Case:
    return edited(MALFORMED, lambda document: document.update(reports=[]))


@CASES
def no_entries() -> Case:
    return edited(NO_EVIDENCE, lambda document: document.update(entries=[]))


@CASES
def a_provenance_alone() -> Case:
    return edited(NO_EVIDENCE, lambda document: document["entries"].pop())


@CASES
def a_decision_about_another_file() -> Case:
    here = world()
    made = here.evidence()
    verdict = here.add(here.decision(sha256(b"another file")))[0]
    return Case(dataclasses.replace(made, decision=verdict).encode(), here.trust(), SUBJECT)


@CASES
def a_decision_by_a_stranger() -> Case:
    here, fake = world(), world(seed="fake", origin="log.fake.example", witnesses=("w9.example",))
    made = here.evidence()
    hints = here.trust().merged(dataclasses.replace(fake.trust(), operators=()))
    return Case(dataclasses.replace(made, decision=fake.add(fake.decision())[0], hints=hints).encode(), here.trust(), UNTRUSTED)


@CASES
def a_decision_whose_verdict_was_changed() -> Case:
    def change(document: dict[str, Any]) -> None:
        row = document["decision"]["envelope"]
        row["payload"] = base64.b64encode(base64.b64decode(row["payload"]).replace(b"allow", b"deny")).decode()

    return edited(SIGNATURE, change, decided=True)


@CASES
def a_comparison_in_the_place_of_the_decision() -> Case:
    return edited(MALFORMED, lambda document: document.update(decision=document["entries"][1]))
