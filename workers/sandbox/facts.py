"""What the engine and the host have and lack, honestly: it goes into every report and into ``reprove doctor``."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from workers.sandbox import cgroups
from workers.sandbox.seccomp import load_profile

if TYPE_CHECKING:
    from workers.sandbox.client import EngineClient

_REMAPPED_ROOT = re.compile(r".*/(\d+)\.(\d+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """``userns`` is the engine's remapping of user ids; without it user 1000 inside is user 1000 of the host. ``remap_base`` is 0 then."""

    engine: str
    api: str
    runtime: str
    kernel: str
    arch: str
    cpus: int
    cgroup: int
    cgroup_driver: str
    storage: str
    seccomp: bool
    seccomp_sha256: str
    apparmor: bool
    selinux: bool
    userns: bool
    rootless: bool
    remap_base: int
    swap_limit: bool
    memory_limit: bool
    pids_limit: bool

    def as_json(self) -> dict[str, object]:
        """The facts for a statement: integers, booleans and strings only."""
        return asdict(self)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Words for what would make the sandbox stronger and is not here."""
        missing = {
            "user namespaces": self.userns or self.rootless,
            "AppArmor or SELinux": self.apparmor or self.selinux,
            "cgroup v2": self.cgroup == 2,
            "seccomp": self.seccomp,
            "memory limit": self.memory_limit,
            "swap limit": self.swap_limit,
            "pids limit": self.pids_limit,
        }
        return tuple(name for name, present in missing.items() if not present)


def read_facts(api: EngineClient) -> EngineFacts:
    """Ask the engine (``GET /info``)."""
    info = api.call("GET", "/info")
    options = {str(option).split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()}
    remapped = _REMAPPED_ROOT.match(str(info.get("DockerRootDir", "")))
    return EngineFacts(
        engine=str(info.get("ServerVersion", "unknown")),
        api=str(api.api_version),
        runtime=str(info.get("DefaultRuntime", "unknown")),
        kernel=str(info.get("KernelVersion", platform.release())),
        arch=str(info.get("Architecture", platform.machine())),
        cpus=int(info.get("NCPU", os.cpu_count() or 1)),
        cgroup=int(info.get("CgroupVersion") or cgroups.version()),
        cgroup_driver=str(info.get("CgroupDriver", "unknown")),
        storage=str(info.get("Driver", "unknown")),
        seccomp="seccomp" in options,
        seccomp_sha256=load_profile().sha256,
        apparmor="apparmor" in options,
        selinux="selinux" in options,
        userns="userns" in options,
        rootless="rootless" in options,
        remap_base=int(remapped[1]) if remapped and "userns" in options else 0,
        swap_limit=bool(info.get("SwapLimit")),
        memory_limit=bool(info.get("MemoryLimit")),
        pids_limit=bool(info.get("PidsLimit")),
    )
