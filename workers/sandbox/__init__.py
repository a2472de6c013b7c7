"""The sandbox: one fresh, hardened container per step, its limits, its output, its reaper (DESIGN section 8)."""

from workers.sandbox.client import EngineClient, connect
from workers.sandbox.engine import Engine
from workers.sandbox.output import Collected, OutputRefusedError, collect
from workers.sandbox.tools import PYTHONPATH, driver_mount, library_mounts, tool_mounts, uv_mount
from workers.sandbox.values import (
    EngineUnavailableError,
    ImageRef,
    Labels,
    Limits,
    Mount,
    SandboxError,
    Step,
    StepResult,
)
from workers.sandbox.volumes import OutputVolume

__all__ = [
    "PYTHONPATH",
    "Collected",
    "Engine",
    "EngineClient",
    "EngineUnavailableError",
    "ImageRef",
    "Labels",
    "Limits",
    "Mount",
    "OutputRefusedError",
    "OutputVolume",
    "SandboxError",
    "Step",
    "StepResult",
    "collect",
    "connect",
    "driver_mount",
    "library_mounts",
    "tool_mounts",
    "uv_mount",
]
