"""Reads an environment spec: a small YAML file, unknown and duplicate keys refused with line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from reprove.core.errors import ProblemError, Slug
from workers.environments.values import RULES, Spec

MAX_SPEC_BYTES = 64 * 1024
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,127}\Z")
_KEYS = frozenset({"reprove-environment", "suite", "architectures", "packages", "rules"})


class _Loader(yaml.SafeLoader):
    """Plain YAML: no aliases, so that a short file stays short, and no duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _wrong("aliases are not used here", self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # yaml has no types here
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # yaml's signature
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _wrong(f"duplicate key {key.value!r}", key.start_mark)
            if not isinstance(key.value, str) or key.value not in _KEYS:
                raise _wrong(f"unknown key {str(key.value)[:40]!r}; known are {', '.join(sorted(_KEYS))}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def load_spec(path: Path) -> Spec:
    """Read ``path``; the environment's name is the file's. Raises ProblemError (``invalid-request``) with line and column."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SPEC_BYTES + 1)
    except OSError as error:
        raise ProblemError(Slug.NOT_FOUND, f"{path}: {error.strerror}") from error
    if len(data) > MAX_SPEC_BYTES:
        raise ProblemError(Slug.TOO_LARGE, f"{path}: an environment spec has at most {MAX_SPEC_BYTES} bytes")
    return parse_spec(data, name=path.name.removesuffix(".yaml"))


def parse_spec(data: bytes, *, name: str) -> Spec:
    """Read a spec's text."""
    if not _NAME.match(name):
        raise ProblemError(Slug.INVALID_REQUEST, f"environment name {name[:64]!r}: small letters, digits and '-', from a letter on")
    try:
        document = yaml.load(data.decode("utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except UnicodeDecodeError as error:
        raise ProblemError(Slug.INVALID_REQUEST, f"the environment spec is not UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        raise _wrong(error.problem or "not YAML", error.problem_mark) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ProblemError(Slug.INVALID_REQUEST, "the environment spec is not YAML") from None
    if not isinstance(document, dict):
        raise ProblemError(Slug.INVALID_REQUEST, "an environment spec is a mapping")
    if document.get("reprove-environment") != 1:
        raise ProblemError(Slug.INVALID_REQUEST, "an environment spec starts with reprove-environment: 1", pointer="/reprove-environment")
    rules = document.get("rules", RULES)
    if rules != RULES:
        raise ProblemError(Slug.INVALID_REQUEST, f"layer rules {rules!r} are not known here; this release has rules {RULES}", pointer="/rules")
    suite = document.get("suite")
    if not isinstance(suite, str) or not _NAME.match(suite):
        raise ProblemError(Slug.INVALID_REQUEST, "suite is a Debian suite's code name, such as bookworm", pointer="/suite")
    return Spec(
        name=name,
        suite=suite,
        architectures=_words(document, "architectures"),
        packages=_words(document, "packages"),
    )


def _words(document: dict[str, Any], key: str) -> tuple[str, ...]:
    values = document.get(key)
    if not isinstance(values, list) or not 1 <= len(values) <= 500:
        raise ProblemError(Slug.INVALID_REQUEST, f"{key} is a list of 1 to 500 names", pointer=f"/{key}")
    for index, value in enumerate(values):
        if not isinstance(value, str) or not _PACKAGE.match(value):
            raise ProblemError(Slug.INVALID_REQUEST, f"{str(value)[:40]!r} is not a name", pointer=f"/{key}/{index}")
    return tuple(sorted(set(values)))


def _wrong(what: str, mark: Any) -> ProblemError:  # noqa: ANN401  # yaml's mark has no public type
    where = {"line": mark.line + 1, "column": mark.column + 1} if mark is not None else {}
    return ProblemError(Slug.INVALID_REQUEST, f"the environment spec: {what}", **where)
