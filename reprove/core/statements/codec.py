"""Frozen dataclasses to JSON and back, strictly, and their JSON Schema: one description of a shape, three uses.

A field's type is its rule: :data:`Sha256`, :data:`Timestamp`, :data:`Label`, text, integers from 0, booleans, enums, other dataclasses,
``tuple[X, ...]``, ``dict[str, X]`` and ``X | None``. ``None`` means that the member is absent, never ``null``. Floats do not exist in signed
JSON. Members that the shape does not name are ignored, so that a newer writer can add some; they never become a claim.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, ClassVar, NewType, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from reprove.core.digests import AttestationId, Sha256, parse_sha256
from reprove.core.errors import ProblemError, Slug

Timestamp = NewType("Timestamp", str)
"""RFC 3339 in UTC with the suffix ``Z``, whole seconds or up to nine decimals."""

Hex4 = NewType("Hex4", str)
"""Four bytes as 8 lower-case hex digits."""

Label = NewType("Label", str)
"""The id of a pass or a cause: lower-case words joined by ``-``, ``.`` or ``_``, at most :data:`MAX_LABEL` characters."""

Facts = NewType("Facts", dict[str, Any])
"""A free JSON object without floats: what a host says of itself. Nobody decides on it."""

Scalar = str | int
"""A side of a difference."""

MAX_TEXT = 8192
MAX_LABEL = 80
MAX_ITEMS = 100_000
MAX_FACT_DEPTH = 6
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z\Z")
_HEX4 = re.compile(r"[0-9a-f]{8}\Z")
_LABEL = r"[a-z0-9]+([._-][a-z0-9]+)*"


class Shape(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Shape)
_Reader = Callable[[object, str], Any]


def to_json(value: object) -> Any:  # noqa: ANN401  # any JSON value
    """Return the JSON form; members whose value is ``None`` are absent."""
    if is_dataclass(value) and not isinstance(value, type):
        members = ((json_name(field), getattr(value, field.name)) for field in fields(value))
        return {name: to_json(member) for name, member in members if member is not None}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return str(value) if isinstance(value, str) else value


def from_json(shape: type[T], value: object, pointer: str = "") -> T:
    """Read ``value`` as ``shape``; raises ``invalid-request`` with a JSON pointer."""
    if not isinstance(value, dict):
        raise bad("must be an object", pointer)
    found: dict[str, Any] = {}
    for name, member, read, required in _readers(shape):
        if member in value:
            found[name] = read(value[member], f"{pointer}/{member}")
        elif required:
            raise bad("is missing", f"{pointer}/{member}")
    try:
        return shape(**found)
    except ProblemError as error:
        if error.problem.pointer is None and pointer:
            raise bad(error.problem.detail, pointer) from None
        raise


def bad(detail: str, pointer: str | None = None) -> ProblemError:
    """Make the one error of this room."""
    return ProblemError(Slug.INVALID_REQUEST, f"{pointer} {detail}" if pointer else detail, pointer=pointer)


def parse_time(text: str, pointer: str | None = None) -> datetime:
    """Read a :data:`Timestamp` as an aware datetime."""
    if not _TIMESTAMP.match(text):
        raise bad("must be an RFC 3339 time in UTC such as 2026-01-31T00:00:00Z", pointer)
    head, _, fraction = text[:-1].partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(fraction or '0')[:6]:0<6}+00:00")
    except ValueError:
        raise bad("is not a time that exists", pointer) from None


def json_name(field: Field[Any]) -> str:
    """The member's name in JSON: the field's, unless its metadata says ``json``."""
    return str(field.metadata.get("json", field.name))


@cache
def _members(shape: type[Shape]) -> dict[str, tuple[str, Any, bool]]:
    hints = get_type_hints(shape)
    return {
        field.name: (json_name(field), hints[field.name], field.default is MISSING and field.default_factory is MISSING) for field in fields(shape)
    }


def _optional(kind: Any) -> Any:  # noqa: ANN401  # a type expression
    """The X of ``X | None``, or None when ``kind`` is something else."""
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType) and type(None) in arguments:
        rest = tuple(argument for argument in arguments if argument is not type(None))
        return rest[0] if len(rest) == 1 else Scalar
    return None


@cache
def _readers(shape: type[Shape]) -> tuple[tuple[str, str, _Reader, bool], ...]:
    """Field, member, reader and whether it is required; made once per shape, since a decision reads thousands of statements."""
    return tuple((name, member, _reader(kind), required) for name, (member, kind, required) in _members(shape).items())


@cache
def _reader(kind: Any) -> _Reader:  # noqa: ANN401  # a type expression
    """How a value of one kind is read; ``(value, pointer)`` to what the field holds."""
    inner = _optional(kind)
    if inner is not None:
        return _reader(inner)
    origin = get_origin(kind)
    if origin is tuple:
        return partial(_read_list, _reader(get_args(kind)[0]))
    if origin is dict:
        return partial(_read_map, _reader(get_args(kind)[1]))
    if kind == Scalar:
        return _scalar
    if kind in _READERS:
        return _READERS[kind]
    if issubclass(kind, StrEnum):
        return partial(_enum, kind)
    return partial(from_json, kind)


def _read_list(read: _Reader, value: object, pointer: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise bad("must be a list", pointer)
    if len(value) > MAX_ITEMS:
        raise bad(f"has more than {MAX_ITEMS} items", pointer)
    return tuple(read(item, f"{pointer}/{index}") for index, item in enumerate(value))


def _read_map(read: _Reader, value: object, pointer: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad("must be an object", pointer)
    return {_text(key, pointer): read(item, f"{pointer}/{key}") for key, item in value.items()}


def _facts(value: object, pointer: str) -> dict[str, Any]:
    _check_facts(value, pointer, 0)
    if not isinstance(value, dict):
        raise bad("must be an object", pointer)
    return value


def _scalar(value: object, pointer: str) -> Scalar:
    return _signed(value, pointer) if isinstance(value, int) else _text(value, pointer)


def _text(value: object, pointer: str) -> str:
    if not isinstance(value, str):
        raise bad("must be text", pointer)
    if len(value) > MAX_TEXT:
        raise bad(f"has more than {MAX_TEXT} characters", pointer)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad("has half a surrogate pair, which UTF-8 cannot carry", pointer) from None
    return value


def _integer(value: object, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value > 2**53 - 1:
        raise bad("must be an integer from 0 to 2^53-1", pointer)
    return value


def _signed(value: object, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**53 - 1:
        raise bad("must be text or an integer within 2^53-1", pointer)
    return value


def _boolean(value: object, pointer: str) -> bool:
    if not isinstance(value, bool):
        raise bad("must be true or false", pointer)
    return value


def _hash(value: object, pointer: str) -> Sha256:
    try:
        return parse_sha256(value)
    except ProblemError as error:
        raise bad(f"is wrong: {error.problem.detail}", pointer) from None


def _timestamp(value: object, pointer: str) -> Timestamp:
    text = _text(value, pointer)
    parse_time(text, pointer)
    return Timestamp(text)


def _hex4(value: object, pointer: str) -> Hex4:
    if not isinstance(value, str) or not _HEX4.match(value):
        raise bad("must be 8 lower-case hex digits", pointer)
    return Hex4(value)


def _label(value: object, pointer: str) -> Label:
    if not isinstance(value, str) or len(value) > MAX_LABEL or not re.fullmatch(_LABEL, value):
        raise bad(f"must be at most {MAX_LABEL} characters such as wheel-generator", pointer)
    return Label(value)


def _enum(kind: type[StrEnum], value: object, pointer: str) -> StrEnum:
    try:
        return kind(_text(value, pointer))
    except ValueError:
        raise bad(f"must be one of {', '.join(kind)}", pointer) from None


def _check_facts(value: object, pointer: str, depth: int) -> None:
    if depth > MAX_FACT_DEPTH:
        raise bad("is nested too deeply", pointer)
    if isinstance(value, dict):
        for key, item in value.items():
            _text(key, pointer)
            _check_facts(item, f"{pointer}/{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_facts(item, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, str):
        _text(value, pointer)
    elif isinstance(value, float):
        raise bad("is a float; signed JSON has none", pointer)


_READERS: dict[Any, _Reader] = {
    Facts: _facts,
    str: _text,
    int: _integer,
    bool: _boolean,
    Sha256: _hash,
    AttestationId: _hash,
    Timestamp: _timestamp,
    Hex4: _hex4,
    Label: _label,
}

_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string", "maxLength": MAX_TEXT},
    int: {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    bool: {"type": "boolean"},
    Sha256: {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    AttestationId: {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    Timestamp: {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"},
    Hex4: {"type": "string", "pattern": "^[0-9a-f]{8}$"},
    Label: {"type": "string", "maxLength": MAX_LABEL, "pattern": f"^{_LABEL}$"},
    Facts: {"type": "object"},
    Scalar: {"type": ["string", "integer"], "maxLength": MAX_TEXT, "minimum": 1 - 2**53, "maximum": 2**53 - 1},
}


def schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401  # a type expression
    """Return the JSON Schema (2020-12) of a shape, inlined."""
    inner = _optional(kind)
    if inner is not None:
        return schema(inner)
    if kind in _SCHEMAS:
        return dict(_SCHEMAS[kind])
    origin = get_origin(kind)
    if origin is tuple:
        return {"type": "array", "items": schema(get_args(kind)[0]), "maxItems": MAX_ITEMS}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(get_args(kind)[1])}
    if issubclass(kind, StrEnum):
        return {"type": "string", "enum": [str(member) for member in kind]}
    members = _members(kind).values()
    return {
        "type": "object",
        "required": [name for name, _, required in members if required],
        "properties": {name: schema(inner) for name, inner, _ in members},
    }
