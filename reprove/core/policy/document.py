"""A safe subset of YAML with positions: mappings, lists, text, whole numbers, true and false. Nothing else exists.

No anchors, aliases, tags, merge keys or second documents; duplicate keys are refused; what YAML 1.1 would read as something surprising
(``on``, ``1:30``, ``0x10``, ``1e3``, a date) has to stand in quotes. Every error has a line and a column, from 1.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import yaml

from reprove.core.errors import ProblemError, Slug

MAX_TEXT_BYTES = 128 * 1024
MAX_NESTING = 16
_PLAIN_INTEGER = re.compile(r"0\Z|[1-9][0-9]{0,15}\Z")
_STRING, _INTEGER, _BOOLEAN = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool"
_OPENING = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_REFUSED = {yaml.AnchorToken: "an anchor", yaml.AliasToken: "an alias", yaml.TagToken: "a tag", yaml.DirectiveToken: "a directive"}

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Value:
    """One node with its place; the readers below turn it into a Python value or a problem."""

    node: yaml.Node
    slug: Slug

    def fail(self, detail: str) -> ProblemError:
        """Make a problem that points here."""
        mark = self.node.start_mark
        return ProblemError(self.slug, detail, line=mark.line + 1, column=mark.column + 1)

    def text(self) -> str:
        """The node as text; anything that YAML reads as another kind must stand in quotes."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.fail("must be text")
        if self.node.tag != _STRING:
            raise self.fail(f"must be text; put {str(self.node.value)[:40]!r} in quotes")
        return str(self.node.value)

    def integer(self, low: int, high: int) -> int:
        """The node as a decimal whole number in a range; ``true`` is not one."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag != _INTEGER or not _PLAIN_INTEGER.match(self.node.value):
            raise self.fail(f"must be a whole number from {low} to {high}")
        number = int(self.node.value)
        if not low <= number <= high:
            raise self.fail(f"must be a whole number from {low} to {high}")
        return number

    def choice(self, kind: type[E]) -> E:
        """The node as a member of a closed list."""
        text = self.text()
        try:
            return kind(text)
        except ValueError:
            raise self.fail(f"{text[:40]!r} is none of {', '.join(kind)}{_nearest(text, kind)}") from None

    def items(self) -> list[Value]:
        """The node as a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.fail("must be a list")
        return [Value(item, self.slug) for item in self.node.value]

    def pairs(self) -> dict[str, tuple[Value, Value]]:
        """The node as a mapping from text: key to (the key itself, its value); a duplicate key is a problem at its second place."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fail("must be a mapping of keys to values")
        result: dict[str, tuple[Value, Value]] = {}
        for key_node, value_node in self.node.value:
            key = Value(key_node, self.slug)
            name = key.text()
            if name in result:
                raise key.fail(f"duplicate key {name[:60]!r}")
            result[name] = (key, Value(value_node, self.slug))
        return result

    def members(self, known: Iterable[str], required: Iterable[str] = ()) -> Mapping[str, Value]:
        """The node as a mapping with known keys only."""
        pairs, names = self.pairs(), list(known)
        for name, (key, _) in pairs.items():
            if name not in names:
                raise key.fail(f"unknown key {name[:60]!r}{_nearest(name, names)}")
        for name in required:
            if name not in pairs:
                raise self.fail(f"{name} is missing")
        return {name: value for name, (_, value) in pairs.items()}


def read_document(text: str, slug: Slug) -> Value:
    """Read one document; raises ProblemError ``slug`` with line and column."""
    if len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise ProblemError(slug, f"the file is larger than {MAX_TEXT_BYTES // 1024} KiB", line=1, column=1)
    try:
        _refuse_what_the_subset_lacks(text, slug)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ProblemError(slug, f"not YAML: {error.problem or error.context}", line=line, column=column) from None
    except yaml.YAMLError as error:
        raise ProblemError(slug, f"not YAML: {str(error).splitlines()[0]}", line=1, column=1) from None
    except ValueError:
        # The scanner reads escapes such as "\U00110000" with chr().
        raise ProblemError(slug, "not YAML: an escape is no character", line=1, column=1) from None
    if node is None:
        raise ProblemError(slug, "the file is empty", line=1, column=1)
    return Value(node, slug)


def _refuse_what_the_subset_lacks(text: str, slug: Slug) -> None:
    """Scan tokens, which is not recursive, before composing, which is."""
    depth = documents = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        mark = token.start_mark
        what = _REFUSED.get(type(token))
        if what is not None:
            raise ProblemError(slug, f"{what} is not part of this format", line=mark.line + 1, column=mark.column + 1)
        depth += isinstance(token, _OPENING)
        depth -= isinstance(token, _CLOSING)
        documents += isinstance(token, yaml.DocumentStartToken)
        if depth > MAX_NESTING or documents > 1:
            detail = "nested too deeply" if depth > MAX_NESTING else "a second document is not part of this format"
            raise ProblemError(slug, detail, line=mark.line + 1, column=mark.column + 1)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [str(each) for each in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
