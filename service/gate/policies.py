"""Policies as files of the instance, changed by role ``operate``, named by digest in decisions (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from reprove.core.errors import Problem, ProblemError, Slug
from reprove.core.policy import Bindings, Policy, parse_bindings, parse_policy, valid_name

T = TypeVar("T")

MAX_BYTES = 1024 * 1024
BINDINGS = "bindings.yaml"


class PolicyFolder(Mapping[str, Policy]):
    """The folder ``policies/`` as it is now: read once per decision, so that one decision never sees two versions of a file.

    A file is read when it is asked for: a broken policy that neither the question nor a binding names harms nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, Policy] = {}
        self._bindings: Bindings | None = None

    @property
    def bindings(self) -> Bindings:
        """The bindings; an instance without the file has none. Raises ``invalid-policy`` with the file's line and column."""
        if self._bindings is None:
            path = self._path / BINDINGS
            text = _text(path) if path.exists() else "{}"
            self._bindings = _placed(BINDINGS, lambda: parse_bindings(text))
        return self._bindings

    def __getitem__(self, name: str) -> Policy:
        if name not in self._read:
            path = self._path / f"{name}.yaml"
            if not valid_name(name) or f"{name}.yaml" == BINDINGS or not path.is_file():
                raise KeyError(name)
            text = _text(path)
            self._read[name] = _placed(path.name, lambda: parse_policy(text, name=name))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self._path.glob("*.yaml") if path.name != BINDINGS and valid_name(path.stem)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def named(self, name: str) -> Policy:
        """The policy that a caller asked for; raises ``invalid-policy`` that lists the names there are."""
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self) or "none"
            raise ProblemError(Slug.INVALID_POLICY, f"this instance has no policy {name[:64]!r}; it has: {known}", pointer="/policy") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ProblemError(Slug.INVALID_POLICY, f"{path.name} is larger than {MAX_BYTES} bytes", line=1, column=1)
        return data.decode()
    except OSError as error:
        raise ProblemError(Slug.INVALID_POLICY, f"{path.name}: {error.strerror}", line=1, column=1) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ProblemError(Slug.INVALID_POLICY, f"{path.name} is not UTF-8", line=line, column=1) from None


def _placed(name: str, read: Callable[[], T]) -> T:
    """Name the file in the problem that reading it makes."""
    try:
        return read()
    except ProblemError as error:
        found: Problem = error.problem
        where = f"{name}:{found.line or 1}:{found.column or 1}"
        raise ProblemError(found.slug, f"{where}: {found.detail}", line=found.line, column=found.column) from None
