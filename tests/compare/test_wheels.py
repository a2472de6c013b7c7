"""What differs is named: member, field, both sides, offset; the gravest class is the cause; nothing is equal by accident."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.compare.result import Comparison
from reprove.core.outcomes import CAUSE_CLASSES, Finding, Level, Outcome
from tests.archive.zips import LATER, TIME, Part, record_row, sdist, wheel, wheel_parts, zip_bytes
from tests.compare.pairs import judge

FILES = {"demo/__init__.py": b"x = 1\n", "demo/core.py": b"def f():\n    return 1\n"}


def fields(result: Comparison) -> set[tuple[str, str]]:
    return {(row.path, row.field) for row in result.differences}


def changed(**part: object) -> bytes:
    parts = wheel_parts()
    for name, value in part.items():
        setattr(parts[1], name, value)
    return zip_bytes(parts)


def test_one_changed_byte_names_the_member_the_line_and_the_offset(tmp_path: Path) -> None:
    result = judge(tmp_path, wheel(FILES | {"demo/core.py": b"def f():\n    return 2\n"}), wheel())
    row = next(row for row in result.differences if row.path == "demo/core.py")
    assert (row.field, row.old, row.new, row.offset) == ("content", "    return 2", "    return 1", 20)
    assert result.cause is not None
    assert (result.cause.class_, "demo/core.py" in result.cause.detail) == ("payload", True)


def test_an_extra_member_of_the_original_is_named_and_unsourced(tmp_path: Path) -> None:
    result = judge(tmp_path, wheel(FILES | {"zz_hook.pth": b"import evil\n"}), wheel())
    assert ("zz_hook.pth", "member") in fields(result)
    assert result.cause is not None
    assert result.cause.class_ == "extra-member"
    assert [(row.code, row.path) for row in result.findings] == [(Finding.UNSOURCED_MEMBERS, "zz_hook.pth")]


def test_a_member_that_the_source_has_elsewhere_is_not_unsourced(tmp_path: Path) -> None:
    source = sdist({**FILES, "src/demo/more.py": b"y = 2\n"})
    result = judge(tmp_path, wheel(FILES | {"demo/more.py": b"y = 2\n"}), wheel(), source)
    assert (result.cause and result.cause.class_, result.findings) == ("extra-member", ())


def test_an_empty_file_is_not_sourced_by_another_empty_file(tmp_path: Path) -> None:
    source = sdist({**FILES, "tests/__init__.py": b""})
    result = judge(tmp_path, wheel(FILES | {"demo/py.typed": b""}), wheel(), source)
    assert [row.code for row in result.findings] == [Finding.UNSOURCED_MEMBERS]


def test_a_member_that_only_the_rebuilt_wheel_has_is_missing(tmp_path: Path) -> None:
    result = judge(tmp_path, wheel(), wheel(FILES | {"demo/more.py": b"y = 2\n"}))
    assert (result.cause and result.cause.class_) == "missing-member"


CHANGES = {
    "the executable bit": (changed(mode=0o100755), ("demo/core.py", "executable"), "mode"),
    "permissions": (changed(mode=0o100664), ("demo/core.py", "mode"), Level.CANONICAL),
    "type bits of the mode": (changed(mode=0o644), ("demo/core.py", "mode"), Level.CANONICAL),
    "create_system": (changed(system=0), ("demo/core.py", "create-system"), Level.CANONICAL),
    "compression": (changed(method=0), ("demo/core.py", "method"), Level.CANONICAL),
    "an extra field": (changed(central={"extra": b"\x99\x99\0\0"}), ("demo/core.py", "extra:9999"), "container"),
    "a comment": (changed(comment=b"hi"), ("demo/core.py", "comment"), Level.NORMALIZED),
    "the time": (changed(time=LATER), ("demo/core.py", "time"), Level.CANONICAL),
    "the order": (zip_bytes(wheel_parts()[::-1]), ("", "order"), Level.CANONICAL),
    "the archive's comment": (zip_bytes(wheel_parts(), comment=b"hi"), ("", "comment"), Level.NORMALIZED),
    "metadata": (wheel(FILES, record=b"demo-1.0.dist-info/RECORD,,\n"), ("demo-1.0.dist-info/RECORD", "content"), "metadata"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_single_change_is_named_with_its_class_or_level(tmp_path: Path, what: str) -> None:
    original, row, verdict = CHANGES[what]
    result = judge(tmp_path, original, wheel())
    assert row in fields(result)
    if isinstance(verdict, Level):
        assert (result.outcome, result.level, result.cause) == (Outcome.REPRODUCED, verdict, None)
    else:
        assert (result.outcome, result.cause and result.cause.class_) == (Outcome.DIFFERS, verdict)
        assert verdict in CAUSE_CLASSES[Outcome.DIFFERS]


def test_another_deflate_is_canonical_and_never_more(tmp_path: Path) -> None:
    def packed(level: int) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
            for part in wheel_parts({"demo/data.txt": bytes(range(256)) * 40 + b"abcabcabd" * 400}):
                archive.writestr(zipfile.ZipInfo(part.name, (2024, 1, 2, 3, 4, 4)), part.data, zipfile.ZIP_DEFLATED, level)
        return out.getvalue()

    result = judge(tmp_path, packed(1), packed(9))
    assert (result.outcome, result.level) == (Outcome.REPRODUCED, Level.CANONICAL)
    assert ("demo/data.txt", "deflate") in fields(result)


def test_the_list_is_bounded_and_counted(tmp_path: Path) -> None:
    many = {f"demo/{n}.py": b"" for n in range(2500)}
    result = judge(tmp_path, wheel(many), wheel())
    assert len(result.differences) == 2000
    assert result.count > 2500
    assert len(result.findings) == 60


def test_hostile_names_are_shown_harmlessly(tmp_path: Path) -> None:
    result = judge(tmp_path, zip_bytes([*wheel_parts(), Part("\x1b[2Jx" * 100, b"evil")]), wheel())
    text = str(result.as_json())
    assert result.outcome is Outcome.AMBIGUOUS_ARCHIVE
    assert "\x1b" not in text
    assert all(len(row.path) <= 200 for row in result.differences)


NOISE = {
    *(
        "mode",
        "time",
        "local-time",
        "create-system",
        "create-version",
        "extract-version",
        "flags",
        "internal-attributes",
        "dos-attributes",
        "deflate",
    ),
    *("method", "order"),
}
BASE = wheel(FILES | {"demo/data.txt": random.Random(7).randbytes(200) + b"text " * 50}, info_time=LATER)
SOURCE = sdist(FILES)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(BASE) - 1), st.integers(1, 255), st.booleans())
def test_a_mutated_byte_never_compares_equal(tmp_path: Path, at: int, change: int, swap: bool) -> None:
    mutated = bytearray(BASE)
    mutated[at] ^= change
    pair = (bytes(mutated), BASE) if swap else (BASE, bytes(mutated))
    result = judge(tmp_path, *pair, SOURCE)
    assert result.level is not Level.BITWISE
    if result.level in (Level.CANONICAL, Level.NORMALIZED):
        # a field that is noise, or a comment: what the result shows is what was not looked at
        assert {row.field for row in result.differences} <= NOISE | {"comment"}
    if result.level is Level.TIMES_STAMPED:
        # only a time field of a generated member may make that so; one header's time alone never makes a sourced member generated
        assert any(stamp.offset <= at < stamp.offset + 4 for stamp in result.stamps)
        assert all(stamp.member not in FILES for stamp in result.stamps)


@pytest.mark.parametrize("minutes", [-30, 1, 90])
def test_a_sourced_member_with_a_time_before_the_upload_was_not_written_by_the_build(tmp_path: Path, minutes: int) -> None:
    total = 3 * 60 + 4 + minutes
    odd = struct.pack("<HH", total // 60 << 11 | total % 60 << 5 | 2, (2024 - 1980) << 9 | 1 << 5 | 2)
    result = judge(tmp_path, wheel(FILES), wheel(FILES, time=odd, info_time=TIME), SOURCE)
    assert (result.level, result.stamps) == (Level.CANONICAL, ())


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(BASE)), st.binary(min_size=1, max_size=40))
def test_inserted_bytes_never_compare_equal(tmp_path: Path, at: int, noise: bytes) -> None:
    longer = BASE[:at] + noise + BASE[at:]
    for pair in ((longer, BASE), (BASE, longer)):
        result = judge(tmp_path, *pair, SOURCE)
        assert result.outcome is not Outcome.REPRODUCED or {row.field for row in result.differences} <= NOISE | {"comment"}


RECORD = "demo-1.0.dist-info/RECORD"
INFO = {part.name: part.data for part in wheel_parts() if part.name != RECORD}
ROWS = [record_row(name, data) for name, data in INFO.items()] + [f"{RECORD},,"]
LIES = {
    "a row is missing": ROWS[1:],
    "a member twice": [ROWS[0], *ROWS],
    "a ghost": [*ROWS, "demo/ghost.py,sha256=AAAA,0"],
    "a ghost that leaves": [*ROWS, "../../etc/passwd,,"],
    "a wrong hash": [ROWS[0].replace("sha256=", "sha256=A"), *ROWS[1:]],
    "a padded hash": [ROWS[0].replace(",6", "=,6"), *ROWS[1:]],
    "a wrong size": [ROWS[0].rpartition(",")[0] + ",7", *ROWS[1:]],
    "a weak hash": ["demo/__init__.py,md5=abc,6", *ROWS[1:]],
    "no hash": ["demo/__init__.py,,", *ROWS[1:]],
    "two columns": ["demo/__init__.py,sha256=abc", *ROWS[1:]],
    "itself missing": ROWS[:-1],
    "no text": ["\x00\udcff"],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_false_record_is_a_finding_also_when_the_bytes_are_equal(tmp_path: Path, lie: str) -> None:
    false = wheel(record=("\n".join(LIES[lie]) + "\n").encode("utf-8", "surrogateescape"))
    result = judge(tmp_path, false, false)
    assert (result.level, {row.code for row in result.findings}) == (Level.BITWISE, {Finding.FALSE_MANIFEST})


def test_an_honest_record_is_no_finding(tmp_path: Path) -> None:
    honest = wheel(record=("\n".join(ROWS) + "\n").encode())
    assert judge(tmp_path, honest, honest).findings == ()


def test_a_wheel_without_record_is_a_finding(tmp_path: Path) -> None:
    bare = zip_bytes(wheel_parts()[:-1])
    assert [row.code for row in judge(tmp_path, bare, bare).findings] == [Finding.FALSE_MANIFEST]
