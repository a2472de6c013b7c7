"""Our own code and tools as read-only mounts: ``reprove`` with its dependencies, the fetch tool, the driver scripts."""

from __future__ import annotations

import sysconfig
from functools import cache
from pathlib import Path

import reprove
import workers
from workers.sandbox.values import Mount

REPROVE = "/opt/reprove"
UV = "/opt/uv/uv"
DRIVERS = "/opt/drivers"

PYTHONPATH = f"{REPROVE}/site:{REPROVE}/code"
"""PYTHONPATH of a step that runs our code."""


def tool_mounts() -> tuple[Mount, ...]:
    """Mounts for a step that runs our own code (infer, compare, fetch) in an environment with this interpreter's Python version."""
    return (*library_mounts(), uv_mount(), driver_mount())


@cache
def library_mounts() -> tuple[Mount, ...]:
    """The ``reprove`` package and the site-packages of the running interpreter; set ``PYTHONPATH`` to :data:`PYTHONPATH`."""
    code = Path(reprove.__file__).resolve().parent
    return (
        Mount(code, f"{REPROVE}/code/reprove"),
        Mount(Path(sysconfig.get_paths()["purelib"]).resolve(), f"{REPROVE}/site"),
    )


@cache
def uv_mount() -> Mount:
    """The uv binary of the running interpreter's environment."""
    import uv

    return Mount(Path(uv.find_uv_bin()).resolve(), UV)


def driver_mount() -> Mount:
    """The scripts that run inside containers."""
    return Mount(Path(workers.__file__).resolve().parent / "drivers", DRIVERS)
