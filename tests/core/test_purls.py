"""One spelling for each name, and a match that covers what it says and nothing beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.errors import ProblemError, Slug
from reprove.core.purls import matches, parse_pattern, parse_purl

CANONICAL = [
    ("pkg:pypi/idna@3.10", "pkg:pypi/idna@3.10"),
    ("pkg:PyPI/Flask_SQLAlchemy@3.0", "pkg:pypi/flask-sqlalchemy@3.0"),
    ("pkg:pypi/a.b--c@1.0", "pkg:pypi/a-b-c@1.0"),
    ("pkg:pypi/idna@v3.10.POST1", "pkg:pypi/idna@3.10.post1"),
    ("pkg:pypi/idna@1.0-rc.1", "pkg:pypi/idna@1.0rc1"),
    ("pkg:pypi/idna@1.0+Local.1", "pkg:pypi/idna@1.0%2Blocal.1"),
    ("pkg:pypi/idna@1%2Blocal", "pkg:pypi/idna@1%2Blocal"),
    ("pkg:pypi/idna@3.10?file_name=idna-3.10-py3-none-any.whl", "pkg:pypi/idna@3.10?file_name=idna-3.10-py3-none-any.whl"),
    (
        "pkg:pypi/idna@3.10?repository_url=https://mirror.invalid/simple/&file_name=x.whl",
        "pkg:pypi/idna@3.10?file_name=x.whl&repository_url=https://mirror.invalid/simple/",
    ),
    ("pkg:pypi/idna", "pkg:pypi/idna"),
    ("pkg:generic/acme/tool@1.0", "pkg:generic/acme/tool@1.0"),
]

REFUSED = [
    "",
    "idna",
    "pkg:",
    "pkg:pypi",
    "pkg:pypi/",
    "pkg:pypi/@1",
    "pkg:pypi/a/b@1",
    "pkg:pypi//a@1",
    "pkg://pypi/a@1",
    "pkg:pypi/a@1@2",
    "pkg:pypi/a@not a version",
    "pkg:pypi/a@1.0\n",
    "pkg:pypi/a@1.0\x00",
    "pkg:pypi/%00a@1",
    "pkg:pypi/..@1",
    "pkg:generic/../a@1",
    "pkg:generic/a%2Fb@1",
    "pkg:pypi/a@1#sub/path",
    "pkg:pypi/a@1?other=x",
    "pkg:pypi/a@1?file_name=",
    "pkg:pypi/a@1?file_name=a&file_name=b",
    "pkg:pypi/a@1?file_name=../x.whl",
    "pkg:pypi/a@1?file_name=a/b.whl",
    "pkg:pypi/a@1?file_name=.hidden",
    "pkg:pypi/a@1?file_name=%2e%2e",
    "pkg:pypi/a@1?repository_url=file:///etc/passwd",
    "pkg:pypi/a@1?repository_url=ftp://x",
    "pkg:pypi/ä@1",
    "pkg:pypi/" + "a" * 2000,
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL, ids=[text for text, _ in CANONICAL])
def test_every_spelling_has_one_canonical_form(text: str, expected: str) -> None:
    assert str(parse_purl(text)) == expected
    assert str(parse_purl(expected)) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_purl(text)
    assert caught.value.problem.slug is Slug.INVALID_PURL


@pytest.mark.parametrize("value", [None, 5, b"pkg:pypi/a", ["pkg:pypi/a"]])
def test_what_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(ProblemError):
        parse_purl(value)


@given(st.text(max_size=60).map(lambda text: f"pkg:{text}") | st.text(max_size=30).map(lambda text: f"pkg:pypi/{text}") | st.binary(max_size=20))
def test_any_text_is_a_canonical_purl_or_a_problem(text: object) -> None:
    try:
        purl = parse_purl(text)
    except ProblemError:
        return
    assert parse_purl(str(purl)) == purl


@given(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+[a-z0-9]{1,4})?", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,20}", fullmatch=True),
)
def test_a_well_formed_name_is_always_accepted_and_stable(name: str, version: str, file_name: str | None) -> None:
    purl = parse_purl(f"pkg:pypi/{name}@{version.replace('+', '%2B')}")
    if file_name is not None:
        purl = purl.with_file(file_name)
    assert parse_purl(str(purl)) == purl
    assert parse_purl(str(purl)).without_file().file_name is None


MATCHES = [
    ("pkg:pypi/", "pkg:pypi/foo@1", True),
    ("pkg:pypi/foo@", "pkg:pypi/foo@1", True),
    ("pkg:pypi/foo@", "pkg:pypi/foo@1?file_name=foo-1-py3-none-any.whl", True),
    ("pkg:pypi/foo@", "pkg:pypi/foobar@1", False),
    ("pkg:pypi/foo", "pkg:pypi/foobar@1", False),
    ("pkg:pypi/foo", "pkg:pypi/foobar", False),
    ("pkg:pypi/foo", "pkg:pypi/foo@1", True),
    ("pkg:pypi/foo", "pkg:pypi/foo@1?file_name=foo-1-py3-none-any.whl", True),
    ("pkg:pypi/foo", "pkg:pypi/foo-bar@1", False),
    ("pkg:pypi/foo", "pkg:pypi/foo@1?repository_url=https://evil.invalid/", False),
    ("pkg:pypi/foo", "pkg:pypi/foo", True),
    ("pkg:pypi/foo@1", "pkg:pypi/foo@1", True),
    ("pkg:pypi/foo@1", "pkg:pypi/foo@1.1", False),
    ("pkg:pypi/foo@1", "pkg:pypi/foo@10", False),
    ("pkg:pypi/foo@1", "pkg:pypi/foo@1?file_name=foo-1-py3-none-any.whl", True),
    ("pkg:pypi/foo@1?file_name=a.whl", "pkg:pypi/foo@1?file_name=a.whl", True),
    ("pkg:pypi/foo@1?file_name=a.whl", "pkg:pypi/foo@1?file_name=a.whl2", False),
    ("pkg:generic/acme/", "pkg:generic/acme/tool@1", True),
    ("pkg:generic/acme/", "pkg:generic/acmeevil/tool@1", False),
    ("pkg:pypi/foo@1", "pkg:pypi/foo@1?repository_url=https://evil.invalid/", False),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES)
def test_a_match_covers_what_it_says(pattern: str, text: str, expected: bool) -> None:
    assert matches(parse_pattern(pattern), parse_purl(text)) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("pkg:PyPI/Foo_Bar@", "pkg:pypi/foo-bar@"), ("pkg:pypi/Foo@1.0-1", "pkg:pypi/foo@1.0.post1"), ("pkg:pypi/", "pkg:pypi/")],
)
def test_a_pattern_is_canonicalised_like_what_it_covers(pattern: str, expected: str) -> None:
    assert parse_pattern(pattern) == expected


@pytest.mark.parametrize(
    "pattern", ["", "/", "@", "pkg:", "pypi/", "pkg:pypi", "pkg:pypi/foo@1@", "pkg:pypi/foo?file_name=x@", "pkg:pypi//", "pkg:pypi/*", 5]
)
def test_a_pattern_that_is_no_prefix_is_refused(pattern: object) -> None:
    with pytest.raises(ProblemError):
        parse_pattern(pattern)


def test_a_file_name_that_leaves_is_refused() -> None:
    with pytest.raises(ProblemError):
        parse_purl("pkg:pypi/a@1").with_file("../a.whl")
