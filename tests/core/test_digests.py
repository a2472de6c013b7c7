"""Digests are 64 lower-case hex characters, everywhere."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.digests import parse_prefixed, parse_sha256, sha256
from reprove.core.errors import ProblemError


@given(st.binary(max_size=100))
def test_a_digest_is_the_standard_librarys_and_reads_back(data: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).hexdigest()
    assert parse_sha256(sha256(data)) == sha256(data)
    assert parse_prefixed(f"sha256:{sha256(data)}") == sha256(data)


@pytest.mark.parametrize(
    "text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "sha256:" + "a" * 64, None, 5, b"a" * 64, "\u0661" * 64]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ProblemError):
        parse_sha256(text)


@pytest.mark.parametrize("text", ["a" * 64, "sha512:" + "a" * 64, "SHA256:" + "a" * 64, "sha256:", "sha256:" + "A" * 64, None])
def test_an_artifact_is_named_with_its_algorithm(text: object) -> None:
    with pytest.raises(ProblemError):
        parse_prefixed(text)
