"""Set-up runs as root over folders in which accounts of the instance may write, and may be interrupted anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.setup import folders


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", separate_users=False)


def test_a_link_that_an_account_put_in_a_folders_place_is_refused_and_its_target_keeps_its_mode(settings: Settings, tmp_path: Path) -> None:
    """``blobs`` belongs to a group: a member can put a link to any folder of root's where ``blobs/sha256`` was."""
    folders.make_folders(settings)
    victim = tmp_path / "etc"
    victim.mkdir(mode=0o755)
    (settings.home / "blobs" / "sha256").rmdir()
    (settings.home / "blobs" / "sha256").symlink_to(victim)
    with pytest.raises(OwnError, match="not a link"):
        folders.make_folders(settings)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755


def test_a_folder_that_the_operator_put_on_another_disk_stays_there(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    settings.home.mkdir()
    (settings.home / "environments").symlink_to(tmp_path / "disk")
    folders.make_folders(settings)
    assert (settings.home / "environments").is_symlink()
    assert stat.S_IMODE((tmp_path / "disk").stat().st_mode) == 0o755


def test_a_restored_folder_gets_its_mode_again(settings: Settings) -> None:
    folders.make_folders(settings)
    (settings.home / "secrets").chmod(0o777)
    folders.make_folders(settings)
    assert stat.S_IMODE((settings.home / "secrets").stat().st_mode) == 0o711


def test_an_interrupted_secret_is_written_again_and_never_left_empty(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password file that stays empty would be a password that everybody knows."""
    path = tmp_path / "redis-worker.password"

    def crash(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        folders.write_private(path, "", None, settings)
    monkeypatch.undo()
    assert not path.exists()
    folders.write_private(path, "secret", None, settings)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("secret", 0o400)
    folders.write_private(path, "another", None, settings)
    assert path.read_text() == "secret"
    assert [each.name for each in tmp_path.iterdir()] == ["redis-worker.password"]
