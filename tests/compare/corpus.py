"""The corpus of causes: pairs of real builds, labelled with what was injected, drawn from a seed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from tests.compare import attacks, injections
from tests.compare.builds import DEB, WHEEL, name_of, project
from tests.compare.ccode import HAS_COMPILER


@dataclass(frozen=True)
class Pair:
    """Two artifacts and why they differ: ``labels`` are the causes injected; none where it is an attacker's doing.

    ``kind``: *single*, *mixed* (several causes), *tampered* (alone), *covered* (tampered among harmless causes) or *dressed* (tampered so that it
    looks like a cause).
    """

    kind: str
    name: str
    file: str
    old: bytes
    new: bytes
    labels: tuple[str, ...]


class Corpus:
    """Draws pairs; ``skipped`` counts those for which this machine has no tool."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.skipped: dict[str, int] = {}

    def _lacks(self, form: str, change: object) -> str | None:
        if change in injections.NEED_COMPILER | attacks.NEED_COMPILER and not HAS_COMPILER:
            return "gcc"
        if form == DEB and shutil.which("dpkg-deb") is None:
            return "dpkg-deb"
        if form == DEB and change in (injections.by_name("owners"), attacks.by_name("who owns")) and os.geteuid() != 0:
            return "root"
        return "xz" if change is injections.by_name("threads") and shutil.which("xz") is None else None

    def _possible(self, form: str, change: object) -> bool:
        lacking = self._lacks(form, change)
        if lacking:
            self.skipped[lacking] = self.skipped.get(lacking, 0) + 1
        return lacking is None

    def pairs(self, rounds: int = 1, *, share: float = 1.0, mixtures: int = 40) -> Iterator[Pair]:
        """Every cause in every format that has it, ``rounds`` times, and every attack; with a ``share`` below 1 that part of them, drawn."""
        for _ in range(rounds):
            for cause, forms, inject in injections.INJECTIONS:
                for form in self._drawn(forms, inject, share):
                    yield self._pair("single", form, (cause,), [inject])
            yield from self._mixtures(round(mixtures * share))
            for kind, table in (("tampered", attacks.PLAIN), ("covered", attacks.PLAIN), ("dressed", attacks.DRESSED)):
                for what, forms, attack in table:
                    for form in self._drawn(forms, attack, share):
                        yield self._attacked(kind, form, what, attack)

    def _drawn(self, forms: tuple[str, ...], change: object, share: float) -> list[str]:
        return [form for form in forms if (share >= 1 or self._rng.random() < share) and self._possible(form, change)]

    def _attacked(self, kind: str, form: str, what: str, attack: attacks.Attack) -> Pair:
        noise = self._noise(form) if kind == "covered" else []
        labels = (*(cause for cause, _ in noise), *((attacks.ALSO[what],) if what in attacks.ALSO else ()))
        return self._pair(kind, form, labels, [attack, *(each for _, each in noise)], what)

    def _pair(self, kind: str, form: str, labels: tuple[str, ...], changes: list[injections.Inject], what: str = "") -> Pair:
        old = project(self._rng, form)
        new = old.twin()
        for change in changes:
            change(self._rng, old, new)
        name = f"{form} {what or '+'.join(labels)} ({', '.join(getattr(change, '__name__', '?').strip('_') for change in changes)})"
        sides = (old.build(), new.build())
        if kind in ("single", "mixed") and self._rng.random() < 0.5 and changes[0] not in injections.ONE_WAY:
            sides = (sides[1], sides[0])
        assert sides[0] != sides[1], name
        return Pair(kind, name, name_of(old), *sides, labels)

    def _noise(self, form: str) -> list[tuple[str, injections.Inject]]:
        """One or two causes of the archive's headers, which go with any attack."""
        fitting = [(cause, each) for cause, forms, each in injections.INJECTIONS if form in forms and each in injections.HEADERS]
        fitting = [row for row in fitting if self._lacks(form, row[1]) is None]
        return self._rng.sample(fitting, min(len(fitting), self._rng.randint(1, 2)))

    def _mixtures(self, count: int) -> Iterator[Pair]:
        """Two or three causes that do not hide each other."""
        while count:
            form = self._rng.choice([*injections.ALL, WHEEL])
            fitting = [
                (cause, each)
                for cause, forms, each in injections.INJECTIONS
                if form in forms and each not in injections.ALONE and self._lacks(form, each) is None
            ]
            chosen = self._rng.sample(fitting, self._rng.randint(2, 3))
            labels = tuple(cause for cause, _ in chosen)
            times = {"build-time", "time-zone", "source-times"} & set(labels)
            clash = any(sum(each in group for _, each in chosen) > 1 for group in injections.SAME_FILE)
            if len(set(labels)) == len(labels) and len(times) <= 1 and not clash:
                count -= 1
                yield self._pair("mixed", form, labels, [each for _, each in chosen])
