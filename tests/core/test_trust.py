"""The trust file: one fingerprint for one meaning, nothing unknown, windows by log time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.core.errors import ProblemError
from reprove.core.times import format_time, parse_time
from reprove.core.trust import TrustedKey, TrustFile, parse_trust
from tests.core.world import START, World, ed, p256

WORLD = World(witnesses=("w1.example", "w2.example"), quorum=2)
TRUST = WORLD.trust(until=START + 10, compromised_since=START + 5)


def test_a_trust_file_reads_back_in_every_json_form_under_one_fingerprint() -> None:
    for text in (TRUST.encode(), json.dumps(json.loads(TRUST.encode()), indent=2)):
        assert parse_trust(text) == TRUST
        assert parse_trust(text).fingerprint == TRUST.fingerprint
    assert dataclasses.replace(TRUST, quorum=1).fingerprint != TRUST.fingerprint


def test_an_operator_without_resolvers_is_written_as_the_interface_says() -> None:
    row = json.loads(TRUST.encode())["operators"][0]
    assert set(row) == {"name", "attesters", "workers", "resolvers"}
    plain = dataclasses.replace(TRUST, operators=(dataclasses.replace(TRUST.operators[0], resolvers=()),))
    assert set(json.loads(plain.encode())["operators"][0]) == {"name", "attesters", "workers"}
    assert parse_trust(plain.encode()) == plain


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "kind": lambda file: file.update(kind="evidence"),
    "version": lambda file: file.update(version=2),
    "true as version": lambda file: file.update(version=True),
    "unknown member": lambda file: file.update(more=1),
    "missing member": lambda file: file.pop("operators"),
    "unknown member of an operator": lambda file: file["operators"][0].update(more=1),
    "quorum above witnesses": lambda file: file["witnesses"].update(quorum=3),
    "negative quorum": lambda file: file["witnesses"].update(quorum=-1),
    "quorum as text": lambda file: file["witnesses"].update(quorum="1"),
    "true as quorum": lambda file: file["witnesses"].update(quorum=True),
    "a witness twice": lambda file: file["witnesses"]["vkeys"].append(file["witnesses"]["vkeys"][0]),
    "a log key as witness": lambda file: file["witnesses"]["vkeys"].append(file["logs"][0]["vkey"]),
    "a witness key as log": lambda file: file["logs"].append({"origin": "w1.example", "vkey": file["witnesses"]["vkeys"][0], "baseUrl": "x"}),
    "another origin": lambda file: file["logs"][0].update(origin="other.example"),
    "a log twice": lambda file: file["logs"].append(file["logs"][0]),
    "an operator twice": lambda file: file["operators"].append(file["operators"][0]),
    "one attester key for two operators": lambda file: file["operators"].append({**file["operators"][0], "name": "https://other.example"}),
    "a bad time": lambda file: file["operators"][0]["attesters"][0].update({"from": "2026-01-01"}),
    "a time that does not exist": lambda file: file["operators"][0]["attesters"][0].update({"from": "2026-02-30T00:00:00Z"}),
    "a null end": lambda file: file["operators"][0]["attesters"][0].update(until=None),
    "no key": lambda file: file["operators"][0]["attesters"][0].update(spki="AAAA"),
    "a control character": lambda file: file["operators"][0].update(name="a\u001b[2J"),
    "a list that is none": lambda file: file.update(logs={}),
    "a row that is none": lambda file: file.update(logs=[1]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_trust_file_is_refused_for(name: str) -> None:
    document = json.loads(TRUST.encode())
    CHANGES[name](document)
    with pytest.raises(ProblemError):
        parse_trust(json.dumps(document))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
    )
)
@settings(max_examples=100)
def test_any_json_is_refused_with_a_problem(value: object) -> None:
    with pytest.raises(ProblemError):
        parse_trust(json.dumps(value))
    document = json.loads(TRUST.encode())
    for name in document:
        try:
            assert isinstance(parse_trust(json.dumps({**document, name: value})), TrustFile)
        except ProblemError:
            continue


def test_merging_believes_both_and_never_another_key_for_a_known_log() -> None:
    other = World(seed="other", operator="https://other.example", origin="log.other.example", witnesses=("w3.example",)).trust()
    merged = TRUST.merged(other)
    assert [log.origin for log in merged.logs] == [WORLD.origin, "log.other.example"]
    assert (merged.quorum, len(merged.witnesses), len(merged.operators)) == (2, 3, 2)
    assert merged.merged(other) == merged
    with pytest.raises(ProblemError, match="already trusted with another key"):
        TRUST.merged(World(seed="fake").trust())


def test_a_stolen_attester_key_cannot_be_added_under_a_second_operator() -> None:
    thief = dataclasses.replace(TRUST, operators=(dataclasses.replace(TRUST.operators[0], name="https://thief.example"),))
    with pytest.raises(ProblemError, match="attester key twice"):
        TRUST.merged(thief)


@pytest.mark.parametrize(
    ("until", "compromised", "not_after", "refused"),
    [
        (None, None, None, False),
        (None, None, START, False),
        (None, None, START - 1, True),
        (START + 9, None, None, True),
        (None, START + 9, None, True),
        (START + 9, None, START + 9, False),
        (START + 9, None, START + 10, True),
        (None, START + 9, START + 8, False),
        (None, START + 9, START + 9, True),
    ],
)
def test_a_key_counts_inside_its_window(until: int | None, compromised: int | None, not_after: int | None, refused: bool) -> None:
    assert (TrustedKey(p256("k").public_key, START, until, compromised).refuses(not_after) is not None) == refused


def test_an_attester_is_found_by_its_key() -> None:
    found = TRUST.attester(WORLD.key("attester").public_key)
    assert found is not None
    assert found[0].name == WORLD.operator
    assert TRUST.attester(ed("x").public_key) is None


@given(st.integers(0, 253_402_300_799))
def test_times_read_back(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds
