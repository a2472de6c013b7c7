"""Tampered zips that other comparers call equal, each against its clean original: never equal here, at any level.

After a study in which a well-known stabilizer called most of these equal.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from reprove.core.outcomes import Finding, Level, Outcome
from tests.archive.zips import LATER, Part, wheel_parts, zip_bytes

WHEEL, JAR, ZIP = "demo-1.0-py3-none-any.whl", "demo-1.0.jar", "demo.zip"
LINK = b"/etc/passwd"
MANIFEST = Part("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")
SIGNED = [MANIFEST, Part("META-INF/A.SF", b"Signature-Version: 1.0\r\n\r\n"), Part("META-INF/A.EC", b"\x30"), Part("A.class", b"\xca\xfe")]


def honest_wheel(files: dict[str, bytes]) -> list[Part]:
    return wheel_parts(files)


FILES = {"demo/__init__.py": b"x = 1\n", "demo/link": LINK}
CLEAN = honest_wheel(FILES)


def with_part(index: int, **fields: object) -> bytes:
    return zip_bytes([replace(part, **fields) if number == index else part for number, part in enumerate(CLEAN)])  # type: ignore[arg-type]


def renaming(plain: bytes, name: bytes) -> bytes:
    body = b"\1" + struct.pack("<L", zlib.crc32(plain)) + name
    return struct.pack("<HH", 0x7075, len(body)) + body


EVIL = renaming(b"demo/__init__.py", b"demo/evil.py")
AMBIGUOUS, DIFFERS = Outcome.AMBIGUOUS_ARCHIVE, Outcome.DIFFERS
TAMPERED = {
    "1: a file that becomes a link to what it names": (WHEEL, zip_bytes(CLEAN), with_part(1, mode=0o120777), AMBIGUOUS),
    "1: the same in a plain zip": (ZIP, zip_bytes([Part("l", LINK)]), zip_bytes([Part("l", LINK, mode=0o120777)]), DIFFERS),
    "2: a file that becomes executable": (WHEEL, zip_bytes(CLEAN), with_part(0, mode=0o100755), DIFFERS),
    "3: set-user-id": (WHEEL, zip_bytes(CLEAN), with_part(0, mode=0o106755), AMBIGUOUS),
    "5: a Unicode path that renames": (WHEEL, zip_bytes(CLEAN), with_part(0, local={"extra": EVIL}, central={"extra": EVIL}), AMBIGUOUS),
    "5: in the central directory only": (WHEEL, zip_bytes(CLEAN), with_part(0, central={"extra": EVIL}), AMBIGUOUS),
    "6: another name in the local header": (WHEEL, zip_bytes(CLEAN), with_part(0, local={"name": b"demo/__evil__.py"}), AMBIGUOUS),
    "7: a member that the directory does not list": (
        WHEEL,
        zip_bytes(CLEAN),
        zip_bytes([*CLEAN, Part("demo/evil.py", b"evil", listed=False)]),
        AMBIGUOUS,
    ),
    "8: a script before the archive": (WHEEL, zip_bytes(CLEAN), zip_bytes(CLEAN, prefix=b"#!/bin/sh\nevil\n"), AMBIGUOUS),
    "8: a script before it, with offsets that skip it": (WHEEL, zip_bytes(CLEAN), b"#!/bin/sh\nevil\n" + zip_bytes(CLEAN), AMBIGUOUS),
    "13: a file of signatures that no signer wrote": (JAR, zip_bytes(SIGNED), zip_bytes([*SIGNED, Part("META-INF/PAYLOAD.EC", b"evil")]), DIFFERS),
    "14: a name twice": (ZIP, zip_bytes([Part("a", b"good")]), zip_bytes([Part("a", b"good"), Part("a", b"evil")]), AMBIGUOUS),
}


def judge(tmp_path: Path, name: str, original: bytes, rebuilt: bytes) -> Comparison:
    (tmp_path / "original").write_bytes(original)
    (tmp_path / "rebuilt").write_bytes(rebuilt)
    return compare_files(tmp_path / "original", tmp_path / "rebuilt", names=(name, name))


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_zip_is_never_equal_to_the_clean_one(tmp_path: Path, what: str, swap: bool) -> None:
    name, clean, tampered, outcome = TAMPERED[what]
    sides = (tampered, clean) if swap else (clean, tampered)
    result = judge(tmp_path, name, *sides)
    assert (result.outcome, result.level) == (outcome, None)


FALSE_RECORDS = {
    "a wrong hash": lambda text: text.replace("sha256=", "sha256=A", 1),
    "a row that leaves": lambda text: text + "../../etc/passwd,sha256=AAAA,4\n",
    "a row less": lambda text: text.partition("\n")[2],
    "a row twice": lambda text: text.partition("\n")[0] + "\n" + text,
    "a wrong size": lambda text: text.replace(",6\n", ",7\n", 1),
    "a weak hash": lambda text: text.replace("sha256=", "md5=", 1),
    "no hash": lambda text: "demo/__init__.py,," + text[text.index("\n") :],
}


@pytest.mark.parametrize("what", FALSE_RECORDS)
def test_a_record_that_lies_is_found_and_ends_every_equality_of_its_own(tmp_path: Path, what: str) -> None:
    """Row 9: the lie is on both sides, only the times differ."""
    lie = FALSE_RECORDS[what](CLEAN[-1].data.decode()).encode()
    assert lie != CLEAN[-1].data
    parts = [*CLEAN[:-1], replace(CLEAN[-1], data=lie)]
    result = judge(tmp_path, WHEEL, zip_bytes(parts), zip_bytes([replace(part, time=LATER) for part in parts]))
    assert (result.outcome, result.level) == (DIFFERS, None)
    assert Finding.FALSE_MANIFEST in {row.code for row in result.findings}


def test_no_order_of_many_doubled_names_is_equal_to_another(tmp_path: Path) -> None:
    """Row 14: which of two members wins must not hang on how many there are, or how they are sorted."""
    doubled = [Part("a", b"good"), Part("a", b"evil"), *(Part(f"{number}", b"x") for number in range(13))]
    plain = zip_bytes(doubled)
    for order in itertools.islice(itertools.permutations(range(15)), 0, 20_000, 1_000):
        other = zip_bytes([doubled[number] for number in order])
        if other != plain:
            assert judge(tmp_path, ZIP, plain, other).outcome is AMBIGUOUS


@pytest.mark.parametrize(("name", "parts"), [(WHEEL, CLEAN), (JAR, SIGNED), (ZIP, [Part("a", b"x")])])
def test_a_harmless_comment_is_no_more_than_noted(tmp_path: Path, name: str, parts: list[Part]) -> None:
    """Row 15: the opposite error. The comment is data, and its pass leaves it out by name."""
    result = judge(tmp_path, name, zip_bytes(parts), zip_bytes(parts, comment=b"made by a build machine"))
    assert result.level is Level.NORMALIZED
    assert [used.id for used in result.passes] == ["archive-comment"]
