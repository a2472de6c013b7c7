"""Size-limited places to write: a host tmpfs where the worker may mount, else an engine volume that a holder container keeps alive.

Both give ENOSPC at their size, survive the death of the build, and carry nosuid and nodev. The host tmpfs is read by directory descriptor;
the engine volume, where the worker has no root, as a tar stream from the holder (DESIGN section 8).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workers.sandbox import mounts
from workers.sandbox.values import BUILD_UID, Labels, SandboxError, lease_label

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRIES = 10
BYTES_PER_INODE = 8192
"""One file for every 8 KiB of a volume, and never fewer than 4096: source trees average above that."""


@dataclass(frozen=True, slots=True)
class OutputVolume:
    """A folder that one step may fill to ``size`` bytes. ``source`` is a host path (``tmpfs``) or an engine volume's name (``holder``)."""

    kind: Literal["tmpfs", "holder"]
    source: str
    size: int
    holder: str | None = None

    @property
    def path(self) -> Path:
        """The folder on the host; only a ``tmpfs`` has one."""
        if self.kind != "tmpfs":
            raise SandboxError("this output volume lives inside the engine and has no path on the host")
        return Path(self.source)

    @property
    def full(self) -> bool:
        """Whether its bytes or inodes are spent (under 64 KiB or 8 files left). Unknown, so False, for an engine volume."""
        return self.kind == "tmpfs" and spent(Path(self.source))


def spent(folder: Path) -> bool:
    """Whether the file system at ``folder`` has under 64 KiB or 8 inodes left."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    return state.f_bavail * state.f_frsize < 65536 or state.f_favail < 8


def inodes_for(size: int) -> int:
    """How many files a volume of ``size`` bytes may hold."""
    return max(4096, size // BYTES_PER_INODE)


@contextmanager
def host_tmpfs(folder: Path, *, size: int, owner: int, labels: Labels, executable: bool, names: tuple[str, ...]) -> Iterator[Path]:
    """Mount a tmpfs below ``folder`` with one subfolder of ``names`` each for the build, and take it away at the end.

    The mount point's name is ``<lease label>.<pid>.<random>``: the reaper needs no other record. The build gets the subfolders, never the mount
    point: an engine that does not see our mount then finds no source and refuses, instead of writing to the disk without a limit.
    A crash after the mount leaves it to the reaper, which finds it by its name.
    """
    target = folder / f"{lease_label(labels.lease)}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        try:
            _make(folder, target, size=size, owner=owner, executable=executable, names=names)
        except OSError as error:
            raise SandboxError(f"a volume of {size} bytes at {folder}: {error.strerror}") from error
        yield target
    finally:
        drop(target)


def _make(folder: Path, target: Path, *, size: int, owner: int, executable: bool, names: tuple[str, ...]) -> None:
    for left in range(_TRIES, 0, -1):
        try:
            for parent in (folder.parent, folder):
                if not parent.exists():
                    # whatever the worker's umask: an engine with user namespaces looks these up as somebody else
                    parent.mkdir(parents=True, exist_ok=True)
                    parent.chmod(0o711)
            target.mkdir(mode=0o711)
            break
        except FileNotFoundError:
            # another step that ended just now took the empty folder away
            if left == 1:
                raise
    mounts.mount_tmpfs(target, size=size, inodes=inodes_for(size), executable=executable)
    for name in names:
        (target / name).mkdir()
        os.chown(target / name, owner, owner)
        (target / name).chmod(0o1777 if name == "tmp" else 0o755)


def drop(target: Path) -> None:
    """Unmount and remove one mount point, and its folder with the last one; idempotent: the reaper and the owner may both do it."""
    mounts.unmount(target)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        target.rmdir()
    with contextlib.suppress(OSError):  # others are in use
        target.parent.rmdir()
        if target.parent.parent.name.startswith("reprove-"):
            target.parent.parent.rmdir()


def build_owner(remap_base: int) -> int:
    """Numeric owner on the host of what a build writes: user 1000, or its place in the engine's user namespace."""
    return remap_base + BUILD_UID
