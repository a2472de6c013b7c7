"""Two trees give rows: every difference once, with the weight that it has."""

from __future__ import annotations

import pytest

from reprove.archive.tree import Member, Profile, Weight
from reprove.compare.delta import delta
from tests.compare.fakes import FakeTree, data, noise

FILES = {"a/x": b"x", "a/y": b"y", "b": b"b"}
PLAIN = (data("executable", "no"), noise("time", "2024-01-01 00:00:00"))


def rows(old: FakeTree, new: FakeTree) -> set[tuple[str, str, str]]:
    return {(row.path, row.name, row.weight.value) for row in delta(old, new).rows}


STORIES = {
    "nothing": (FakeTree(FILES), FakeTree(FILES), set()),
    "a member is missing": (FakeTree(FILES), FakeTree({"a/x": b"x", "a/y": b"y"}), {("b", "member", "data")}),
    "a member is new": (FakeTree({"b": b"b"}), FakeTree({"b": b"b", "c": b""}), {("c", "member", "data")}),
    "a folder instead of a file": (FakeTree({"b": b""}), FakeTree({"b": None}), {("b", "kind", "data")}),
    "another time": (
        FakeTree(FILES, {"b": PLAIN}),
        FakeTree(FILES, {"b": (PLAIN[0], noise("time", "2025-01-01 00:00:00"))}),
        {("b", "time", "noise")},
    ),
    "a file became executable": (
        FakeTree(FILES, {"b": PLAIN}),
        FakeTree(FILES, {"b": (data("executable", "yes"), PLAIN[1])}),
        {("b", "executable", "data")},
    ),
    "a field that only one side has": (
        FakeTree(FILES, {"b": PLAIN}),
        FakeTree(FILES, {"b": (*PLAIN, data("xattr:security.capability", "01"))}),
        {("b", "xattr:security.capability", "data")},
    ),
    "an archive field": (FakeTree(FILES, fields=(data("comment", "a"),)), FakeTree(FILES), {("", "comment", "data")}),
    "another order where it is noise": (FakeTree(FILES), FakeTree(dict(reversed(FILES.items()))), {("", "order", "noise")}),
    "another order where it is data": (
        FakeTree(FILES, ordered=frozenset({""})),
        FakeTree(dict(reversed(FILES.items()))),
        {("", "order", "data")},
    ),
    "another order inside a container": (
        FakeTree({"t": b"1", "t!/x": b"", "t!/y": b""}),
        FakeTree({"t": b"1", "t!/y": b"", "t!/x": b""}),
        {("t", "order", "noise")},
    ),
    "an entry for a folder that is there anyway": (FakeTree({"a": None, **FILES}), FakeTree(FILES), {("a", "member", "noise")}),
    "an entry for an empty folder": (FakeTree({"e": None, **FILES}), FakeTree(FILES), {("e", "member", "data")}),
    "an entry for a folder with an attribute of its own": (
        FakeTree({"a": None, **FILES}, {"a": (data("xattr:user.x", "1"),)}),
        FakeTree(FILES),
        {("a", "member", "data")},
    ),
    "an entry for a folder in a deb": (
        FakeTree({"a": None, **FILES}, profile=Profile.DEB),
        FakeTree(FILES, profile=Profile.DEB),
        {("a", "member", "data")},
    ),
    "another format": (FakeTree(FILES), FakeTree(FILES, profile=Profile.ZIP), {("", "format", "data")}),
}


@pytest.mark.parametrize("story", STORIES)
def test_each_difference_is_a_row_of_its_weight(story: str) -> None:
    old, new, expected = STORIES[story]
    assert rows(old, new) == expected


def test_contents_that_differ_are_named_apart() -> None:
    found = delta(FakeTree(FILES), FakeTree({**FILES, "b": b"c"}))
    assert [(old.path, new.path) for old, new in found.contents] == [("b", "b")]
    assert found.rows == ()


def test_a_content_that_could_not_be_read_is_never_the_same() -> None:
    class Damaged(FakeTree):
        @property
        def members(self) -> tuple[Member, ...]:
            return tuple(member._replace(sha256=None) for member in super().members)

    assert len(delta(Damaged(FILES), Damaged(FILES)).contents) == 3


def test_hostile_names_and_values_are_shown_harmlessly() -> None:
    found = delta(FakeTree({"\x1b[2J" * 200: b"x"}), FakeTree({"b": b""}, {"b": (data("comment", "\x07" * 999),)}))
    for row in found.rows:
        assert len(row.shown.path) <= 200
        assert "\x1b" not in row.shown.path
    assert row.weight is Weight.DATA
