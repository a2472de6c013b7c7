"""The simulated index and a real one, through the same cases: what tests learn from the first must be true of the second."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reprove import indexes
from reprove.core.purls import parse_purl
from tests.sim.index import SimIndex, make_sdist, make_wheel
from workers.inputs.egress import EgressClient, FetchError, FetchKind
from workers.inputs.index import MEDIA_TYPE, PypiIndex
from workers.inputs.mirror import fetch_file
from workers.inputs.store import InputStore
from workers.selection import select

PURL = "pkg:pypi/idna@3.10"


@dataclass
class Subject:
    index: PypiIndex
    client: EgressClient


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.index)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with SimIndex() as sim:
        if request.param == "simulated":
            url, allow = sim.url, sim.allow
            sim.add("idna", "idna-3.10-py3-none-any.whl", make_wheel("idna", "3.10"))
            sim.add("idna", "idna-3.10.tar.gz", make_sdist("idna", "3.10"))
        else:
            url = indexes.configured(os.environ).url
            allow = indexes.probe(url)
        client = EgressClient(allow)
        yield Subject(PypiIndex(url, client), client)
        client.close()


def test_a_page_lists_files_with_digest_size_and_upload_time(subject: Subject) -> None:
    page = subject.index.project("idna")
    assert page is not None
    assert page.project == "idna"
    found = select(page, parse_purl(PURL), index="pypi")
    assert found.verdict is None
    assert found.original.name == "idna-3.10-py3-none-any.whl"
    assert found.source is not None
    assert found.source.name == "idna-3.10.tar.gz"
    for file in (found.original, found.source):
        assert file.size is not None
        assert file.uploaded is not None
        assert not file.yanked
    assert page.sha256 == hashlib.sha256(page.body).hexdigest()


def test_names_are_normalised_before_they_are_asked_for(subject: Subject) -> None:
    page = subject.index.project("IDNA")
    assert page is not None
    assert page.project == "idna"


def test_a_file_has_the_announced_digest_and_size(subject: Subject, tmp_path: Path) -> None:
    page = subject.index.project("idna")
    assert page is not None
    file = select(page, parse_purl(PURL), index="pypi").original
    stored = fetch_file(subject.client, InputStore(tmp_path), file, max_bytes=10**6)
    assert (stored.sha256, stored.size) == (file.sha256, file.size)


@pytest.mark.parametrize("name", ["a-project-that-does-not-exist-0d4c2b6c6d6f4a0a", "-", "..", "x" * 300])
def test_an_unknown_project_is_none(subject: Subject, name: str) -> None:
    assert subject.index.project(name) is None


def test_the_media_type_is_that_of_the_json_form(subject: Subject) -> None:
    answer = subject.client.get(subject.index.page_url("idna"), max_bytes=10**7, timeout=30, headers={"Accept": MEDIA_TYPE})
    assert answer.content_type == MEDIA_TYPE


def test_a_limit_below_the_pages_size_is_kept(subject: Subject) -> None:
    with pytest.raises(FetchError) as caught:
        subject.client.get(subject.index.page_url("idna"), max_bytes=100, timeout=30, headers={"Accept": MEDIA_TYPE})
    assert caught.value.kind is FetchKind.TOO_LARGE


def test_without_being_listed_no_host_with_an_inner_address_is_reached(subject: Subject) -> None:
    """On machines where the index has a public address this says nothing, and on others it is the rule."""
    client = EgressClient(lookup=lambda _host, _port: ["192.0.2.1"])
    with pytest.raises(FetchError) as caught:
        client.get(subject.index.page_url("idna"), max_bytes=10**7, timeout=30)
    assert caught.value.kind is FetchKind.REFUSED
