"""mount(2) and umount2(2), and what is mounted below a folder. Linux only; the caller must be root."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
from pathlib import Path

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
_MNT_DETACH = 2
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


def mount_tmpfs(target: Path, *, size: int, inodes: int, executable: bool) -> None:
    """Mount a tmpfs of ``size`` bytes and ``inodes`` files, without set-uid and devices. Raises OSError."""
    flags = MS_NOSUID | MS_NODEV | (0 if executable else MS_NOEXEC)
    options = f"size={size},nr_inodes={inodes},mode=0711".encode()
    if _libc.mount(b"reprove", os.fsencode(target), b"tmpfs", ctypes.c_ulong(flags), options) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path) -> None:
    """Unmount; a mount that is still busy (a dying process) goes as soon as its last user does. Nothing happens where nothing is mounted."""
    if _libc.umount2(os.fsencode(target), 0) == 0 or ctypes.get_errno() in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
        return
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def can_mount() -> bool:
    """Whether this process holds CAP_SYS_ADMIN (bit 21), which mount(2) asks for."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> 21 & 1)
    return False
