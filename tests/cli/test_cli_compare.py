"""``reprove compare`` as a process: exit codes, JSON by its schema, plain pipes; a hostile file ends in time, in memory, and without a traceback."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from tests.archive.zips import LATER, Part, sdist, wheel, wheel_parts, zip_bytes

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "docs" / "formats" / "compare.schema.json").read_text())
NAME = "demo-1.0-py3-none-any.whl"
MEMORY = 512 * 1024**2


@dataclass
class Ran:
    code: int
    out: str
    err: str
    seconds: float
    peak: int


def run(*arguments: str) -> Ran:
    """Run the command; ``peak`` is the greatest resident set of it and its child, in bytes."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "reprove.cli.main", "compare", *arguments],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            stdout=out,
            stderr=err,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return Ran(process.returncode, *texts, time.monotonic() - begun, used.ru_maxrss * 1024)


def pair(folder: Path, old: bytes, new: bytes, name: str = NAME) -> tuple[str, str]:
    for side, data in (("old", old), ("new", new)):
        (folder / side).mkdir()
        (folder / side / name).write_bytes(data)
    return str(folder / "old" / name), str(folder / "new" / name)


CODES = {
    "the same file": (wheel(), wheel(), [], 0),
    "equal at the default level": (wheel(), wheel(info_time=LATER), [], 0),
    "equal only below what was asked": (wheel(), wheel(info_time=LATER), ["--level", "bitwise"], 1),
    "normalized, not asked for": (zip_bytes(wheel_parts(), comment=b"hi"), wheel(), [], 1),
    "normalized, asked for": (zip_bytes(wheel_parts(), comment=b"hi"), wheel(), ["--level", "normalized"], 0),
    "another byte": (wheel(), wheel({"demo/__init__.py": b"x = 2\n"}), [], 1),
    "another byte, at a first look": (wheel(), wheel({"demo/__init__.py": b"x = 2\n"}), ["--quick"], 1),
    "no other byte, at a first look": (wheel(), wheel(info_time=LATER), ["--quick"], 0),
    "ambiguous": (zip_bytes(wheel_parts(), suffix=b"x"), wheel(), [], 3),
    "no archive": (b"hello", b"hullo", [], 1),
}


@pytest.mark.parametrize("what", CODES)
def test_the_exit_code_says_what_came_of_it_and_the_json_holds_by_its_schema(tmp_path: Path, what: str) -> None:
    old, new, options, code = CODES[what]
    paths = pair(tmp_path, old, new, "file.bin" if what == "no archive" else NAME)
    ran = run(*paths, *options, "--json")
    assert (ran.code, ran.err) == (code, "")
    jsonschema.validate(json.loads(ran.out), SCHEMA)


def test_the_screen_is_plain_and_short_in_a_pipe_and_names_the_next_step(tmp_path: Path) -> None:
    ran = run(*pair(tmp_path, wheel({f"d/{n}.py": b"x" for n in range(60)}), wheel({f"d/{n}.py": b"\x1b[2J" for n in range(60)})))
    assert ran.code == 1
    assert ran.out.startswith("DIFFERS\n")
    assert "\x1b" not in ran.out
    assert len(ran.out.splitlines()) < 40
    assert "--explain" in ran.out


def test_explain_shows_both_sides(tmp_path: Path) -> None:
    ran = run(*pair(tmp_path, wheel(), wheel({"demo/__init__.py": b"x = 2\n"})), "--explain")
    assert "x = 1 → x = 2" in ran.out or "x = 1 -> x = 2" in ran.out


@pytest.mark.parametrize(
    "arguments", [(), ("only-one",), ("/nonexistent/a", "/nonexistent/b"), ("a", "b", "--level", "equal"), ("a", "b", "--timeout", "0")]
)
def test_usage_is_two_and_one_line(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w", force_zip64=True) as member:
        for _ in range(300):
            member.write(bytes(1024**2))
    return out.getvalue()


def nested(depth: int = 30) -> bytes:
    data = b"x"
    for _ in range(depth):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner.zip", data)
        data = out.getvalue()
    return data


def headers(count: int) -> bytes:
    blocks = (tarfile.TarInfo(f"{number}").tobuf(tarfile.USTAR_FORMAT) for number in range(count))
    return gzip.compress(b"".join(blocks) + bytes(1024), 1)


HOSTILE = {
    "a zip bomb": (bomb, "x.zip"),
    "archives in archives": (nested, "x.zip"),
    "a gzip bomb": (lambda: gzip.compress(bytes(600 * 1024**2), 9), "x.tar.gz"),
    "an xz bomb": (lambda: lzma.compress(bytes(400 * 1024**2)), "x.tar.xz"),
    "a bzip2 bomb": (lambda: bz2.compress(bytes(200 * 1024**2)), "x.tar.bz2"),
    "a tar of many headers": (lambda: headers(150_000), "x.tar.gz"),
    "4 GiB declared": (lambda: zip_bytes([Part("a", b"x", central={"size": 0xFFFFFFFE}, local={"size": 0xFFFFFFFE})]), "x.zip"),
    "a cut sdist": (lambda: sdist()[:-20], "x.tar.gz"),
    "noise in a wheel's clothes": (lambda: os.urandom(100_000), NAME),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_ends_in_time_and_memory_with_a_code_and_no_traceback(tmp_path: Path, what: str) -> None:
    make, name = HOSTILE[what]
    data = make()
    paths = pair(tmp_path, data, data[:-1] + bytes([data[-1] ^ 1]), name)
    ran = run(*paths, "--json")
    assert 1 <= ran.code <= 4, (ran.code, ran.out[:300], ran.err)
    assert ran.seconds < 25
    assert "Traceback" not in ran.err + ran.out
    assert ran.peak < MEMORY
