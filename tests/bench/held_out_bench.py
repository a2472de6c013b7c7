"""How well causes are named in builds by another author than the rules: ``python -m tests.bench.held_out_bench [--seed N] [--rounds N] [--json]``.

*Top-1* is the first cause named. A *false proof* is a tampered artifact in which a cause is proved that claims more than header fields.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reprove.compare.engine import compare_files
from tests.compare.held_out import contents, packing, second, second_tampering, tampering
from tests.compare.held_out.packing import Scenario
from tests.compare.held_out.projects import dated, sources

TOOLS = ("tar", "gzip", "xz", "zip", "bsdtar", "ar", "gcc", "objcopy", "strip", "dpkg-deb", "npm", "jar", "perl")
_HEADERS = frozenset(
    [
        "umask",
        "owners",
        "build-time",
        "source-times",
        "time-zone",
        "compressor",
        "packer",
        "tar-dialect",
        "gzip-header",
        "threads",
        "file-order",
        "ar-header",
    ]
)
_EFFECTS = frozenset({"derived-record", "derived-digests", "derived-size"})

FIRST = (*packing.SCENARIOS, *contents.SCENARIOS, *tampering.SCENARIOS)
SECOND = (*second.SCENARIOS, *second_tampering.SCENARIOS)
BATCHES: dict[str, tuple[tuple[str, Scenario], ...]] = {"first": FIRST, "second": SECOND, "both": FIRST + SECOND}
"""The rules were mended by what the first said; the second was written after that."""


@dataclass
class Score:
    """What one run measured; ``missed`` are pairs whose first cause is another, ``false`` those in which tampering was proved harmless."""

    pairs: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def top1(self) -> float:
        """The share of pairs whose first cause is the one that is in them."""
        return sum(self.right.values()) / max(1, sum(self.pairs.values()))


def measure(seed: int, rounds: int, batch: str = "both") -> Score:
    """Build every pair ``rounds`` times and compare it."""
    score, rng = Score(), random.Random(seed)
    for _ in range(rounds):
        for label, scenario in BATCHES[batch]:
            _one(score, rng, label, scenario)
    return score


def _one(score: Score, rng: random.Random, label: str, scenario: Scenario) -> None:
    state = rng.random()
    with tempfile.TemporaryDirectory() as folder:
        tops = [sources(random.Random(state), Path(folder) / side) for side in ("old", "new")]
        for top in tops:
            dated(top)
        try:
            name, *sides = scenario(rng, *tops)
        except FileNotFoundError as error:
            if error.filename not in TOOLS:
                raise
            score.skipped[str(error.filename)] += 1
            return
        except PermissionError:
            score.skipped["root"] += 1
            return
        files = [Path(folder) / f"{side}-artifact" for side in ("old", "new")]
        for file, data in zip(files, sides, strict=True):
            file.write_bytes(data)
        causes = compare_files(files[0], files[1], names=(name, name)).causes
    first = causes[0].id if causes else "none"
    score.pairs[label] += 1
    score.said[first] += 1
    score.right[label] += first == label
    shown = f"{scenario.__name__} ({name}): {label}, named {[(one.id, one.certainty.value, one.count) for one in causes]}"
    if first != label:
        score.missed.append(shown)
    proved = {one.id for one in causes if one.certainty.value == "proved"}
    if label == "unexplained" and (proved - _HEADERS - _EFFECTS or first in proved):
        score.false.append(shown)


def main() -> int:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", choices=sorted(BATCHES), default="both")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)
    score = measure(arguments.seed, arguments.rounds, arguments.batch)
    rows = {
        label: {"pairs": count, "recall": score.right[label] / count, "precision": score.right[label] / max(1, score.said[label])}
        for label, count in sorted(score.pairs.items())
    }
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, "causes": rows, "top1": score.top1, "false_proofs": score.false, "missed": score.missed}, indent=1))
        return 0
    print(f"{'cause':<20} {'pairs':>6} {'recall':>7} {'precision':>10}")
    for label, row in rows.items():
        print(f"{label:<20} {row['pairs']:>6} {row['recall']:>7.0%} {row['precision']:>10.0%}")
    print(f"top-1 {score.top1:.1%} of {sum(score.pairs.values())}; {len(score.false)} false proofs; skipped {dict(score.skipped)}")
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    print(f"tools that are not here: {lacking or 'none'}")
    for line in score.missed:
        print(f"  missed {line}")
    for line in score.false:
        print(f"  FALSE PROOF {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
