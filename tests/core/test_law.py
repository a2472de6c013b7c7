"""The law of core (its README): no I/O, no clock, no randomness, no framework."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import reprove.core

FOLDER = Path(reprove.core.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))

STANDARD = frozenset(
    [
        "__future__",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "shlex",
        "string",
        "struct",
        "types",
        "typing",
        "urllib.parse",
    ]
)
OTHERS = {"cryptography", "packageurl", "packaging", "rfc8785", "yaml"}
CLOCKS_AND_CHANCE = {"now", "utcnow", "today", "fromtimestamp_now", "urandom", "token_bytes", "token_hex", "generate_private_key"}
DOORS = {"open", "exec", "eval", "compile", "input", "print", "__import__", "breakpoint"}


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "core imports by full name"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(FOLDER)) for path in MODULES])
def test_core_imports_only_what_its_law_allows(path: Path) -> None:
    for name in imports(ast.parse(path.read_text())):
        allowed = name in STANDARD or name.split(".")[0] in OTHERS or name == "reprove.core" or name.startswith("reprove.core.")
        assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(FOLDER)) for path in MODULES])
def test_core_asks_no_clock_and_no_chance_and_opens_no_door(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS_AND_CHANCE, f"{path.name}:{node.lineno} calls {node.func.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in DOORS, f"{path.name}:{node.lineno} calls {node.func.id}"


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(FOLDER)) for path in MODULES])
def test_no_handler_in_core_catches_everything(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            name = ast.unparse(node.type) if node.type else ""
            assert name not in ("", "Exception", "BaseException"), f"{path.name}:{node.lineno}"


def test_the_law_is_written_down_and_names_every_library_that_the_test_allows() -> None:
    law = (FOLDER / "README.md").read_text()
    words = {"packageurl": "packageurl-python", "yaml": "PyYAML"}
    for name in OTHERS:
        assert re.search(rf"`{words.get(name, name)}`", law), name
