"""Evidence files: one encoding, everything bounded, only problems escape."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug, VerificationError, VerificationReason
from reprove.core.evidence import MAX_EVIDENCE_BYTES, build_evidence, parse_evidence
from reprove.core.verification import verify_evidence
from tests.core.world import FILE, NAME, World

EVIDENCE = World().evidence(decided=True)


def test_evidence_reads_back() -> None:
    assert parse_evidence(EVIDENCE.encode()) == EVIDENCE
    assert parse_evidence(EVIDENCE.encode()).encode() == EVIDENCE.encode()


def test_building_orders_entries_and_blobs_and_drops_what_stands_twice() -> None:
    shuffled = build_evidence(
        name=NAME,
        sha256=sha256(FILE),
        entries=[*reversed(EVIDENCE.entries), EVIDENCE.entries[0]],
        hints=EVIDENCE.hints,
        reports=[*EVIDENCE.reports, *EVIDENCE.reports],
        resolutions=EVIDENCE.resolutions,
        decision=EVIDENCE.decision,
    )
    assert shuffled == EVIDENCE


def test_absent_parts_are_absent_members() -> None:
    bare = dataclasses.replace(EVIDENCE, reports=(), resolutions=(), decision=None)
    assert set(json.loads(bare.encode())) == {"kind", "version", "subject", "entries", "hints"}
    assert parse_evidence(bare.encode()) == bare


def test_evidence_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProblemError) as caught:
        parse_evidence(b" " * (MAX_EVIDENCE_BYTES + 1))
    assert caught.value.problem.slug is Slug.TOO_LARGE
    with pytest.raises(VerificationError) as refused:
        verify_evidence(b" " * (MAX_EVIDENCE_BYTES + 1), None)
    assert refused.value.reason is VerificationReason.MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("entries", 0, "index"), -1),
        (("entries", 0, "index"), "0"),
        (("entries", 0, "index"), True),
        (("entries", 0, "proof"), ["AAAA"]),
        (("entries", 0, "proof"), ["A" * 43 + "="] * 64),
        (("entries", 0, "leaf"), ""),
        (("entries", 0, "leaf"), "A" * 4000),
        (("entries", 0, "checkpoint"), "x" * 300_000),
        (("entries", 0, "before"), None),
        (("subject", "sha256"), "A" * 64),
        (("subject", "name"), ""),
        (("entries",), {}),
        (("hints",), {}),
        (("hints", "trust"), None),
        (("reports",), None),
        (("reports",), []),
        (("decision",), []),
    ],
)
def test_a_member_of_another_shape_is_refused(path: tuple[Any, ...], value: object) -> None:
    document = json.loads(EVIDENCE.encode())
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(ProblemError):
        parse_evidence(canonical(document))


def test_more_entries_than_allowed_are_refused() -> None:
    document = json.loads(EVIDENCE.encode())
    document["entries"] = document["entries"] * 129
    with pytest.raises(ProblemError, match="256"):
        parse_evidence(canonical(document))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=100)
def test_any_json_in_any_member_raises_only_our_errors(value: object) -> None:
    document = json.loads(EVIDENCE.encode())
    for change in ({name: value} for name in document):
        try:
            data = canonical({**document, **change})
        except UnicodeEncodeError:
            continue
        with pytest.raises(VerificationError):
            verify_evidence(data, None)


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_evidence(data, None)
