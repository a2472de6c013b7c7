"""Each pass makes equal what it names, and nothing else; all of them are idempotent and independent of their order."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprove.compare.passes.model import FieldMask, MemberMask, Pass, PieceMask, Risk
from reprove.compare.passes.registry import PASSES, by_id, table
from reprove.compare.pieces import Piece, Pieces
from reprove.core.outcomes import Level
from tests.compare.anatomies.test_lossless import SAMPLES
from tests.compare.passes.cases import EQUAL, UNEQUAL, Pair

OVER_PIECES = [one for one in PASSES if isinstance(one.mask, PieceMask)]


def mask(one: Pass) -> PieceMask:
    assert isinstance(one.mask, PieceMask)
    return one.mask


def left(passes: Sequence[Pass], pieces: Pieces) -> list[tuple[str, bytes]]:
    """What passes over one anatomy leave of a content."""
    ordered, loose = [], []
    for piece in pieces:
        kept: Piece | None = piece
        for one in passes:
            kept = None if kept is None else mask(one).keep(kept)
        if kept is not None:
            (loose if any(mask(one).loose(kept.name) for one in passes) else ordered).append((kept.name, kept.data))
    return ordered + sorted(loose)


def equal(pair: Pair) -> bool:
    one = by_id(pair.id)
    old, new = mask(one).anatomy.split(pair.old), mask(one).anatomy.split(pair.new)
    return old is not None and new is not None and left([one], old) == left([one], new)


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair.id)
def test_a_pass_makes_equal_what_it_names(pair: Pair) -> None:
    one = by_id(pair.id)
    assert pair.old != pair.new
    assert any(fnmatchcase(pair.path, pattern) for pattern in one.paths)
    assert all(mask(one).anatomy.fits(pair.path, side[:4096]) for side in (pair.old, pair.new))
    assert equal(pair)


@pytest.mark.parametrize("pair", UNEQUAL, ids=lambda pair: f"{pair.id}: {pair.why}")
def test_a_pass_makes_nothing_else_equal(pair: Pair) -> None:
    assert pair.old != pair.new
    assert mask(by_id(pair.id)).anatomy.split(pair.old) is not None
    assert not equal(pair)


def test_every_pass_over_contents_has_both_kinds_of_pairs() -> None:
    ids = {one.id for one in OVER_PIECES}
    assert {pair.id for pair in EQUAL} == {pair.id for pair in UNEQUAL} == ids


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair.id)
def test_no_other_pass_is_as_broad_unless_it_says_so(pair: Pair) -> None:
    """A pair that differs in one thing is made equal by the passes that name that thing only."""
    broader = {
        "elf-code-identical": {"elf-build-id", "elf-debuglink", "elf-comment", "elf-path-prefix", "elf-debug"},
        "elf-debug": {"elf-path-prefix"},
        "jar-git-properties": {"jar-maven-pom-properties"},
    }
    for one in OVER_PIECES:
        if one.id != pair.id and mask(one).anatomy.name == mask(by_id(pair.id)).anatomy.name and pair.id not in broader.get(one.id, set()):
            assert not equal(Pair(one.id, pair.path, pair.old, pair.new)), one.id


CONTENTS = [(anatomy.name, data) for anatomy, _, data in SAMPLES.values()] + [
    (mask(by_id(pair.id)).anatomy.name, data) for pair in EQUAL for data in (pair.old, pair.new)
]


@settings(max_examples=100, deadline=None)
@given(content=st.sampled_from(CONTENTS), at=st.integers(0, 2**20), byte=st.integers(0, 255), draw=st.data())
def test_passes_are_idempotent_and_in_any_order_the_same(content: tuple[str, bytes], at: int, byte: int, draw: st.DataObject) -> None:
    name, data = content
    damaged = data[: at % len(data)] + bytes([byte]) + data[at % len(data) + 1 :]
    fitting = [one for one in OVER_PIECES if mask(one).anatomy.name == name]
    order = draw.draw(st.permutations(fitting))
    for variant in (data, damaged):
        pieces = mask(fitting[0]).anatomy.split(variant)
        if pieces is None:
            continue
        assert left(order, pieces) == left(fitting, pieces)
        assert left([*order, *order], pieces) == left(fitting, pieces)


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(max_size=20),
    kind=st.sampled_from(sorted({pass_name for _, data in CONTENTS for pass_name in [data[:4].hex()]})),
    data=st.binary(max_size=50),
)
def test_masks_take_any_piece(name: str, kind: str, data: bytes) -> None:
    """A name or a content that no splitter gives is kept, or dropped: never a fault."""
    for one in OVER_PIECES:
        for piece in (Piece(name, data, 0), Piece(f"main:{name}", data, 0), Piece(f"header:{name}", data, 0), Piece("member:git", b"{}", 0)):
            kept = mask(one).keep(piece)
            assert kept is None or mask(one).keep(kept) == kept


def test_ids_are_plain_unique_and_versioned() -> None:
    ids = [one.id for one in PASSES]
    assert len(set(ids)) == len(ids)
    for one in PASSES:
        assert one.id.replace("-", "").isalnum()
        assert one.id == one.id.lower()
        assert one.version >= 1
        assert by_id(one.id) is one
        assert one.paths
        assert one.profiles


def test_what_some_program_may_act_on_is_semantic() -> None:
    for one in PASSES:
        assert (one.level, one.risk) in {(Level.NORMALIZED, Risk.METADATA), (Level.SEMANTIC, Risk.SEMANTIC)}, one.id


def test_every_reason_is_one_plain_sentence() -> None:
    for one in PASSES:
        assert one.reason.endswith("."), one.id
        assert 30 < len(one.reason) < 200, one.id
        assert "|" not in one.reason
    assert "never bit for bit" in by_id("elf-code-identical").reason


def test_the_table_has_a_row_for_each_pass() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(one.id for one in PASSES)
    assert all(row.count("|") == 8 for row in rows)


def test_only_comments_are_dropped_as_fields() -> None:
    """Modes, links, attributes and names are never masked."""
    masks = {one.id: one.mask.names for one in PASSES if isinstance(one.mask, FieldMask)}
    assert masks == {"archive-comment": frozenset({"comment"})}


SIGNED = {
    "META-INF/MANIFEST.MF",
    "META-INF/ALICE.SF",
    "META-INF/ALICE.RSA",
    "META-INF/PAYLOAD.EC",
    "META-INF/LONE.SF",
    "META-INF/x/DEEP.SF",
    "META-INF/x/DEEP.EC",
}


def member_mask(name: str) -> MemberMask:
    found = by_id(name).mask
    assert isinstance(found, MemberMask)
    return found


@pytest.mark.parametrize(
    ("path", "dropped"),
    [
        ("META-INF/ALICE.SF", True),
        ("META-INF/ALICE.RSA", True),
        ("META-INF/PAYLOAD.EC", False),
        ("META-INF/LONE.SF", False),
        ("META-INF/x/DEEP.SF", False),
        ("META-INF/x/DEEP.EC", False),
        ("META-INF/MANIFEST.MF", False),
        ("META-INF/.EC", False),
        ("ALICE.SF", False),
    ],
)
def test_a_signature_is_a_pair_of_files_in_meta_inf(path: str, dropped: bool) -> None:
    assert member_mask("jar-signature").drop(path, SIGNED) is dropped
    assert not member_mask("jar-signature").drops(path)


@pytest.mark.parametrize("path", ["data.tar.gz.sig", "metadata.gz.sig", "checksums.yaml.gz.sig"])
def test_the_signatures_of_a_gem_are_three_files(path: str) -> None:
    assert member_mask("gem-signatures").drop(path, ())
    assert not member_mask("gem-signatures").drop(f"data.tar!/{path}", ())
    assert not member_mask("gem-signatures").drop("other.sig", ())


def test_passes_keep_to_their_formats() -> None:
    for one in PASSES:
        if one.id.startswith(("wheel-", "jar-", "gem-", "deb-")):
            assert {profile.value for profile in one.profiles} == {one.id.partition("-")[0]}
