"""The state folder: what lies in it, whose it is, and who may read it (INTERFACE section 1, DESIGN section 4)."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from reprove.settings import Settings
from service.accounts import RECORDS, SOCKETS, account_of


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder below home: its mode, the process that owns it (None: root) and its group."""

    path: str
    mode: int = 0o755
    owner: str | None = None
    group: str | None = None


FOLDERS = (
    Folder("run"),
    Folder("secrets", 0o711),
    Folder("policies"),
    Folder("evidence"),
    # records.db, its journal and the running logs are shared by api, worker api, scheduler and attester, and by nobody else
    Folder("records", 0o2770, None, RECORDS),
    Folder("blobs", 0o2770, None, RECORDS),
    Folder("blobs/sha256", 0o2770, None, RECORDS),
    Folder("logs", 0o2770, None, RECORDS),
    # the log's database is the sequencer's alone, its tiles are public
    Folder("sequencer", 0o700, "sequencer"),
    Folder("log", 0o755, "sequencer"),
    Folder("witness", 0o700, "witness"),
    Folder("redis", 0o700, "redis"),
    # a store has one writer; a worker reads the proxy's
    Folder("inputs"),
    Folder("inputs/proxy", 0o755, "proxy"),
    Folder("inputs/resolver", 0o755, "resolver"),
    Folder("environments"),
    Folder("work", 0o711),
)

LINKS = {"records.db": "records/records.db", "log.db": "sequencer/log.db", "witness.db": "witness/witness.db"}
"""SQLite writes its journal beside the real file, so each database stands in a folder of its owner's and home has a link to it."""


def make_folders(settings: Settings) -> None:
    """Make every folder and link; existing ones get their owner and mode again, which mends a restored backup."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(0o755)
    for folder in FOLDERS:
        path = settings.home / folder.path
        path.mkdir(exist_ok=True)
        hand_over(path, folder.owner, settings, group=folder.group)
        path.chmod(folder.mode if settings.separate_users and os.geteuid() == 0 else folder.mode | 0o700)
    for name, target in LINKS.items():
        link = settings.home / name
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target)
    make_sockets(settings)


def make_sockets(settings: Settings) -> None:
    """Make the sockets folder: only those who listen may create a name in it, and nobody may remove another's."""
    settings.sockets.mkdir(parents=True, exist_ok=True)
    if settings.sockets != settings.home / "run":
        hand_over(settings.sockets, None, settings, group=SOCKETS)
        settings.sockets.chmod(0o1775)


def hand_over(path: Path, process: str | None, settings: Settings, *, group: str | None = None) -> None:
    """Give a file to a process's account; nothing happens where accounts are not separated."""
    if not settings.separate_users or os.geteuid() != 0:
        return
    user = account_of(process).user if process else None
    uid = pwd.getpwnam(user).pw_uid if user else 0
    gid = grp.getgrnam(group).gr_gid if group else (pwd.getpwnam(user).pw_gid if user else 0)
    os.chown(path, uid, gid, follow_symlinks=False)


def write_private(path: Path, text: str, process: str | None, settings: Settings, *, mode: int = 0o400) -> None:
    """Write a secret once: created with its mode, synced, then handed to its owner. An existing file stays as it is."""
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    hand_over(path, process, settings)


def write_public(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that everybody may read, atomically and durably."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(mode)
    temporary.replace(path)
