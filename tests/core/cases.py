"""How cases of evidence are made: good evidence of a small world with one thing changed, and the exit code that it must end with."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reprove.core import notes
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.evidence import Evidence, build_evidence
from reprove.core.statements.common import decode
from reprove.core.trust import TrustFile
from tests.core.world import FILE, NAME, World

GOOD, SUBJECT, SIGNATURE, INCLUSION, CHECKPOINT, UNTRUSTED, MALFORMED, OUTCOME, NO_EVIDENCE = 0, *range(10, 18)


@dataclass(frozen=True)
class Case:
    evidence: bytes
    trust: TrustFile | None
    code: int
    file: bytes = FILE
    arguments: tuple[str, ...] = ()


@dataclass
class Table:
    rows: dict[str, Callable[[], Case]] = field(default_factory=dict)

    def __call__(self, make: Callable[[], Case]) -> Callable[[], Case]:
        self.rows[make.__name__.replace("_", " ")] = make
        return make


CASES = Table()
GREASE = "\u2014 grease.example " + base64.b64encode(b"x" * 40).decode() + "\n"


def world(**options: Any) -> World:
    made = World(**options)
    made.evidence(filler=3)
    return made


def edited(code: int, change: Callable[[dict[str, Any]], object], *, decided: bool = False, **options: Any) -> Case:
    """The good evidence with one thing changed, canonical again."""
    here = world()
    document = json.loads(here.evidence(decided=decided, **options).encode())
    change(document)
    return Case(canonical(document), here.trust(), code)


def noted(code: int, change: Callable[[list[str]], list[str]], where: str = "checkpoint") -> Case:
    """The good evidence with other signature lines under the comparison's checkpoint."""

    def apply(document: dict[str, Any]) -> None:
        note = notes.parse_note(document["entries"][1][where])
        document["entries"][1][where] = notes.format_note(note.text, change([one.line for one in note.signatures]))

    return edited(code, apply)


def flipped(text: str, at: int = 10) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return base64.b64encode(raw).decode()


def signed_anew(here: World, entry: int, change: Callable[[dict[str, Any]], object], sha512: str | None = None) -> Evidence:
    """Evidence in which the operator itself signed and logged an odd statement in place of entry ``entry``."""
    entries, reported, resolved = here.rebuild()
    statement = decode(entries[entry].envelope.payload)
    change(statement.predicate)
    if sha512 is not None:
        statement = dataclasses.replace(statement, subjects=(dataclasses.replace(statement.subjects[0], sha512=sha512),))
    entries[entry] = here.add(statement)[0]
    entries.sort(key=lambda one: one.index)
    return build_evidence(name=NAME, sha256=sha256(FILE), entries=entries, hints=here.trust(), reports=[reported], resolutions=[resolved])
