"""How often the comparer names the cause that was injected: ``python -m tests.bench.cause_bench [--seed N] [--rounds N] [--json]``.

Each pair is a real build with one known cause in it, a mixture, or a tampered artifact. *Top-1* is the first cause named (an effect of others, such
as RECORD's, counts only where nothing else is named). A *false proof* is a tampered pair whose first cause is proved: there must be none.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from reprove.compare.causes.catalogue import UNEXPLAINED
from reprove.compare.engine import compare_files
from tests.compare.injected import Pair, pairs


def named(pair: Pair, folder: Path) -> list[tuple[str, str]]:
    """The causes of a pair with their certainty, the first named first."""
    original, rebuilt = folder / "original", folder / "rebuilt"
    original.write_bytes(pair.old)
    rebuilt.write_bytes(pair.new)
    return [(one.id, one.certainty.value) for one in compare_files(original, rebuilt, names=(pair.file, pair.file)).causes]


def run(seed: int, rounds: int) -> dict[str, object]:
    """Measure one corpus."""
    expected: Counter[str] = Counter()
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    mixtures = [0, 0]
    tampered = [0, 0, 0]
    misses = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in pairs(seed, rounds):
            causes = named(pair, Path(folder))
            first = causes[0][0] if causes else "none"
            if not pair.labels:
                tampered[0] += 1
                tampered[1] += first == UNEXPLAINED
                tampered[2] += first != UNEXPLAINED and causes[0][1] == "proved"
            elif len(pair.labels) == 1:
                (label,) = pair.labels
                expected[label] += 1
                said[first] += 1
                right[label] += first == label
            else:
                mixtures[0] += len(pair.labels)
                mixtures[1] += len(set(pair.labels) & {cause for cause, _ in causes})
            if (pair.labels and len(pair.labels) == 1 and first != pair.labels[0]) or (not pair.labels and first != UNEXPLAINED):
                misses.append({"pair": pair.name, "expected": list(pair.labels) or [UNEXPLAINED], "named": [list(one) for one in causes]})
    rows = {
        cause: {"pairs": count, "recall": right[cause] / count, "precision": right[cause] / said[cause] if said[cause] else 0.0}
        for cause, count in sorted(expected.items())
    }
    total = sum(expected.values())
    return {
        "seed": seed,
        "single": total,
        "top1": sum(right.values()) / total,
        "causes": rows,
        "mixture_labels": mixtures[0],
        "mixture_recall": mixtures[1] / mixtures[0] if mixtures[0] else 1.0,
        "tampered": tampered[0],
        "tampered_unexplained": tampered[1],
        "false_proofs": tampered[2],
        "misses": misses,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = run(arguments.seed, arguments.rounds)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"seed {result['seed']}")
    print(f"{'cause':<20} {'pairs':>6} {'recall':>7} {'precision':>10}")
    causes = result["causes"]
    assert isinstance(causes, dict)
    for cause, row in causes.items():
        print(f"{cause:<20} {row['pairs']:>6} {row['recall']:>7.0%} {row['precision']:>10.0%}")
    print(f"top-1 {result['top1']:.1%} of {result['single']} single causes")
    print(f"mixtures: {result['mixture_recall']:.1%} of {result['mixture_labels']} labels named")
    print(f"tampered: {result['tampered_unexplained']} of {result['tampered']} unexplained first, {result['false_proofs']} false proofs")
    misses = result["misses"]
    assert isinstance(misses, list)
    for miss in misses[:20]:
        print(f"  missed {miss['pair']}: expected {miss['expected']}, named {miss['named']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
