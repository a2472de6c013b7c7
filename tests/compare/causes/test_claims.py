"""Rules of single fields and texts, what follows from what, and what a hostile pair may cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.archive.tree import Profile
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.catalogue import UNEXPLAINED
from reprove.compare.causes.contents import content_causes
from reprove.compare.causes.explain import explain
from reprove.compare.causes.fields import field_cause
from reprove.compare.causes.model import Case, Sides
from reprove.compare.causes.regions import regions
from reprove.compare.causes.texts import text_causes
from reprove.compare.result import Difference
from reprove.core.outcomes import Certainty
from tests.compare.elves import Part, program

PROVED, LIKELY = Certainty.PROVED, Certainty.LIKELY
MODES = {
    "group may write": ("100644", "100664", Profile.WHEEL, ("umask", PROVED)),
    "others may not read or run": ("100755", "100700", Profile.WHEEL, ("umask", PROVED)),
    "dpkg sets it": ("100644", "100666", Profile.DEB, ("umask", LIKELY)),
    "the owner may not write": ("100644", "100444", Profile.WHEEL, ("packer", LIKELY)),
    "the owner may not write, by dpkg": ("100644", "100444", Profile.DEB, None),
    "runs now": ("100644", "100755", Profile.WHEEL, ("executable-bit", LIKELY)),
    "runs for others only": ("100644", "100645", Profile.WHEEL, ("executable-bit", LIKELY)),
    "set-uid": ("100755", "104755", Profile.DEB, None),
    "no type": ("000644", "100644", Profile.WHEEL, ("packer", PROVED)),
    "no number": ("rw", "100644", Profile.WHEEL, None),
}


@pytest.mark.parametrize("story", MODES)
def test_a_umask_takes_nothing_from_the_owner(story: str) -> None:
    old, new, profile, expected = MODES[story]
    assert field_cause(Difference("a", "mode", old, new), profile) == expected
    assert field_cause(Difference("a", "mode", new, old), profile) == expected


FIELDS = {
    "owners in a tar": (Difference("a", "uid", 0, 1000), Profile.SDIST, ("owners", PROVED)),
    "owners that dpkg sets": (Difference("data.tar!/a", "uid", 0, 1000), Profile.DEB, ("owners", LIKELY)),
    "order of files": (Difference("", "order", "a", "b"), Profile.SDIST, ("file-order", PROVED)),
    "order of what is linked": (Difference("", "order", "a.o", "b.o"), Profile.AR, ("file-order", LIKELY)),
    "order in a library that is payload": (Difference("lib/x.a", "order", "a.o", "b.o"), Profile.WHEEL, ("file-order", LIKELY)),
    "owner in a library": (Difference("lib/x.a!/a.o", "uid", "0", "1000"), Profile.WHEEL, ("ar-header", PROVED)),
    "a stamp on both sides": (Difference("a", "extra:5455", "01aa", "01bb"), Profile.WHEEL, ("build-time", PROVED)),
    "a stamp on one side": (Difference("a", "extra:5455", "01aa", None), Profile.WHEEL, ("packer", PROVED)),
    "an unknown extra field": (Difference("a", "extra:9999", "01aa", None), Profile.WHEEL, ("packer", LIKELY)),
    "a fraction of a second": (Difference("a", "time", "2024-01-02 03:04:05", "2024-01-02 03:04:05.5"), Profile.SDIST, ("tar-dialect", PROVED)),
    "how hard deflate tried": (Difference("a", "flags", "0000", "0002"), Profile.WHEEL, ("compressor", PROVED)),
    "a target": (Difference("a", "target", "b", "/etc/passwd"), Profile.SDIST, None),
    "an attribute": (Difference("a", "xattr:security.capability", None, "01"), Profile.SDIST, None),
}


@pytest.mark.parametrize("story", FIELDS)
def test_fields_have_their_cause(story: str) -> None:
    row, profile, expected = FIELDS[story]
    assert field_cause(row, profile) == expected


TEXTS: Mapping[str, tuple[str, str, list[str]]] = {
    "two causes in one line": ("v = 'built 2024-01-02 by alice@one'\n", "v = 'built 2025-03-04 by bob@two'\n", ["embedded-date", "host-or-user"]),
    "a folder and a date": ("p = '/build/one/x'\nd = '2024-01-02'\n", "p = '/home/b/two/x'\nd = '2025-01-02'\n", ["build-path", "embedded-date"]),
    "a date and code": ("d = '2024-01-02'\nreturn x\n", "d = '2025-01-02'\nreturn y\n", []),
    "a name in the place of another": ("verify_signature_of_package(x)\n", "ignore_signature_of_package1(x)\n", []),
    "a digest that is called so": ("sha256 = '" + "a1" * 32 + "'\n", "sha256 = '" + "b2" * 32 + "'\n", []),
    "a number": ("limit = 1234567\n", "limit = 7654321\n", []),
    "a number with a digit more": ("limit = 10\n", "limit = 100\n", []),
    "words in another place": ("if a and not b:\n", "if b and not a:\n", []),
    "a list of names": ("NAMES = {'b', 'a', 'c'}\n", "NAMES = {'c', 'b', 'a'}\n", ["hash-order"]),
    "the last of a list has no comma": ('{\n "a": 1,\n "b": 1\n}', '{\n "b": 1,\n "a": 1\n}', ["hash-order"]),
    "a list of files": ("a/x.py\na/b.py\na/c.py\n", "a/c.py\na/x.py\na/b.py\n", ["file-order"]),
    "sorted by a locale": ("B\nZ\na\nc\n", "a\nB\nc\nZ\n", ["locale-order"]),
    "a name of a temporary folder": ("at /tmp/tmpab12cd34/x\n", "at /tmp/tmpzz98yy76/x\n", ["random"]),
    "line ends and a date": ("d = '2024-01-02'\r\nx\r\n", "d = '2025-01-02'\nx\n", ["embedded-date", "line-endings"]),
    "one line less": ("a\nb\nc\n", "a\nc\n", []),
}


@pytest.mark.parametrize("story", TEXTS)
def test_texts_have_every_cause_that_is_needed_and_no_more(story: str) -> None:
    old, new, expected = TEXTS[story]
    found = text_causes("demo/a.py", old.encode(), new.encode(), Budget())
    assert sorted(cause for cause, _ in found) == sorted(expected)
    assert all(certainty is LIKELY for _, certainty in found)


def test_line_ends_are_proved_but_in_a_script_that_names_its_interpreter() -> None:
    assert text_causes("a.py", b"x\r\ny\r\n", b"x\ny\n", Budget()) == [("line-endings", PROVED)]
    assert text_causes("a.sh", b"#!/bin/sh\r\n", b"#!/bin/sh\n", Budget()) == [("line-endings", LIKELY)]


def test_a_requirement_that_is_locked_has_drifted_only_in_a_lock_file() -> None:
    sides = b"idna==3.4\n", b"idna==3.7\n"
    assert text_causes("x/requirements.txt", *sides, Budget()) == [("dependency-drift", LIKELY)]
    assert text_causes("x/code.txt", *sides, Budget()) == []


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_content_is_its_regions_and_the_rest(old: bytes, new: bytes) -> None:
    """Equal regions mean equal contents, so that a mask that makes them equal leaves nothing out."""
    if old != new:
        assert regions(old, new) != []


@given(st.lists(st.sampled_from(["a", "b", "\n", "\0", " ", "/x/y", "2024-01-02", "é"]), max_size=40), st.randoms(use_true_random=False))
def test_what_stands_outside_regions_is_the_same(parts: list[str], rng: random.Random) -> None:
    old = "".join(parts).encode()
    new = bytearray(old)
    for _ in range(rng.randrange(1, 4)):
        if new:
            new[rng.randrange(len(new))] = rng.randrange(32, 127)
    found = regions(old, bytes(new))
    differing = sum(a != b for a, b in zip(old, new, strict=True))
    assert found is None or sum(a != b for one in found for a, b in zip(*one, strict=True)) == differing


def test_packed_bytes_follow_what_is_inside_and_hide_no_cause_of_their_own() -> None:
    rows = (
        Difference("data.tar!/x", "time", "2024-01-02 03:04:05", "2025-06-07 08:09:11"),
        Difference("data.tar", "packed", "10 bytes", "11 bytes"),
        Difference("control.tar", "packed", "10 bytes", "11 bytes"),
    )
    claims = {one.id: one.claims for one in explain(Case(Profile.DEB, rows, {}))}
    assert claims == {"build-time": (0, 1), "compressor": (2,)}


def test_dull_rows_prove_nothing_of_an_archive_that_cannot_be_read_whole() -> None:
    path = "demo/x.zip"
    rows = (Difference(path, "content", "a", "b", 0), Difference(f"{path}!/a", "time", "2024-01-02 03:04:05", "2025-06-07 08:09:11"))
    sides = Sides(path, b"PK\3\4 no zip", b"PK\3\4 nor this")
    found = explain(Case(Profile.WHEEL, rows, {path: sides}))
    assert (found[0].id, found[0].claims) == (UNEXPLAINED, (0,))


def test_a_zone_is_only_likely_while_something_is_unexplained() -> None:
    times = [Difference(f"m{n}", "time", f"2024-01-0{n} 03:04:04", f"2024-01-0{n} 05:04:04") for n in (1, 3, 5)]
    alone, beside = (explain(Case(Profile.WHEEL, rows, {})) for rows in (tuple(times), (*times, Difference("x", "content", "a", "b", 0))))
    assert [(one.id, one.certainty) for one in alone] == [("time-zone", PROVED)]
    assert ("time-zone", LIKELY) in [(one.id, one.certainty) for one in beside]


PATHS = "|a|x.zip|x.zip!/a|x.a!/b.o|data.tar|data.tar!/b|d.dist-info/RECORD|d/x.1a2b3c4d.js|d/x.9a8b7c6d.js"
NAMES = "content size member mode time uid order flags method extract-version deflate packed xz:blocks header-form"
ROWS = st.builds(
    Difference,
    path=st.sampled_from(PATHS.split("|")),
    field=st.sampled_from(NAMES.split()),
    old=st.sampled_from([None, "folder", "100644", "2024-01-02 03:04:05", "9 bytes, sha256 aa", "0000"]),
    new=st.sampled_from([None, "folder", "100664", "2024-01-02 05:04:05", "9 bytes, sha256 aa", "0002"]),
)


@given(st.lists(ROWS, max_size=25), st.sampled_from([Profile.WHEEL, Profile.DEB, Profile.AR, Profile.SDIST]), st.randoms(use_true_random=False))
def test_any_mix_is_claimed_once_and_in_any_order_by_the_same_causes(rows: list[Difference], profile: Profile, rng: random.Random) -> None:
    unique = list({(row.path, row.field): row for row in rows}.values())
    turned = rng.sample(unique, len(unique))
    found = [explain(Case(profile, tuple(each), {})) for each in (unique, turned)]
    for causes in found:
        assert sorted(index for one in causes for index in one.claims) == list(range(len(unique)))
    assert {one.id for one in found[0] if one.id == UNEXPLAINED} == {one.id for one in found[1] if one.id == UNEXPLAINED}


CONTENTS: Mapping[str, Callable[[int], tuple[bytes, bytes]]] = {
    "every line differs": lambda n: (b"host = aaaa Jan 1\n" * n, b"host = bbbb Jan 1\n" * n),
    "one long line": lambda n: (b"host " * n * 3 + b"1", b"host " * n * 3 + b"2"),
    "a list of nothing": lambda n: (b"[1," * n * 5 + b"1", b"[1," * n * 5 + b"2"),
    "names of modules": lambda n: (b"\xa7\r\r\n" + bytes(12) + b"z\x05/a.py" * n * 2, b"\xa7\r\r\n" + bytes(12) + b"z\x05/a.py" * n * 2 + b"x"),
}


@pytest.mark.slow
@pytest.mark.parametrize("story", CONTENTS)
def test_many_hostile_contents_take_no_long_time(story: str) -> None:
    sides = CONTENTS[story](20_000)
    contents = {f"f{n}.pyc": Sides(f"f{n}.pyc", *sides) for n in range(300)}
    begun = time.process_time()
    explain(Case(Profile.WHEEL, tuple(Difference(path, "content", "a", "b", 0) for path in contents), contents))
    assert time.process_time() - begun < 20


def test_what_is_beyond_the_budget_is_unexplained() -> None:
    sides = Sides("a.txt", b"d = '2024-01-02'\n", b"d = '2025-01-02'\n")
    assert content_causes(Profile.WHEEL, sides, Budget()) == [("embedded-date", LIKELY)]
    for spent in (Budget(read=0), Budget(text=0), Budget(masked=0)):
        assert content_causes(Profile.WHEEL, sides, spent) == []


def test_code_that_differs_is_not_explained_by_strings_or_compilers_that_do_too() -> None:
    def built(text: bytes, code: bytes, comment: bytes = b"GCC: 12\0") -> bytes:
        return program(code=code, comment=comment, more=[Part(".rodata", text, 1, 2, 8192, 8)])

    same = built(b"made 2024-01-02\0", b"\x90" * 64)
    dated = content_causes(Profile.WHEEL, Sides("x.so", same, built(b"made 2025-03-04\0", b"\x90" * 64)), Budget())
    assert dated == [("embedded-date", LIKELY)]
    assert content_causes(Profile.WHEEL, Sides("x.so", same, built(b"made 2025-03-04\0", b"\x90" * 63 + b"\xcc")), Budget()) == []
    compiler = content_causes(Profile.WHEEL, Sides("x.so", same, built(b"made 2024-01-02\0", b"\xcc" * 64, b"GCC: 13\0")), Budget())
    assert compiler == [("compiler-version", LIKELY)]
