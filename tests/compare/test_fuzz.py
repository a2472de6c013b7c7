"""Whatever the bytes are, comparing ends in a verdict or a limit, soon, and never in another fault."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from reprove.archive.limits import LimitError
from reprove.compare.engine import compare_files
from reprove.core.outcomes import Level
from tests.compare.injected import Pair, pairs

ONE = 10.0
"""No run may take longer, of CPU; honest pairs of this size take a few hundredths."""


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut, doubled or moved."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(out)) if out else 0
        match rng.randrange(5):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + rng.randrange(1, 200)]
            case 2:
                out[at:at] = out[at : at + rng.randrange(1, 600)]
            case 3:
                out[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\5\6", b"\x1f\x8b\x08\0"])
            case _:
                del out[at:]
    return bytes(out)


@pytest.mark.slow
def test_mutated_artifacts_of_every_format_end_in_a_verdict(tmp_path: Path) -> None:
    fuzz(tmp_path, 20261126, 250)


@pytest.mark.soak
def test_artifacts_mutated_anew_end_in_a_verdict(tmp_path: Path) -> None:
    fuzz(tmp_path, random.SystemRandom().randrange(2**32), 20_000)


def fuzz(tmp_path: Path, seed: int, count: int) -> None:
    """Compare honest artifacts with mutated ones."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    samples: list[Pair] = list(pairs(3, 1))
    old, new = tmp_path / "old", tmp_path / "new"
    for _ in range(count):
        sample = rng.choice(samples)
        other = sample.old if rng.random() < 0.5 else sample.new
        old.write_bytes(sample.old)
        new.write_bytes(mutated(rng, other))
        begun = time.process_time()
        try:
            result = compare_files(old, new, names=(sample.file, sample.file))
        except LimitError:
            continue
        finally:
            assert time.process_time() - begun < ONE, (seed, sample.name)
        assert result.level is not Level.BITWISE or old.read_bytes() == new.read_bytes()
