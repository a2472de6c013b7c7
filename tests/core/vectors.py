"""The vectors that stock verifiers judged (their README says how), read by our functions."""

from __future__ import annotations

from pathlib import Path

from reprove.core import keys, notes, tiles
from reprove.core.checkpoints import Checkpoint, open_checkpoint
from reprove.core.keys import PublicKey
from reprove.core.notes import VKey

VECTORS = Path(__file__).parent.parent / "vectors" / "stock-verified"


def log_vkey() -> VKey:
    return notes.parse_vkey((VECTORS / "log.vkey").read_text().strip())


def witness_vkeys() -> list[VKey]:
    lines = (VECTORS / "two-witnesses.policy").read_text().splitlines()
    return [notes.parse_vkey(line.split()[2]) for line in lines if line.startswith("witness ")]


def log_checkpoint() -> Checkpoint:
    return open_checkpoint((VECTORS / "log" / "checkpoint").read_bytes(), log_vkey()).checkpoint


def log_tile(level: int, n: int, size: int) -> bytes:
    return (VECTORS / "log" / tiles.tile_path(level, n, tiles.tile_width(level, n, size))).read_bytes()


def signer() -> PublicKey:
    return keys.from_pem((VECTORS / "signer.pub").read_text())
