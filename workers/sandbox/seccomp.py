"""Our own system call allow-list, the same on every engine version (sandbox hardening, DESIGN section 8).

The engine's default differs by release: 20.10's still allows io_uring and ptrace. Ours leaves out io_uring, ptrace and its relatives, keyrings,
bpf, userfaultfd, perf, the mount family, every way into a namespace, clocks, modules, and socket families that no network namespace confines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reprove.core.canonical import canonical
from reprove.core.digests import Sha256, sha256

FORBIDDEN = frozenset(
    {
        *("io_uring_setup", "io_uring_enter", "io_uring_register", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
        *("keyctl", "add_key", "request_key", "bpf", "userfaultfd", "perf_event_open", "unshare", "setns", "chroot", "pivot_root"),
        *("mount", "umount", "umount2", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
        *("open_by_handle_at", "fanotify_init", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"),
        *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "swapon", "swapoff", "acct", "quotactl", "syslog", "iopl", "ioperm"),
        *("sethostname", "setdomainname", "modify_ldt", "memfd_secret", "lookup_dcookie", "vhangup", "nfsservctl", "process_madvise"),
    }
)
"""Calls that the list must never allow; checked when it is loaded, so that an edit cannot let one slip in."""


@dataclass(frozen=True, slots=True)
class SeccompProfile:
    """A profile as the engine takes it, and its digest for the statement (SHA-256 of its JCS form)."""

    text: str
    sha256: Sha256


@cache
def load_profile() -> SeccompProfile:
    """Read and check the allow-list beside this file. Raises ValueError as :func:`parse_profile`."""
    return parse_profile(Path(__file__).with_name("seccomp.json").read_text())


def parse_profile(text: str) -> SeccompProfile:
    """Check an allow-list. Raises ValueError when it is not one, or allows a call of :data:`FORBIDDEN`."""
    document = json.loads(text)
    if document["defaultAction"] != "SCMP_ACT_ERRNO":
        raise ValueError("the seccomp profile must refuse what it does not name")
    for rule in document["syscalls"]:
        refused = FORBIDDEN.intersection(rule["names"])
        if rule["action"] == "SCMP_ACT_ALLOW" and refused:
            raise ValueError(f"the seccomp profile allows {', '.join(sorted(refused))}")
    encoded = canonical(document)
    return SeccompProfile(encoded.decode(), sha256(encoded))
