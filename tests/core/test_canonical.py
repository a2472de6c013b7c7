"""JSON from outside is bounded and unambiguous, and what we write reads back to the same bytes."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.canonical import MAX_DEPTH, _plainly_canonical, _refuse_deep, canonical, parse, parse_canonical
from reprove.core.errors import ProblemError, Slug

MEGABYTE = 1024 * 1024

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=4),
    max_leaves=20,
)

REFUSED = [
    ("a duplicate key", b'{"a":1,"a":2}'),
    ("a duplicate key deep inside", b'{"a":[{"b":1,"b":1}]}'),
    ("NaN", b"NaN"),
    ("an infinity", b"[-Infinity]"),
    ("a float that overflows", b"1e999"),
    ("an integer beyond 2^53-1", b"9007199254740992"),
    ("an integer of a thousand digits", b"1" * 1000),
    ("text that is not UTF-8", b'"\xff"'),
    ("half a surrogate pair", rb'"\ud800"'),
    ("half a surrogate pair in a key", rb'{"\uDBFF": 1}'),
    ("something after the value", b"{} {}"),
    ("nothing", b""),
    ("nesting beyond the limit", b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)),
    ("a hundred thousand brackets", b"[" * 100_000),
    ("an unterminated string", b'"abc'),
]


@pytest.mark.parametrize(("_name", "text"), REFUSED, ids=[name for name, _ in REFUSED])
def test_refuses(_name: str, text: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        parse(text, max_bytes=MEGABYTE)
    assert caught.value.problem.slug is Slug.INVALID_REQUEST


def test_refuses_more_than_the_limit_before_looking_at_it() -> None:
    with pytest.raises(ProblemError) as caught:
        parse(b"[1,2,3]", max_bytes=6)
    assert caught.value.problem.slug is Slug.TOO_LARGE


def test_accepts_the_deepest_nesting_and_brackets_inside_strings() -> None:
    parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, max_bytes=MEGABYTE)
    assert parse(json.dumps({"a": "[" * 1000 + '\\"{{'}).encode(), max_bytes=MEGABYTE) == {"a": "[" * 1000 + '\\"{{'}


def test_accepts_a_whole_surrogate_pair() -> None:
    assert parse(rb'"\ud83d\ude00"', max_bytes=100) == "\U0001f600"


@given(JSON)
def test_what_we_write_reads_back_to_the_same_bytes(value: object) -> None:
    assert parse_canonical(canonical(value), max_bytes=MEGABYTE) == value


@given(JSON)
def test_only_the_canonical_spelling_is_canonical(value: object) -> None:
    spaced = json.dumps(value, indent=1, ensure_ascii=True).encode()
    if spaced != canonical(value):
        with pytest.raises(ProblemError):
            parse_canonical(spaced, max_bytes=MEGABYTE)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8)


@given(st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)), st.booleans())
def test_what_is_plainly_canonical_is_canonical_by_the_slow_encoder_too(value: object, ascii_only: bool) -> None:
    try:
        data = json.dumps(value, sort_keys=True, ensure_ascii=ascii_only, separators=(",", ":")).encode()
        read = parse(data, max_bytes=MEGABYTE)
    except (ProblemError, UnicodeEncodeError):
        return
    if _plainly_canonical(data, read):
        assert canonical(read) == data


@pytest.mark.parametrize(
    "text", [b"1.0", b"[1e2]", b'{"a":-0.5}', b"[1,1E2]", b"-0", b"[ 1]", b'{"b":1,"a":2}', b'"\\u0041"', b'"\\u001F"', b'"\\/"']
)
def test_no_other_spelling_is_plainly_canonical(text: bytes) -> None:
    assert not _plainly_canonical(text, parse(text, max_bytes=100))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_a_problem(data: bytes) -> None:
    try:
        value = parse(data, max_bytes=1000)
    except ProblemError:
        return
    canonical(value)


def _slowly_too_deep(raw: bytes) -> bool:
    """Whether the brackets outside strings nest too deep, one byte at a time: the specification."""
    depth = 0
    inside = skip = False
    for byte in raw:
        if skip:
            skip = False
        elif inside:
            skip, inside = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            inside = True
        elif byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


@given(st.lists(st.sampled_from([b"[" * 30, b"{" * 40, b"]" * 20, b'"', b"\\", b'\\"', b"x", b"]", b"\n"]), max_size=30).map(b"".join))
def test_the_fast_depth_check_says_what_the_slow_one_says(raw: bytes) -> None:
    try:
        _refuse_deep(raw, "it")
        fast = False
    except ProblemError:
        fast = True
    assert fast == _slowly_too_deep(raw)


def test_the_depth_check_of_ten_megabytes_takes_well_under_a_second() -> None:
    raw = canonical([{"sha256": "a" * 64, "name": 'x"[y'} for _ in range(100_000)])
    started = time.monotonic()
    _refuse_deep(raw, "it")
    assert time.monotonic() - started < 1
