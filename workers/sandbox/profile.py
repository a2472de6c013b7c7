"""The hardened container configuration, in one place: every step gets all of it (DESIGN section 8, sandbox hardening 9.3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workers.sandbox.seccomp import load_profile
from workers.sandbox.values import BUILD_UID, Labels, Step, lease_label

if TYPE_CHECKING:
    from collections.abc import Mapping

SHM_SIZE = 64 * 1024**2
OPEN_FILES = 4096
HOSTNAME = "reprove"
HOSTS = Path(__file__).resolve().with_name("hosts")
LABEL = "dev.reprove"

BASE_ENV: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/build",
    "TMPDIR": "/tmp",  # noqa: S108  # inside the container, its own tmpfs
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
}
"""The whole environment of a step, before what the step adds."""


def command(step: Step) -> list[str]:
    """The step's command behind a shell that sets the umask and clears the environment: engines add HOSTNAME and others on their own."""
    variables = [f"{name}={value}" for name, value in sorted({**BASE_ENV, **step.env}.items())]
    return ["/bin/sh", "-c", 'umask "$0" && exec /usr/bin/env -i "$@"', step.umask, *variables, *step.argv]


def memory_limit(step: Step, work_size: int) -> int:
    """The container's memory ceiling, bytes.

    The pages of every tmpfs count against the memory of who writes them. So the ceiling is the step's memory plus all that its volumes can hold:
    a full disk is then ENOSPC, which a build can report, and never an OOM kill that would blame memory. Never more than four fifths of the
    machine, though: there the build is killed before the machine has to choose whom to kill.
    """
    wanted = step.limits.memory + work_size + (step.output.size if step.output else 0) + SHM_SIZE
    return min(wanted, _machine_memory() * 4 // 5)


def labels_of(instance: str, worker: str, labels: Labels) -> dict[str, str]:
    """The labels that every filter of ours uses; the instance comes first, so that two instances on one engine never meet."""
    return {
        f"{LABEL}.instance": instance,
        f"{LABEL}.worker": worker,
        f"{LABEL}.rebuild": labels.rebuild,
        f"{LABEL}.attempt": labels.attempt,
        f"{LABEL}.lease": lease_label(labels.lease),
    }


def settings_of(step: Step) -> dict[str, object]:
    """The step's sandbox parameters for its statement: integers, booleans and strings only."""
    return {
        "network": step.network,
        "read_only": True,
        "capabilities": "none",
        "no_new_privileges": True,
        "user": BUILD_UID,
        "umask": step.umask,
        "time": int(step.limits.time_s),
        "memory": step.limits.memory,
        "disk": step.limits.disk if step.work_size is None else step.work_size,
        "pids": step.limits.pids,
        "log": step.limits.log,
        "build_cpus": step.limits.cpus,
        "output": step.output.kind if step.output else "none",
    }


def container_config(step: Step, *, work: Sequence[str] | None, work_size: int, labels: dict[str, str]) -> dict[str, object]:
    """The body of the engine's ``POST /containers/create``.

    ``work`` holds the host folders of ``/build`` and ``/tmp``, None where the engine makes their tmpfs itself.
    """
    memory = memory_limit(step, work_size)
    mounts: list[dict[str, object]] = [_bind(str(mount.source), mount.target, read_only=mount.read_only) for mount in step.mounts]
    # an engine without network puts an empty file there, and then not even localhost has an address
    mounts.append(_bind(str(HOSTS), "/etc/hosts", read_only=True))
    tmpfs: dict[str, str] = {}
    if work is None:
        common = f"nosuid,nodev,uid={BUILD_UID},gid={BUILD_UID}"
        # two separate file systems share the budget where the worker may not mount: three quarters to build in, one for temporary files
        tmpfs = {
            "/build": f"exec,size={work_size * 3 // 4},nr_inodes={max(4096, work_size // 8192)},mode=0755,{common}",
            "/tmp": f"size={work_size // 4},nr_inodes={max(4096, work_size // 32768)},mode=1777,{common}",  # noqa: S108
        }
    else:
        mounts += [_bind(work[0], "/build", read_only=False), _bind(work[1], "/tmp", read_only=False)]  # noqa: S108
    if step.output is not None:
        mounts.append(
            _bind(step.output.source, "/out", read_only=False)
            if step.output.kind == "tmpfs"
            else {"Type": "volume", "Source": step.output.source, "Target": "/out", "VolumeOptions": {"NoCopy": True}}
        )
    return {
        "Image": step.image,
        "Cmd": command(step),
        "Entrypoint": [],
        "Env": [],
        "User": f"{BUILD_UID}:{BUILD_UID}",
        "WorkingDir": "/build",
        "Hostname": HOSTNAME,
        "Domainname": "",
        "AttachStdin": False,
        "AttachStdout": step.on_log is not None,
        "AttachStderr": step.on_log is not None,
        "OpenStdin": False,
        "Tty": False,
        "NetworkDisabled": True,
        "Labels": labels,
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "Mounts": mounts,
            "Tmpfs": tmpfs,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true", f"seccomp={load_profile().text}"],
            "PidsLimit": step.limits.pids,
            "Memory": memory,
            "MemorySwap": memory,
            "OomScoreAdj": 500,
            "NanoCpus": step.limits.cpus * 1_000_000_000,
            "Init": True,
            "ShmSize": SHM_SIZE,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            ],
            "LogConfig": {"Type": "none", "Config": {}},
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "Privileged": False,
            "PublishAllPorts": False,
            "AutoRemove": False,
            "RestartPolicy": {"Name": "no"},
        },
    }


@cache
def _machine_memory() -> int:
    """Bytes of memory of this host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _bind(source: str, target: str, *, read_only: bool) -> dict[str, object]:
    return {
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }
