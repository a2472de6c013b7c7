"""The drivers that parse: evidence and verdicts as bounded JSON, whatever they are given."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive.zips import LATER, Part, sdist, wheel, wheel_parts, zip_bytes

DRIVERS = Path(__file__).parents[3] / "workers" / "drivers"
NAME = "demo-1.0-py3-none-any.whl"
FACTS = {"original": {"name": NAME, "uploaded": "2024-01-02T05:00:00Z"}, "source": {"name": "demo-1.0.tar.gz", "uploaded": "2024-01-02T05:00:01Z"}}


def run(tmp_path: Path, driver: str, files: dict[str, bytes], facts: object = FACTS) -> dict[str, object]:
    inner, outer = tmp_path / "in", tmp_path / "out"
    inner.mkdir(exist_ok=True)
    outer.mkdir(exist_ok=True)
    for name, data in {"facts.json": facts if isinstance(facts, bytes) else json.dumps(facts).encode(), **files}.items():
        (inner / name).write_bytes(data)
    argv = [sys.executable, "-B", str(DRIVERS / f"{driver}.py"), str(inner), str(outer)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env={"PYTHONPATH": str(DRIVERS.parents[1])})
    assert (done.returncode, done.stderr) == (0, "")
    text = (outer / "result.json").read_text()
    assert len(text) < 2**20
    return json.loads(text)  # type: ignore[no-any-return]


def infer(tmp_path: Path, original: bytes, source: bytes) -> dict[str, object]:
    return run(tmp_path, "infer", {"original": original, "source": source})


def test_the_evidence_of_a_wheel_and_its_source(tmp_path: Path) -> None:
    project = b'[build-system]\nrequires = ["setuptools>=61", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'
    source = sdist({"demo/__init__.py": b"x = 1\n", "src/demo/core.py": b"def f():\n    return 1\n", "pyproject.toml": project})
    found = infer(tmp_path, wheel(info_time=LATER), source)
    assert "problem" not in found
    assert found["wheel"] == {"distribution": "demo", "version": "1.0", "tag": "py3-none-any"}
    assert found["wheel_file"]["Generator"] == ["bdist_wheel (0.40.0)"]  # type: ignore[index]
    assert (found["distinct_times"], found["systems"], found["record_mode"]) == (2, [3], "100644")
    assert (found["sourced"], found["modes_kept"], found["unsourced"], found["findings"]) == (2, 2, [], [])
    system = found["build_system"]
    assert isinstance(system, dict)
    assert (system["backend"], system["requires"], system["setup_py"]) == ("setuptools.build_meta", ["setuptools>=61", "wheel"], False)


def test_the_original_inside_the_source_is_found(tmp_path: Path) -> None:
    original = wheel()
    found = infer(tmp_path, original, sdist({"setup.py": b"", "vendor/" + NAME: original}))
    assert [(row["code"], row["path"]) for row in found["findings"]] == [("original-among-inputs", "demo-1.0/vendor/" + NAME)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("original", [b"no archive at all" * 9, wheel()[:-10], zip_bytes(wheel_parts(), suffix=b"x")])
def test_an_original_that_is_no_clean_archive_is_searched_for_as_well(tmp_path: Path, original: bytes) -> None:
    found = infer(tmp_path, original, sdist({"setup.py": b"", "o": original}))
    assert [row["path"] for row in found["findings"]] == ["demo-1.0/o"]  # type: ignore[attr-defined]
    assert found["build_system"]["setup_py"] is True  # type: ignore[index]


def test_the_original_as_the_source_is_found(tmp_path: Path) -> None:
    original = zip_bytes([Part("demo-1.0/setup.py", b"")])
    assert infer(tmp_path, original, original)["findings"]


def test_what_the_source_lacks_is_listed(tmp_path: Path) -> None:
    found = infer(tmp_path, wheel({"demo/__init__.py": b"x = 1\n", "zz.pth": b"import evil"}), sdist())
    assert found["unsourced"] == ["zz.pth"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", b"not toml ["),
        ("pyproject.toml", b"\xff\xfe"),
        ("pyproject.toml", b"[build-system]\nrequires = 7\nbuild-backend = []\n"),
        ("pyproject.toml", b"x = " + b"[" * 5000),
        ("setup.cfg", b"broken"),
        ("setup.cfg", b"\xff"),
    ],
)
def test_a_broken_build_file_is_evidence_too(tmp_path: Path, file: str, text: bytes) -> None:
    found = infer(tmp_path, wheel(), sdist({"setup.py": b"", file: text}))
    assert "build_system" in found
    assert "problem" not in found


def test_an_unsafe_source_is_a_problem_with_its_class(tmp_path: Path) -> None:
    found = infer(tmp_path, wheel(), zip_bytes([Part("d/a", b"", mode=0o120777)]))
    assert found["problem"]["class"] == "unsafe-source"  # type: ignore[index]


def test_a_bomb_is_a_limit(tmp_path: Path) -> None:
    found = infer(tmp_path, wheel(), sdist({"zeros": bytes(200 * 1024**2)}))
    assert found["problem"]["class"] == "output"  # type: ignore[index]


GARBAGE = [b"", b"\0" * 100, b"PK\x05\x06" + bytes(18), random.Random(1).randbytes(5000), wheel()[:200], sdist()[:200], sdist()]


@pytest.mark.parametrize("original", GARBAGE)
@pytest.mark.parametrize("source", [GARBAGE[0], GARBAGE[3], GARBAGE[5], wheel()])
def test_garbage_gives_a_result(tmp_path: Path, original: bytes, source: bytes) -> None:
    infer(tmp_path, original, source)
    verdict = run(tmp_path, "compare", {"original": original, "rebuilt": wheel(), "source": source})
    assert verdict["outcome"] in ("ambiguous-archive", "differs")


@pytest.mark.slow
def test_the_largest_directory_is_compared_within_the_limits_of_the_container(tmp_path: Path) -> None:
    def many(folder: str) -> bytes:
        return zip_bytes([Part(f"{folder}/" * 60 + f"{number:060d}", b"", method=0) for number in range(60_000)])

    for name, data in {"original": many("a"), "rebuilt": many("b"), "source": sdist(), "facts.json": json.dumps(FACTS).encode()}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "out").mkdir()
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); sys.argv = sys.argv[1:]"
    limited = f"{limit}; runpy.run_path(sys.argv[0], run_name='__main__')"
    argv = [sys.executable, "-B", "-c", limited, str(DRIVERS / "compare.py"), str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=120, env={"PYTHONPATH": str(DRIVERS.parents[1])})
    assert done.returncode == 0, done.stderr
    verdict = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (verdict["outcome"], verdict["count"], len(verdict["differences"])) == ("differs", 120_000, 2000)


@pytest.mark.parametrize("facts", [b"", b"[]", b"{}", b'{"original": 7, "source": []}', b'{"original": {"name": 7, "uploaded": "tomorrow"}}'])
def test_facts_of_another_shape_give_a_result_and_no_stamps(tmp_path: Path, facts: bytes) -> None:
    run(tmp_path, "infer", {"original": wheel(), "source": sdist()}, facts)
    verdict = run(tmp_path, "compare", {"original": wheel(info_time=LATER), "rebuilt": wheel(), "source": sdist()}, facts)
    assert verdict.get("level", "none") in ("none", "canonical")
    assert verdict.get("stamps", []) == []


def test_the_verdict_of_equal_bytes(tmp_path: Path) -> None:
    verdict = run(tmp_path, "compare", {"original": wheel(), "rebuilt": wheel(), "source": sdist()})
    assert (verdict["outcome"], verdict["level"], verdict["differences"]) == ("reproduced", "bitwise", [])
    assert verdict["original"] == {"sha256": hashlib.sha256(wheel()).hexdigest()}


def test_the_verdict_of_other_times_lists_the_stamps(tmp_path: Path) -> None:
    verdict = run(tmp_path, "compare", {"original": wheel(info_time=LATER), "rebuilt": wheel(), "source": sdist()})
    assert (verdict["outcome"], verdict["level"], len(verdict["stamps"])) == ("reproduced", "times-stamped", 6)  # type: ignore[arg-type]


def test_a_later_source_is_a_finding(tmp_path: Path) -> None:
    facts = {**FACTS, "source": {"name": "demo-1.0.tar.gz", "uploaded": "2024-01-04T05:00:00.123456Z"}}
    verdict = run(tmp_path, "compare", {"original": wheel(), "rebuilt": wheel(), "source": sdist()}, facts)
    assert [row["code"] for row in verdict["findings"]] == ["sdist-later"]  # type: ignore[attr-defined]


def test_hostile_text_is_cut_and_printable(tmp_path: Path) -> None:
    generator = b"Wheel-Version: 1.0\nGenerator: \x1b[31m" + b"x" * 5000 + b"\n"
    parts = [Part("demo-1.0.dist-info/WHEEL", generator), *(part for part in wheel_parts() if not part.name.endswith("/WHEEL"))]
    found = infer(tmp_path, zip_bytes(parts), sdist())
    (text,) = found["wheel_file"]["Generator"]  # type: ignore[index]
    assert len(text) == 300
    assert "\x1b" not in text
