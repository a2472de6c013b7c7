"""Passes in comparisons of whole artifacts: the level that they leave, and tampering that none of them hides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from reprove.core.outcomes import Level, Outcome
from tests.archive.zips import Part, record_row, wheel_parts, zip_bytes
from tests.compare.elves import program

MANIFEST = "META-INF/MANIFEST.MF"


def judge(tmp_path: Path, old: list[Part], new: list[Part], name: str) -> Comparison:
    files = [tmp_path / "original", tmp_path / "rebuilt"]
    for path, parts in zip(files, (old, new), strict=True):
        path.write_bytes(zip_bytes(parts))
    return compare_files(files[0], files[1], names=(name, name))


def ids(result: Comparison) -> set[str]:
    return {one.id for one in result.passes}


def a_wheel(library: bytes = b"", tool: bytes = b"0.40.0") -> list[Part]:
    parts = wheel_parts({"demo/__init__.py": b"x = 1\n", "demo/_c.so": library or program()})
    parts = [replace(part, data=part.data.replace(b"0.40.0", tool)) for part in parts]
    rows = [record_row(part.name, part.data) for part in parts[:-1]]
    return [*parts[:-1], replace(parts[-1], data="".join(f"{row}\n" for row in [*rows, f"{parts[-1].name},,"]).encode())]


def a_jar(by: str = "alice", extra: dict[str, bytes] | None = None, section: str = "") -> list[Part]:
    text = f"Manifest-Version: 1.0\r\nBuilt-By: {by}\r\n\r\n{section}".encode()
    return [
        Part("META-INF/", method=0, mode=0o40755),
        Part(MANIFEST, text),
        *(Part(*one) for one in (extra or {}).items()),
        Part("demo/A.class", b"\xca\xfe"),
    ]


def changed(parts: list[Part], name: str, **fields: object) -> list[Part]:
    assert any(part.name == name for part in parts)
    return [replace(part, **fields) if part.name == name else part for part in parts]  # type: ignore[arg-type]


WHEEL = "demo-1.0-py3-none-any.whl"
JAR = "demo.jar"
SIGNED = {"META-INF/ALICE.SF": b"Signature-Version: 1.0\r\n\r\n", "META-INF/ALICE.EC": b"signature"}

EQUAL: dict[str, tuple[str, list[Part], list[Part], Level, set[str]]] = {
    "another tool": (WHEEL, a_wheel(), a_wheel(tool=b"0.41.0"), Level.NORMALIZED, {"wheel-generator", "wheel-record"}),
    "another build path": (
        WHEEL, a_wheel(), a_wheel(program(folder="/home/somebody/demo", ident=b"\2" * 20)), Level.NORMALIZED,
        {"elf-path-prefix", "elf-build-id", "wheel-record"},
    ),
    "a stripped library": (WHEEL, a_wheel(), a_wheel(program(stripped=True)), Level.NORMALIZED, {"elf-debug", "wheel-record"}),
    "another user": (JAR, a_jar(), a_jar("bob"), Level.NORMALIZED, {"jar-build-metadata"}),
    "a signed jar": (
        JAR, a_jar(extra=SIGNED, section="Name: demo/A.class\r\nSHA-256-Digest: AzRvDnmQ3iQjo7ylM1v5LNwL0UvvIga4fGPxih6ZbFI=\r\n\r\n"), a_jar(),
        Level.SEMANTIC, {"jar-signature", "jar-manifest-digests"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_artifacts_are_equal_under_the_passes_that_are_named(tmp_path: Path, name: str) -> None:
    known, old, new, level, used = EQUAL[name]
    result = judge(tmp_path, old, new, known)
    assert (result.outcome, result.level, ids(result)) == (Outcome.REPRODUCED, level, used)
    assert result.count > 0


TAMPERED: dict[str, tuple[str, list[Part], list[Part]]] = {
    "code": (WHEEL, a_wheel(), a_wheel(program(code=b"\xcc" * 64))),
    "who may run it": (WHEEL, a_wheel(), changed(a_wheel(tool=b"0.41.0"), "demo/_c.so", mode=0o100755)),
    "a library with bytes behind": (WHEEL, a_wheel(), a_wheel(program(tail=b"payload"))),
    "a list with a false hash": (WHEEL, a_wheel(), changed(a_wheel(tool=b"0.41.0"), "demo-1.0.dist-info/RECORD", data=a_wheel()[-1].data)),
    "bytes that pass for a signature": (JAR, a_jar(extra={"META-INF/PAYLOAD.EC": b"1"}), a_jar(extra={"META-INF/PAYLOAD.EC": b"2"})),
    "bytes beside a real signature": (
        JAR, a_jar(extra={**SIGNED, "META-INF/PAYLOAD.EC": b"1"}), a_jar(extra={**SIGNED, "META-INF/PAYLOAD.EC": b"2"}),
    ),
    "a git.properties in an odd place": (JAR, a_jar(extra={"x/git.properties": b"git.a=1\n"}), a_jar(extra={"x/git.properties": b"git.a=2\n"})),
    "what a git.properties says beside git": (JAR, a_jar(extra={"git.properties": b"a=1\n"}), a_jar(extra={"git.properties": b"a=2\n"})),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
@pytest.mark.parametrize("turned", [False, True])
def test_no_pass_hides_tampering(tmp_path: Path, name: str, turned: bool) -> None:
    known, old, new = TAMPERED[name]
    result = judge(tmp_path, *((new, old) if turned else (old, new)), known)
    assert result.outcome is Outcome.DIFFERS
    assert result.level is None
    assert result.passes == ()


def test_a_false_digest_in_a_manifest_is_never_dropped(tmp_path: Path) -> None:
    false = a_jar(section="Name: demo/A.class\r\nSHA-256-Digest: AAAADnmQ3iQjo7ylM1v5LNwL0UvvIga4fGPxih6ZbFI=\r\n\r\n")
    assert judge(tmp_path, false, a_jar(), JAR).outcome is Outcome.DIFFERS
