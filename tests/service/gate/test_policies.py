"""Policy files of the instance: read when asked for, one version for each decision, every mistake with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprove.core.errors import ProblemError, Slug
from reprove.core.purls import parse_purl
from service.gate.policies import PolicyFolder
from service.setup.defaults import DEFAULT_BINDINGS, DEFAULT_POLICY

POLICY = 'reprove-policy: 1\nname: {name}\nrules:\n  - match: "pkg:pypi/"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "default.yaml").write_text(DEFAULT_POLICY)
    (tmp_path / "bindings.yaml").write_text(DEFAULT_BINDINGS)
    return tmp_path


def problem_of(folder: Path, name: str) -> tuple[Slug, int | None, str]:
    with pytest.raises(ProblemError) as caught:
        PolicyFolder(folder).named(name)
    return caught.value.problem.slug, caught.value.problem.line, caught.value.problem.detail


def test_what_a_new_instance_starts_with_is_valid_and_binds_itself(folder: Path) -> None:
    policies = PolicyFolder(folder)
    assert policies.named("default").name == "default"
    assert policies.bindings.policy_for(parse_purl("pkg:pypi/idna@3.10")) == ("pkg:pypi/", "default")
    assert list(policies) == ["default"]


def test_one_decision_never_sees_two_versions_of_a_file(folder: Path) -> None:
    policies = PolicyFolder(folder)
    before = policies.named("default").sha256
    (folder / "default.yaml").write_text(POLICY.format(name="default"))
    assert policies.named("default").sha256 == before
    assert PolicyFolder(folder).named("default").sha256 != before


def test_a_broken_policy_harms_only_those_who_name_it(folder: Path) -> None:
    (folder / "broken.yaml").write_text("rules: {\n")
    assert PolicyFolder(folder).named("default").name == "default"
    slug, line, detail = problem_of(folder, "broken")
    assert (slug, line) == (Slug.INVALID_POLICY, 2)
    assert detail.startswith("broken.yaml:2:1: not YAML")


@pytest.mark.parametrize("name", ["", "nobody", "bindings", "../default", "default.yaml", "Default", "a" * 100, "/etc/passwd", "x\x00y"])
def test_a_name_that_is_no_policy_lists_those_that_are(folder: Path, name: str) -> None:
    slug, _, detail = problem_of(folder, name)
    assert slug is Slug.INVALID_POLICY
    assert detail.endswith("it has: default")


def test_a_file_whose_inside_has_another_name_is_refused(folder: Path) -> None:
    (folder / "release.yaml").write_text(POLICY.format(name="default"))
    assert "the file is called release" in problem_of(folder, "release")[2]


def test_bytes_that_are_no_text_and_files_that_are_too_large_are_refused(folder: Path) -> None:
    (folder / "binary.yaml").write_bytes(b"name: x\n\xff\xfe\n")
    assert problem_of(folder, "binary")[:2] == (Slug.INVALID_POLICY, 2)
    (folder / "huge.yaml").write_bytes(b"#" * 3_000_000)
    assert "larger than" in problem_of(folder, "huge")[2]


def test_malformed_bindings_stop_every_decision_and_say_where(folder: Path) -> None:
    (folder / "bindings.yaml").write_text('"pkg:pypi/": default\n"pkg:pypi/": other\n')
    with pytest.raises(ProblemError) as caught:
        _ = PolicyFolder(folder).bindings
    assert (caught.value.problem.line, caught.value.problem.column) == (2, 1)
    assert caught.value.problem.detail.startswith("bindings.yaml:2:1: duplicate key")


def test_an_instance_without_bindings_binds_nothing(folder: Path) -> None:
    (folder / "bindings.yaml").unlink()
    assert PolicyFolder(folder).bindings.rows == ()
