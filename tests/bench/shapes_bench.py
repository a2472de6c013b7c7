"""How often the cause is named that was injected, in the shapes that tools leave: ``python -m tests.bench.shapes_bench [--seed N] [--rounds N]``.

*Top-1* is the first cause named; in a mixture it has to be one of those in it, and all of them have to be named. Of tampered artifacts the first has
to be *unexplained*, also where harmless causes are all around; where an attack looks like a cause it may be called *likely*. A *false proof* is a
cause that is proved and was not injected: there must be none.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reprove.compare.causes.catalogue import LISTS, UNEXPLAINED
from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from reprove.core.outcomes import Certainty
from tests.compare.corpus import Corpus, Pair


@dataclass
class Score:
    """What one run measured. ``kinds`` and ``good`` count pairs by kind, the others single causes; texts in ``missed`` and ``false`` name pairs."""

    kinds: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def top1(self) -> float:
        """The share of single causes that are named first."""
        return sum(self.right.values()) / max(1, sum(self.pairs.values()))

    @property
    def mixed_recall(self) -> float:
        """The share of the causes in mixtures that are named."""
        return self.labels["named"] / max(1, self.labels["injected"])


def measure(seed: int, rounds: int = 1, share: float = 1.0) -> tuple[Score, Corpus]:
    """Build and compare the pairs of a seed."""
    score, corpus = Score(), Corpus(seed)
    with tempfile.TemporaryDirectory() as folder:
        for pair in corpus.pairs(rounds, share=share):
            begun = time.process_time()
            found = compared(pair, Path(folder))
            score.slowest = max(score.slowest, time.process_time() - begun)
            _count(score, pair, found)
    return score, corpus


def compared(pair: Pair, folder: Path) -> Comparison:
    (folder / "original").write_bytes(pair.old)
    (folder / "rebuilt").write_bytes(pair.new)
    return compare_files(folder / "original", folder / "rebuilt", names=(pair.file, pair.file))


def _count(score: Score, pair: Pair, found: Comparison) -> None:
    names = [one.id for one in found.causes]
    first = names[0] if names else "none"
    false = {one.id for one in found.causes if one.certainty is Certainty.PROVED} - set(pair.labels) - LISTS
    match pair.kind:
        case "single":
            good = first == pair.labels[0]
            score.pairs[pair.labels[0]] += 1
            score.right[pair.labels[0]] += good
            score.said[first] += 1
        case "mixed":
            score.labels["injected"] += len(pair.labels)
            score.labels["named"] += len(set(pair.labels) & set(names))
            good = set(pair.labels) <= set(names) and first in pair.labels
        case "dressed":
            good = not false
        case _:
            good = first == UNEXPLAINED and not false
    score.kinds[pair.kind] += 1
    score.good[pair.kind] += good
    shown = f"{pair.name}: {[(one.id, one.certainty.value, one.count) for one in found.causes]}"
    if not good:
        score.missed.append(shown)
    if false and pair.kind in ("tampered", "covered", "dressed"):
        score.false.append(shown)


def main() -> int:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)
    score, corpus = measure(arguments.seed, arguments.rounds)
    if arguments.json:
        figures = {"seed": arguments.seed, "top1": score.top1, "mixed_recall": score.mixed_recall, "kinds": score.kinds, "good": score.good}
        print(json.dumps(figures | {"false_proofs": score.false, "missed": score.missed, "skipped": corpus.skipped}, indent=1))
        return 0
    print(f"{'cause':<20} {'pairs':>6} {'recall':>7} {'precision':>10}")
    for cause, count in sorted(score.pairs.items()):
        print(f"{cause:<20} {count:>6} {score.right[cause] / count:>7.0%} {score.right[cause] / max(1, score.said[cause]):>10.0%}")
    print(f"top-1 {score.top1:.1%} of {sum(score.pairs.values())}; {score.mixed_recall:.1%} of {score.labels['injected']} in mixtures named")
    print(", ".join(f"{kind}: {score.good[kind]} of {count} as they should be" for kind, count in score.kinds.items()))
    print(f"{len(score.false)} false proofs; slowest comparison {score.slowest:.2f} s; skipped for want of a tool: {corpus.skipped or 'none'}")
    for line in score.missed:
        print(f"  missed {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
