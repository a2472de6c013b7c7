"""The state folder: what lies in it, whose it is, and who may read it (INTERFACE section 1, DESIGN section 4)."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from reprove.core.errors import OwnError
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
        _settle(path, folder, settings)
    for name, target in LINKS.items():
        link = settings.home / name
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target)
    make_sockets(settings)


def _settle(path: Path, folder: Folder, settings: Settings) -> None:
    """Give an existing folder its owner and mode.

    A link at the top of home is the operator's (another disk). Deeper ones are refused: their parents may belong to accounts, who could put
    a link to any folder of root's there.
    """
    separate = settings.separate_users and os.geteuid() == 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if path.parent != settings.home else 0))
    except OSError as error:
        raise OwnError(f"{path} must be a folder, not a link or a file: {error.strerror}") from error
    try:
        if separate:
            os.fchown(descriptor, *_ids(folder.owner, folder.group))
        os.fchmod(descriptor, folder.mode if separate else folder.mode | 0o700)
    finally:
        os.close(descriptor)


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
    os.chown(path, *_ids(process, group), follow_symlinks=False)


def _ids(process: str | None, group: str | None) -> tuple[int, int]:
    """User and group id of a process's account (None: root), with another group where one is named."""
    user = account_of(process).user if process else None
    uid = pwd.getpwnam(user).pw_uid if user else 0
    return uid, grp.getgrnam(group).gr_gid if group else (pwd.getpwnam(user).pw_gid if user else 0)


def write_private(path: Path, text: str, process: str | None, settings: Settings, *, mode: int = 0o400) -> None:
    """Write a secret once: created with its mode, synced, handed to its owner, and only then named. An existing file stays as it is."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    hand_over(temporary, process, settings)
    # a crash before this line leaves no secret by this name; without it the next run would keep an empty one, which everybody knows
    temporary.rename(path)


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
