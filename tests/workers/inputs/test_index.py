"""Reading index pages: strict about what it believes, calm about what it does not know."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core.errors import ProblemError
from reprove.core.outcomes import Finding, Outcome
from reprove.core.purls import parse_purl
from workers.inputs.index import IndexFaultError, parse_file_name, parse_time, read_page, rfc3339
from workers.inputs.requirements import RequirementRefusedError
from workers.inputs.requirements import read as read_requirements
from workers.selection import select

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://index.example/simple/demo/"


def row(name: str = "demo-1.0-py3-none-any.whl", **changed: Any) -> Any:
    return {"filename": name, "url": f"../../f/{name}", "hashes": {"sha256": "a" * 64}, "size": 5, "upload-time": "2024-01-01T00:00:00Z", **changed}


def page(*rows: str, **changed: Any) -> Any:
    document = {"meta": {"api-version": "1.1"}, "name": "demo", "files": list(rows), **changed}
    return read_page("demo", json.dumps(document).encode(), url=URL, fetched=NOW)


def test_a_row_is_read_with_its_address_made_whole() -> None:
    (file,) = page(row(url="../../f/x.whl#sha256=00")).files
    assert file.url == "https://index.example/f/x.whl"
    assert (file.size, file.uploaded_text, file.yanked, str(file.version)) == (5, "2024-01-01T00:00:00Z", False, "1.0")


@pytest.mark.parametrize(
    "changed",
    [
        {"filename": "demo-1.0.exe"},
        {"filename": "demo-1.0.egg"},
        {"filename": "other-1.0-py3-none-any.whl"},
        {"filename": "demo-1.0-py3-none-any.whl/../../x"},
        {"filename": "demo-1.0-py3-none-any.whl\n"},
        {"filename": "demo-not_a_version-py3-none-any.whl"},
        {"filename": 5},
        {"filename": "demo-1.0.tar.gz "},
        {"url": None},
        {"url": "http://[::1"},
        {"hashes": {}},
        {"hashes": {"md5": "x"}},
        {"hashes": {"sha256": "A" * 64}},
        {"hashes": None},
    ],
)
def test_rows_that_cannot_be_believed_are_left_out(changed: Any) -> None:
    assert page(row(**changed)).files == ()


@pytest.mark.parametrize(
    "value",
    [None, 5, "", "yesterday", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00:00Z\n", "9999-12-31T23:59:59-23:59"],
)
def test_a_time_that_is_none_is_unknown(value: Any) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize("value", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123456Z"])
def test_a_time_is_written_as_it_was_read(value: Any) -> None:
    assert rfc3339(parse_time(value)) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"<html>",
        b'{"meta":{"api-version":"2.0"},"name":"demo","files":[]}',
        b'{"meta":{},"name":"demo","files":[]}',
        b'{"meta":{"api-version":"1.1"},"name":"other","files":[]}',
        b'{"meta":{"api-version":"1.1"},"files":[]}',
        b'{"meta":{"api-version":"1.1"},"name":"demo","files":{}}',
        b'{"meta":{"api-version":"1.1"},"name":"demo","name":"demo","files":[]}',
        b'{"meta":{"api-version":"1.1"},"name":"demo","files":[]} x',
        b'{"meta":{"api-version":"1.1"},"name":"demo","files":[NaN]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_page_of_the_project_is_a_fault_of_the_index(body: bytes) -> None:
    with pytest.raises(IndexFaultError):
        read_page("demo", body, url=URL, fetched=NOW)


def test_a_file_named_twice_is_a_fault_even_with_one_digest() -> None:
    with pytest.raises(IndexFaultError, match="twice"):
        page(row(), row())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["filename", "url", "hashes", "sha256", "size", "upload-time", "yanked", "x"]), inner, max_size=5)
        ),
        max_leaves=12,
    )
)
def test_no_row_makes_the_reader_fail(value: Any) -> None:
    assert len(page(value, row()).files) in (1, 2)


@given(st.text(max_size=60))
def test_no_file_name_makes_the_reader_fail(text: str) -> None:
    for name in (text, f"demo-{text}.tar.gz", f"demo-1-{text}-none-any.whl"):
        found = parse_file_name(name, "demo")
        assert found is None or str(found[0])


@pytest.mark.parametrize(
    ("name", "pure"),
    [
        ("demo-1.0-py3-none-any.whl", True),
        ("demo-1.0-py2.py3-none-any.whl", True),
        ("demo-1.0-1build-py3-none-any.whl", True),
        ("demo-1.0-cp311-abi3-any.whl", False),
        ("demo-1.0-py3-none-linux_x86_64.whl", False),
        ("demo-1.0-py3-none-any.linux_x86_64.whl", False),
        ("demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", False),
    ],
)
def test_only_none_any_is_pure(name: str, pure: bool) -> None:
    found = parse_file_name(name, "demo")
    assert found is not None
    assert found[1].pure is pure


def test_versions_are_compared_as_versions() -> None:
    found = page(row("demo-1.0.0-py3-none-any.whl"), row("demo-1.0.tar.gz"))
    assert [file.name for file in found.of_version("1")] == ["demo-1.0.0-py3-none-any.whl", "demo-1.0.tar.gz"]
    assert found.of_version("not a version") == ()


def choose(*rows: str, purl: str = "pkg:pypi/demo@1.0") -> Any:
    return select(page(*rows), parse_purl(purl), index="pypi")


def test_of_two_sdists_the_tar_is_the_source() -> None:
    assert choose(row(), row("demo-1.0.zip"), row("demo-1.0.tar.gz")).source.name == "demo-1.0.tar.gz"
    assert choose(row(), row("demo-1.0.zip")).source.name == "demo-1.0.zip"


def test_a_yanked_reason_may_be_empty_and_is_a_yank_all_the_same() -> None:
    found = choose(row(yanked=""), row("demo-1.0.tar.gz", yanked=False))
    assert [code for code, _, _ in found.findings] == [Finding.YANKED]


def test_many_files_are_listed_up_to_a_bound() -> None:
    rows = [row(f"demo-1.0-cp3{number}-cp3{number}-win_amd64.whl") for number in range(80)]
    with pytest.raises(ProblemError) as caught:
        choose(*rows)
    detail = caught.value.problem.detail
    assert detail.startswith("80 files, none of them none-any.whl. Name one: pkg:pypi/demo@1.0?file_name=…")
    assert len(detail) < 1700
    assert detail.count("win_amd64") + int(detail.split()[-2]) == 80


def test_a_native_wheel_named_by_file_is_not_attemptable_even_with_a_sdist() -> None:
    name = "demo-1.0-cp311-cp311-win_amd64.whl"
    found = choose(row(name), row("demo-1.0.tar.gz"), purl=f"pkg:pypi/demo@1.0?file_name={name}")
    assert (found.verdict.outcome, found.verdict.cause) == (Outcome.NOT_ATTEMPTABLE, "native-tag")


def test_pins_become_overrides_with_every_extra_that_anybody_asked_for() -> None:
    wanted = read_requirements(["setuptools_scm[toml]>=3.4", "setuptools-scm==6.0", "wheel", "attrs==1.*", 'tomli==2; python_version<"3.11"'])
    assert wanted.overrides == ("setuptools-scm[toml]==6.0",)
    assert "wheel" in wanted.lines


@given(st.text(max_size=80))
def test_a_requirement_is_one_clean_line_or_refused(text: str) -> None:
    try:
        wanted = read_requirements([text])
    except RequirementRefusedError:
        return
    (line,) = wanted.lines
    assert line.isprintable()
    assert not line.startswith("-")
    assert "@" not in line.partition(";")[0]
    assert "://" not in line.partition(";")[0]


def test_too_many_requirements_are_refused() -> None:
    with pytest.raises(RequirementRefusedError):
        read_requirements([f"p{number}" for number in range(201)])


def test_a_wheel_name_whose_tags_multiply_is_left_out_at_once() -> None:
    """Sets of 26, 36 and 36 tags fit into a file name: more than thirty thousand combinations, for each of the files that a page may list."""
    letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
    name = f"a-1-{'.'.join(letters)}-{'.'.join(letters + digits)}-{'.'.join(letters + digits)}.whl"
    assert len(name) < 255
    begun = time.monotonic()
    assert [parse_file_name(name, "a") for _ in range(100)] == [None] * 100
    assert time.monotonic() - begun < 1
    assert parse_file_name("a-1-cp39.cp310.cp311-abi3-manylinux1_x86_64.manylinux2014_x86_64.whl", "a") is not None
