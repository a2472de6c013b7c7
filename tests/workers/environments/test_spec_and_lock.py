"""Specs and locks as text: what is read, what is refused and where, and that a lock's bytes mean one thing."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workers
from reprove.core.canonical import canonical, parse
from reprove.core.digests import Sha256, sha256
from reprove.core.errors import ProblemError
from workers.environments import Lock, Package, decode_lock, load_spec
from workers.environments.archive import image_of, write_archive
from workers.environments.spec import parse_spec

SPECS = Path(workers.__file__).resolve().parents[1] / "deploy" / "environments"
GOOD = b"reprove-environment: 1\nsuite: bookworm\narchitectures: [amd64]\npackages: [python3]\n"
REFUSED = {
    "nothing": (b"", "mapping", None),
    "a list": (b"- a\n", "mapping", None),
    "no version": (GOOD.replace(b"reprove-environment: 1\n", b""), "starts with", None),
    "another version": (GOOD.replace(b": 1", b": 2", 1), "starts with", None),
    "an unknown key": (GOOD + b"packagse: [x]\n", "unknown key 'packagse'", (5, 1)),
    "a duplicate key": (GOOD + b"suite: trixie\n", "duplicate key 'suite'", (5, 1)),
    "an alias": (GOOD.replace(b"[python3]", b"&a [python3]") + b"rules: *a\n", "aliases", (5, 8)),
    "no suite": (GOOD.replace(b"bookworm", b"''"), "suite", None),
    "a suite that is an option": (GOOD.replace(b"bookworm", b"--variant=x"), "suite", None),
    "a suite that is a path": (GOOD.replace(b"bookworm", b"../x"), "suite", None),
    "a package that is an option": (GOOD.replace(b"python3", b"-oDir=/x"), "not a name", None),
    "a package with a version": (GOOD.replace(b"python3", b"'python3=3.11'"), "not a name", None),
    "packages that are text": (GOOD.replace(b"[python3]", b"python3"), "packages is a list", None),
    "no packages": (GOOD.replace(b"[python3]", b"[]"), "packages is a list", None),
    "rules of the future": (GOOD + b"rules: 99\n", "rules 99", None),
    "bad YAML": (GOOD + b"x: [\n", "spec", (6, 1)),
    "a tag": (GOOD.replace(b"bookworm", b"!!python/object/apply:os.system ['x']"), "spec", (2, 8)),
    "not UTF-8": (GOOD + b"\xff", "UTF-8", None),
    "nested without end": (b"[" * 5000, "YAML", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_spec_is_one_problem_that_says_where(case: str) -> None:
    data, words, where = REFUSED[case]
    with pytest.raises(ProblemError, match=words) as refused:
        parse_spec(data, name="x")
    if where:
        assert (refused.value.problem.line, refused.value.problem.column) == where


@pytest.mark.parametrize("name", ["", "X", "-a", "a/b", "a" * 64])
def test_an_environments_name_is_plain(name: str) -> None:
    with pytest.raises(ProblemError, match="environment name"):
        parse_spec(GOOD, name=name)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: GOOD + text.encode("utf-8", "replace")))
def test_any_bytes_are_a_spec_or_a_problem(data: bytes) -> None:
    with contextlib.suppress(ProblemError):
        assert parse_spec(data, name="x").packages


@pytest.mark.parametrize(("name", "suite"), [("bookworm-python", "bookworm"), ("bullseye-python", "bullseye"), ("trixie-python", "trixie")])
def test_the_specs_of_this_release_are_valid_and_ask_for_no_compiler(name: str, suite: str) -> None:
    spec = load_spec(SPECS / f"{name}.yaml")
    assert (spec.name, spec.suite) == (name, suite)
    assert "python3" in spec.packages
    assert not {"gcc", "build-essential", "python3-pip", "python3-dev"} & set(spec.packages)


def test_a_spec_that_is_not_there_or_too_large_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="No such file"):
        load_spec(tmp_path / "missing.yaml")
    (tmp_path / "large.yaml").write_bytes(GOOD + b"#" * 70_000)
    with pytest.raises(ProblemError, match="at most"):
        load_spec(tmp_path / "large.yaml")


digests = st.binary(min_size=32, max_size=32).map(lambda raw: Sha256(raw.hex()))
words = st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,20}", fullmatch=True)
packages = st.builds(Package, words, words, st.sampled_from(["amd64", "all"]), digests, st.integers(1, 2**31))
locks = st.builds(
    Lock,
    suite=words,
    arch=st.just("amd64"),
    rules=st.just(1),
    epoch=st.integers(0, 2**33),
    include=st.lists(words, min_size=1, max_size=4).map(tuple),
    indexes=st.lists(st.tuples(words, digests), max_size=3).map(tuple),
    packages=st.sets(packages, min_size=1, max_size=6).map(lambda rows: tuple(sorted(rows))),
)


@given(locks)
def test_a_lock_is_read_back_as_it_was(lock: Lock) -> None:
    assert decode_lock(lock.encode()) == lock
    assert lock.sha256 == sha256(lock.encode())


@given(locks, st.data())
def test_a_changed_byte_is_refused_or_another_lock(lock: Lock, data: st.DataObject) -> None:
    encoded = bytearray(lock.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ProblemError):
        assert decode_lock(bytes(encoded)).sha256 != lock.sha256


LOCK = Lock(
    suite="bookworm",
    arch="amd64",
    rules=1,
    epoch=1_700_000_000,
    include=("python3",),
    indexes=(("bookworm", Sha256("0" * 64)),),
    packages=(Package("libc6", "2.36-9", "amd64", Sha256("1" * 64), 10), Package("python3", "3.11.2-1+b1", "amd64", Sha256("2" * 64), 10)),
)


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"reprove-lock": 2},
        {"packages": "none"},
        {"packages": [{}]},
        {"epoch": "now"},
        {"suite": "../etc"},
        {"include": ["-oDir=/"]},
        {"indexes": [{"suite": "x", "sha256": "short"}]},
    ],
)
def test_a_lock_with_odd_members_is_refused(change: dict[str, object]) -> None:
    document = {**parse(LOCK.encode(), max_bytes=10_000), **change}
    with pytest.raises(ProblemError):
        decode_lock(canonical(document))


def test_packages_out_of_order_are_refused() -> None:
    document = parse(LOCK.encode(), max_bytes=10_000)
    document["packages"].reverse()
    with pytest.raises(ProblemError, match="not sorted"):
        decode_lock(canonical(document))


def test_the_python_of_a_lock_is_its_python3_package() -> None:
    assert LOCK.python == "3.11"
    assert dataclasses.replace(LOCK, packages=LOCK.packages[:1]).python == ""


def test_the_image_is_a_function_of_lock_and_layer_alone(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"\0" * 10240)
    diff_id = sha256(layer.read_bytes())
    image = image_of(LOCK, diff_id)
    for name in ("one", "two"):
        layer.touch()
        write_archive(image, layer, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert image.digest == sha256(image.config)
    assert image.digest != image_of(dataclasses.replace(LOCK, epoch=LOCK.epoch + 1), diff_id).digest
    assert b"Env" not in image.config, "a step brings its own environment"
