"""Key files are whole or not there at all, and never replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reprove import signers
from reprove.core.errors import OwnError


def test_an_interrupted_key_is_made_again_by_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a key under its own name would stop every later init."""
    path = tmp_path / "log.key"

    def crash(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        signers.generate(path)
    monkeypatch.undo()
    assert not path.exists()
    made = signers.generate(path)
    assert signers.open_signer(f"file:{path}").public_key == made.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert [each.name for each in tmp_path.iterdir()] == ["log.key"]


def test_a_key_is_never_made_over_an_existing_one(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    first = signers.generate(path)
    with pytest.raises(FileExistsError):
        signers.generate(path)
    assert signers.open_signer(f"file:{path}").public_key == first.public_key


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    signers.generate(path)
    path.chmod(0o444)
    with pytest.raises(OwnError, match="can be read by others"):
        signers.open_signer(f"file:{path}")
