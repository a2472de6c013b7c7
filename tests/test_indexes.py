"""What pip on this machine says its index is, and what of its configuration is ignored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reprove import indexes
from reprove.core.errors import OwnError, UpstreamError
from tests.sim.index import Fault, SimIndex, make_wheel


@pytest.fixture
def environ(tmp_path: Path) -> Any:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**clean, "PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}


def test_without_configuration_it_is_pips_own_default(environ: dict[str, str]) -> None:
    found = indexes.configured(environ)
    assert found.source == "pip's default"
    assert found.url.startswith("https://")
    assert found.url.endswith("/simple/")
    assert found.warnings == ()


def test_the_environment_wins_over_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example/simple\nextra-index-url = https://user:secret@second.example/simple\n")
    from_file = indexes.configured({**environ, "PIP_CONFIG_FILE": str(file)})
    assert (from_file.url, from_file.source) == ("https://file.example/simple/", "pip's configuration")
    both = indexes.configured({**environ, "PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://env.example/simple/"})
    assert (both.url, both.source) == ("https://env.example/simple/", "PIP_INDEX_URL")


def test_second_indexes_and_find_links_are_ignored_with_one_line_that_names_them(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nextra-index-url = https://user:secret@second.example/simple\n")
    found = indexes.configured({**environ, "PIP_CONFIG_FILE": str(file), "PIP_FIND_LINKS": "/opt/wheels", "UV_INDEX": "https://third.example/simple"})
    (line,) = found.warnings
    assert line.startswith("ignored: ")
    for named in ("PIP_FIND_LINKS", "/opt/wheels", "global.extra-index-url", "second.example", "UV_INDEX"):
        assert named in line
    assert "secret" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "url", ["ftp://x/simple", "file:///srv/simple", "x", "https://user:secret@x.example/simple/", "https://x.example/simple/?a=b"]
)
def test_an_index_that_cannot_be_canonical_is_refused(url: str) -> None:
    with pytest.raises(OwnError) as caught:
        indexes.checked(url)
    assert "secret" not in str(caught.value)


def test_probing_names_the_hosts_of_the_index_and_of_its_files() -> None:
    with SimIndex() as sim:
        sim.add("pip", "pip-1-py3-none-any.whl", make_wheel("pip", "1"), url="https://files.example/pip-1-py3-none-any.whl")
        sim.add("pip", "pip-2-py3-none-any.whl", make_wheel("pip", "2"))
        assert indexes.probe(sim.url) == (sim.base, "files.example:443")
        sim.projects.clear()
        assert indexes.probe(sim.url) == (sim.base,)
        sim.fail("/simple/", Fault.GARBAGE)
        assert indexes.probe(sim.url) == (sim.base,)
        sim.heal()
        sim.fail("/simple/", Fault.DOWN)
        with pytest.raises(UpstreamError, match="does not answer"):
            indexes.probe(sim.url)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://a.example/simple/", "a.example:443"),
        ("https://a.example:8443/simple/", "a.example:8443"),
        ("http://127.0.0.1:8080/simple/", "http://127.0.0.1:8080"),
        ("http://[::1]/simple/", "http://[::1]:80"),
    ],
)
def test_allow_entries(url: str, entry: str) -> None:
    assert indexes.allow_entry(url) == entry
