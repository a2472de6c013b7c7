"""Programs that a real compiler made: what the passes make equal, and what they do not. Without a compiler, only what the system has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.model import PieceMask
from reprove.compare.passes.registry import by_id
from tests.compare.passes.test_passes import left

SOURCE = '#include <stdio.h>\n#include "m.h"\nint shown(struct pair *p) { return printf("%s\\n", p->name) + p->number; }\n'
SECOND = '#include "m.h"\nint counted(struct pair *p) { return p->number + 1; }\n'
HEADER = "struct pair { int number; const char *name; };\n"

compiled = pytest.mark.skipif(shutil.which("gcc") is None or shutil.which("strip") is None, reason="no compiler")


def build(folder: Path, *flags: str, source: str = SOURCE) -> bytes:
    (folder / "src").mkdir(parents=True)
    for name, text in (("m.c", source), ("n.c", SECOND), ("m.h", HEADER)):
        (folder / "src" / name).write_text(text)
    subprocess.run(
        ["gcc", "-g", "-O1", "-fPIC", "-shared", "-Wl,--build-id=sha1", *flags, "-o", "m.so", "src/m.c", "src/n.c"],
        cwd=folder,
        check=True,
        timeout=60,
    )
    return (folder / "m.so").read_bytes()


def equal(old: bytes, new: bytes, *ids: str) -> bool:
    passes = [by_id(name) for name in ids]
    first, second = ELF.split(old), ELF.split(new)
    assert first is not None
    assert second is not None
    return left(passes, first) == left(passes, second)


@compiled
@pytest.mark.parametrize("folder", ["two", "a-much-longer-name-of-a-folder/in-another"])
def test_another_build_path_is_told_by_its_prefix(tmp_path: Path, folder: str) -> None:
    old, new = build(tmp_path / "one"), build(tmp_path / folder)
    assert old != new
    assert not equal(old, new, "elf-build-id")
    assert not equal(old, new, "elf-path-prefix")
    assert equal(old, new, "elf-path-prefix", "elf-build-id")
    assert equal(old, new, "elf-debug", "elf-build-id")
    assert equal(old, new, "elf-code-identical")


@compiled
def test_older_debug_information_names_its_folder_in_the_units(tmp_path: Path) -> None:
    old, longer = (build(tmp_path / folder, "-gdwarf-4") for folder in ("one", "longer"))
    assert not equal(old, longer, "elf-path-prefix", "elf-build-id")  # offsets of all entries differ: only elf-debug leaves them out
    assert equal(old, longer, "elf-debug", "elf-build-id")
    pieces = ELF.split(old)
    assert pieces is not None
    assert [piece.data for piece in pieces if piece.name == "path-prefix"] == [str(tmp_path / "one").encode()]


@compiled
def test_a_stripped_program_has_the_same_code(tmp_path: Path) -> None:
    whole = build(tmp_path / "one")
    subprocess.run(["strip", "m.so"], cwd=tmp_path / "one", check=True, timeout=60)
    stripped = (tmp_path / "one" / "m.so").read_bytes()
    assert len(stripped) < len(whole)
    assert equal(whole, stripped, "elf-debug")
    assert not equal(whole, stripped, "elf-path-prefix", "elf-comment", "elf-debuglink", "elf-build-id")


@compiled
@pytest.mark.parametrize("change", [("+ p->number", "- p->number"), ("%s", "%r"), ("shown", "shows")])
def test_another_source_is_other_code(tmp_path: Path, change: tuple[str, str]) -> None:
    old, new = build(tmp_path / "one"), build(tmp_path / "two", source=SOURCE.replace(*change))
    assert not equal(old, new, *(one for one in ("elf-code-identical", "elf-debug", "elf-path-prefix", "elf-comment")))


@pytest.mark.parametrize(
    "path", [Path(sys.executable).resolve(), Path("/bin/ls"), Path("/lib/ld-linux.so.2"), Path("/lib64/ld-linux-x86-64.so.2")], ids=str
)
def test_what_the_system_runs_is_taken_apart(path: Path) -> None:
    data = path.read_bytes() if path.exists() else b""
    if not data.startswith(b"\x7fELF"):
        pytest.skip("no ELF file there")
    pieces = ELF.split(data)
    assert pieces is not None
    at = data.index(b"\0", len(data) // 2)
    other = ELF.split(data[:at] + b"\1" + data[at + 1 :])
    assert other is not None
    assert [piece.data for piece in other] != [piece.data for piece in pieces]
    mask = by_id("elf-code-identical").mask
    assert isinstance(mask, PieceMask)
    assert sum(len(piece.data) for piece in pieces if mask.keep(piece)) > len(data) // 2
