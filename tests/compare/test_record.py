"""A RECORD is recomputed and never believed: each way in which it is false is named, with its path."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from reprove.archive.artifact import open_artifact
from reprove.compare.record import false_rows
from tests.archive.zips import Part, record_row, wheel_parts, zip_bytes
from tests.compare.fakes import FakeTree

INFO = "demo-1.0.dist-info/"
HONEST = wheel_parts()
TEXT = HONEST[-1].data.decode()
INIT = "demo/__init__.py"


def hashed(name: str, data: bytes, algorithm: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data, usedforsecurity=False).digest()).rstrip(b"=").decode()
    return f"{name},{algorithm}={digest},{len(data)}"


def false(tmp_path: Path, record: str | bytes, *more: Part) -> dict[str, str]:
    parts = [*HONEST[:-1], Part(INFO + "RECORD", record.encode() if isinstance(record, str) else record), *more]
    (tmp_path / "x.whl").write_bytes(zip_bytes(parts))
    with open_artifact(tmp_path / "x.whl", name="x.whl") as tree:
        return dict(false_rows(tree))


OWN = record_row(INIT, b"x = 1\n")
HOLDS = {
    "as it is": TEXT,
    "lines that end as on Windows": TEXT.replace("\n", "\r\n"),
    "quoted paths": TEXT.replace(INIT, f'"{INIT}"'),
    "another order": "".join(sorted(TEXT.splitlines(keepends=True), reverse=True)),
    "an empty line": TEXT + "\n",
    "no size": TEXT.replace(OWN, OWN.rpartition(",")[0] + ","),
    "sha384": TEXT.replace(OWN, hashed(INIT, b"x = 1\n", "sha384")),
    "sha512": TEXT.replace(OWN, hashed(INIT, b"x = 1\n", "sha512")),
}


@pytest.mark.parametrize("what", HOLDS)
def test_a_record_that_holds_is_not_false(tmp_path: Path, what: str) -> None:
    assert false(tmp_path, HOLDS[what]) == {}


FALSE = {
    "a row less": (TEXT.replace(OWN + "\n", ""), {INIT: "no row in RECORD"}),
    "a row of nothing": (TEXT + "ghost.py,sha256=AAAA,4\n", {"ghost.py": "a row without a member"}),
    "a row that leaves": (TEXT + "../x,sha256=AAAA,4\n", {"../x": "a row without a member"}),
    "a path written otherwise": (TEXT.replace(INIT, "./" + INIT), {"./" + INIT: "a row without a member", INIT: "no row in RECORD"}),
    "a row twice": (TEXT + OWN + "\n", {INIT: "2 rows in RECORD"}),
    "a wrong hash": (TEXT.replace(OWN, record_row(INIT, b"x = 2\n")), {INIT: "a wrong hash"}),
    "a wrong size": (TEXT.replace(OWN, OWN[:-1] + "7"), {INIT: "a wrong size"}),
    "a size of another form": (TEXT.replace(OWN, OWN[:-1] + "06"), {INIT: "a wrong size"}),
    "no hash": (TEXT.replace(OWN, f"{INIT},,6"), {INIT: "a row without a hash"}),
    "md5": (TEXT.replace(OWN, hashed(INIT, b"x = 1\n", "md5")), {INIT: "a hash by md5"}),
    "sha224": (TEXT.replace(OWN, hashed(INIT, b"x = 1\n", "sha224")), {INIT: "a hash by sha224"}),
    "a wrong sha512": (TEXT.replace(OWN, hashed(INIT, b"x = 2\n", "sha512")), {INIT: "a wrong hash"}),
    "a hash that pads": (TEXT.replace(OWN, OWN.replace(",6", "=,6")), {INIT: "a wrong hash"}),
    "a hash of itself": (TEXT.replace(f"{INFO}RECORD,,", f"{INFO}RECORD,sha256=AAAA,"), {f"{INFO}RECORD": "a wrong hash"}),
    "a row of two columns": (TEXT.replace(OWN, OWN.rpartition(",")[0]), {INIT: "a row of 2 columns"}),
    "no row of itself": (TEXT.replace(f"{INFO}RECORD,,\n", ""), {f"{INFO}RECORD": "no row in RECORD"}),
}


@pytest.mark.parametrize("what", FALSE)
def test_each_way_to_be_false_is_named(tmp_path: Path, what: str) -> None:
    record, expected = FALSE[what]
    assert false(tmp_path, record) == expected


@pytest.mark.parametrize("record", [b"\xff\xfe", b'"open', b'"a"b,c,d\n'])
def test_a_record_that_cannot_be_read_is_false_as_a_whole(tmp_path: Path, record: bytes) -> None:
    ((path, detail),) = false(tmp_path, record).items()
    assert (path, detail.partition(":")[0]) == (INFO + "RECORD", "RECORD cannot be read")


def test_signatures_of_a_record_need_no_row_and_no_hash(tmp_path: Path) -> None:
    signature = Part(INFO + "RECORD.jws", b"{}")
    assert false(tmp_path, TEXT, signature) == {}
    assert false(tmp_path, TEXT + f"{INFO}RECORD.jws,,\n", signature) == {}
    assert false(tmp_path, TEXT + f"{INFO}RECORD.jws,sha256=AAAA,2\n", signature) == {f"{INFO}RECORD.jws": "a wrong hash"}


def test_a_wheel_has_one_record() -> None:
    assert list(false_rows(FakeTree({"a": b""}))) == [("", "the wheel has 0 RECORD files")]
    two = {"a.dist-info/RECORD": b"", "b.dist-info/RECORD": b""}
    assert list(false_rows(FakeTree(two))) == [("", "the wheel has 2 RECORD files")]


def test_a_folder_needs_no_row(tmp_path: Path) -> None:
    assert false(tmp_path, TEXT, Part("demo/", mode=0o040755, method=0)) == {}
