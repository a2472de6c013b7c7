"""Signed notes, verifier keys, checkpoints and cosignatures: canonical or refused; known keys must hold, unknown ones are ignored."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core import checkpoints, cosignatures, merkle, notes
from reprove.core.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from reprove.core.errors import ProblemError, Slug, VerificationError, VerificationReason
from reprove.core.notes import COSIGNATURE, ED25519, VKey
from tests.core.vectors import VECTORS, log_vkey, witness_vkeys
from tests.core.world import ed

ORIGIN = "log.example"
LOG = VKey(ORIGIN, ED25519, ed("log").public_key)
W1 = VKey("w1.example", COSIGNATURE, ed("w1").public_key)
W2 = VKey("w2.example", COSIGNATURE, ed("w2").public_key)
ROOT = merkle.leaf_hash(b"x")
TEXT = Checkpoint(ORIGIN, 1, ROOT).text
LINE = notes.sign_note(TEXT, ORIGIN, ed("log"))
GREASE = "\u2014 grease.example " + base64.b64encode(b"\x01" * 76).decode() + "\n"


def cosigned(name: str, time: int = 1_800_000_000, text: str = TEXT) -> str:
    return cosignatures.cosign(text, f"{name}.example", ed(name), time)


def note(*lines: str, text: str = TEXT) -> str:
    return notes.format_note(text, lines)


def test_the_vectors_key_has_its_hash_and_its_log_id() -> None:
    vkey = log_vkey()
    assert str(vkey) == (VECTORS / "log.vkey").read_text().strip()
    assert vkey.log_id.hex()[:8] == vkey.key_hash.hex() == str(vkey).split("+")[1]


@pytest.mark.parametrize("vkey", [LOG, W1, log_vkey(), *witness_vkeys()], ids=str)
def test_a_verifier_key_reads_back(vkey: VKey) -> None:
    assert notes.parse_vkey(str(vkey)) == vkey
    assert notes.format_vkey(vkey.name, vkey.key, vkey.algorithm) == notes.format_vkey(vkey.name, vkey.key.raw_ed25519, vkey.algorithm) == str(vkey)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "a",
        str(LOG).upper(),
        str(LOG).replace(ORIGIN, "other.example"),
        str(LOG) + "=",
        str(LOG)[:-1],
        str(LOG) + "\n",
        f" {LOG}",
        str(LOG).replace(ORIGIN, "a b"),
        str(LOG).replace(ORIGIN, ""),
        str(VKey("x", 2, LOG.key)),
        str(LOG).replace("+A", "+B", 1),
    ],
)
def test_other_forms_of_a_verifier_key_are_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        notes.parse_vkey(text)


@given(st.text(max_size=200))
def test_any_text_is_the_canonical_form_of_a_note_or_refused(text: str) -> None:
    for candidate in (text, f"{text}\n\n{LINE}", f"{TEXT}\n{text}\n", f"{TEXT}\n{LINE}{text}", f"{text}{note(LINE)}"):
        try:
            parsed = notes.parse_note(candidate)
        except ProblemError:
            continue
        assert str(parsed) == candidate
        assert parsed.text.endswith("\n")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\n\n",
        note(LINE).encode()[:-1],
        note(LINE).replace("\n", "\r\n").encode(),
        note(LINE).encode() + b"\n",
        note().encode(),
        note(LINE).replace("\u2014", "-").encode(),
        note(LINE).replace(" ", "  ").encode(),
        note(LINE).encode() + b"\xff\n",
        note(LINE, text=TEXT + "a\tb\n").encode(),
        note(LINE, text=TEXT + "a\x00\n").encode(),
        note("\u2014 x AAAA\n").encode(),
        note("\u2014 a+b AAAAAAAA\n").encode(),
        note("\u2014 a\u00a0b AAAAAAAA\n").encode(),
        note("\u2014 a AAAAAAA\n").encode(),
        note("\u2014 a AAAAAAB=\n").encode(),
        note("\u2014  AAAAAAAA\n").encode(),
        note(LINE).replace("\n\n", "\n").encode(),
    ],
)
def test_other_forms_of_a_note_are_refused(bad: bytes) -> None:
    with pytest.raises(ProblemError):
        notes.parse_note(bad)


def test_seventeen_signatures_and_more_are_read_and_sixty_five_are_not() -> None:
    for count in (17, 64):
        lines = [LINE, *[GREASE] * (count - 1)]
        assert len(notes.parse_note(note(*lines)).signatures) == count
    with pytest.raises(ProblemError) as caught:
        notes.parse_note(note(*[GREASE] * 65))
    assert caught.value.problem.slug is Slug.TOO_LARGE
    with pytest.raises(ProblemError) as caught:
        notes.parse_note(note(LINE, text="x" * notes.MAX_NOTE_BYTES + "\n"))
    assert caught.value.problem.slug is Slug.TOO_LARGE


def test_a_line_as_long_as_an_ml_dsa_cosignature_is_read_and_ignored() -> None:
    line = "\u2014 w9.example " + base64.b64encode(b"\x06" * (4 + 2428)).decode() + "\n"
    assert open_checkpoint(note(LINE, line), LOG).checkpoint.size == 1


def test_grease_is_tolerated_but_a_known_key_that_does_not_hold_is_not() -> None:
    assert open_checkpoint(note(GREASE, LINE, GREASE), LOG).checkpoint == Checkpoint(ORIGIN, 1, ROOT)
    forged = notes.NoteSignature(ORIGIN, LOG.key_hash, bytes(64)).line
    for lines in ((forged,), (LINE, forged), (forged, LINE), (GREASE,)):
        with pytest.raises(VerificationError) as caught:
            open_checkpoint(note(*lines), LOG)
        assert caught.value.reason is VerificationReason.CHECKPOINT


def test_a_line_with_the_hash_of_a_known_key_under_another_name_is_unknown() -> None:
    parsed = notes.parse_note(note(LINE.replace(ORIGIN, "other.example")))
    with pytest.raises(VerificationError):
        notes.verify(parsed, [LOG])


def test_parse_signature_lines_reads_what_a_witness_answers() -> None:
    assert [one.name for one in notes.parse_signature_lines(cosigned("w1") + cosigned("w2"))] == ["w1.example", "w2.example"]
    for bad in ("", "\n", cosigned("w1")[:-1], cosigned("w1") + "\n", cosigned("w1").replace("\n", "\r\n")):
        with pytest.raises(ProblemError):
            notes.parse_signature_lines(bad)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n1\n",
        TEXT[:-1],
        TEXT.replace("\n1\n", "\n01\n"),
        TEXT.replace("\n1\n", "\n-1\n"),
        TEXT.replace("\n1\n", "\n+1\n"),
        TEXT.replace("\n1\n", f"\n{2**63}\n"),
        TEXT.replace("\n1\n", "\n1 \n"),
        TEXT.replace("\n1\n", "\n\u0661\n"),
        TEXT.replace("\n1\n", "\n0\n"),
        TEXT + "\n",
        TEXT.replace("=\n", "\n"),
        f"{ORIGIN}\n1\nAAAA\n",
        f"\n1\n{TEXT.splitlines()[2]}\n",
        TEXT.replace("\n", "\r\n"),
        TEXT + "extension",
    ],
)
def test_other_forms_of_a_checkpoint_are_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        parse_checkpoint(text)


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(st.sampled_from(["a", "extension line", "é"]), max_size=3))
def test_a_checkpoint_reads_back(size: int, root: bytes, extensions: list[str]) -> None:
    made = Checkpoint(ORIGIN, size, root, tuple(extensions))
    assert parse_checkpoint(made.text) == made


@given(st.text(max_size=120))
def test_any_text_is_the_canonical_form_of_a_checkpoint_or_refused(text: str) -> None:
    for candidate in (text, f"{ORIGIN}\n{text}", f"{ORIGIN}\n1\n{text}\n", f"{TEXT}{text}\n"):
        try:
            assert parse_checkpoint(candidate).text == candidate
        except ProblemError:
            continue


def test_the_empty_log_has_the_empty_root() -> None:
    assert parse_checkpoint(Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT).text).size == 0


def test_witnesses_are_counted_by_key_and_their_times_are_told() -> None:
    good = note(LINE, cosigned("w1", 1000), cosigned("w2", 2000))
    assert open_checkpoint(good, LOG, [W1, W2], 2).cosigned == (("w1.example", 1000), ("w2.example", 2000))
    again = VKey("w1-again.example", COSIGNATURE, W1.key)
    twice = note(LINE, cosigned("w1", 1000), cosignatures.cosign(TEXT, "w1-again.example", ed("w1"), 1000))
    assert open_checkpoint(twice, LOG, [W1, again], 1).cosigned == (("w1.example", 1000),)
    with pytest.raises(VerificationError):
        open_checkpoint(twice, LOG, [W1, again], 2)


def test_a_log_is_not_its_own_witness() -> None:
    own = VKey("w0.example", COSIGNATURE, LOG.key)
    with pytest.raises(VerificationError):
        open_checkpoint(note(LINE, cosignatures.cosign(TEXT, "w0.example", ed("log"), 5)), LOG, [own], 1)


def test_of_two_cosignatures_by_one_witness_the_earlier_time_counts() -> None:
    assert open_checkpoint(note(LINE, cosigned("w1", 2000), cosigned("w1", 1000)), LOG, [W1]).cosigned == (("w1.example", 1000),)


@pytest.mark.parametrize(
    "line",
    [
        cosigned("w1", text=TEXT.replace("\n1\n", "\n2\n")),
        cosignatures.cosign(TEXT, "w1.example", ed("w1"), 0),
        cosignatures.cosign(TEXT, "w1.example", ed("w1"), 2**63),
        notes.NoteSignature("w1.example", W1.key_hash, bytes(8) + bytes(64)).line,
        notes.NoteSignature("w1.example", W1.key_hash, bytes(64)).line,
        notes.NoteSignature("w1.example", W1.key_hash, bytes(2428)).line,
    ],
)
def test_a_cosignature_that_does_not_hold_refuses_the_checkpoint(line: str) -> None:
    with pytest.raises(VerificationError) as caught:
        open_checkpoint(note(LINE, line), LOG, [W1])
    assert caught.value.reason is VerificationReason.CHECKPOINT


def test_a_checkpoint_of_another_origin_and_malformed_ones_raise_only_verification_errors() -> None:
    other = TEXT.replace(ORIGIN, "other.example")
    with pytest.raises(VerificationError) as caught:
        open_checkpoint(note(notes.sign_note(other, ORIGIN, ed("log")), text=other), LOG)
    assert caught.value.reason is VerificationReason.CHECKPOINT
    for bad in ("", "x", note(LINE)[:-1], b"\xff", notes.format_note("x\n", [notes.sign_note("x\n", ORIGIN, ed("log"))])):
        with pytest.raises(VerificationError) as caught:
            open_checkpoint(bad, LOG)
        assert caught.value.reason is VerificationReason.MALFORMED


@given(st.integers(0, len(note(LINE, cosigned("w1")).encode()) - 1), st.integers(1, 255))
def test_no_byte_of_a_cosigned_checkpoint_is_free_to_change(at: int, mask: int) -> None:
    good = bytearray(note(LINE, cosigned("w1")).encode())
    good[at] ^= mask
    with pytest.raises(VerificationError):
        open_checkpoint(bytes(good), LOG, [W1], 1)


def test_the_vectors_checkpoint_is_cosigned_by_both_witnesses() -> None:
    text = (VECTORS / "comp.wit.tlog-proof").read_text().partition("\n\n")[2]
    opened = open_checkpoint(text, log_vkey(), witness_vkeys(), 2)
    assert [name for name, _ in opened.cosigned] == ["w1.example", "w2.example"]
    with pytest.raises(VerificationError):
        open_checkpoint((VECTORS / "log" / "checkpoint").read_text(), log_vkey(), witness_vkeys(), 1)


def test_formatting_a_note_whose_text_has_no_final_newline_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="newline"):
        notes.format_note("x", [])
    assert checkpoints.parse_checkpoint(TEXT).text == TEXT
