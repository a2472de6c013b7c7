"""What a step of a build is, as values: image, mounts, limits, labels; and what came of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal, NewType

from reprove.core.digests import sha256
from reprove.core.errors import BuilderError

if TYPE_CHECKING:
    from workers.sandbox.volumes import OutputVolume

ImageRef = NewType("ImageRef", str)
"""The engine's id of an image whose layers were checked against a lock, ``sha256:<hex>``."""

LimitName = Literal["time", "memory", "disk", "pids", "log"]
"""Which limit ended a step; the ``limit-exceeded`` cause classes that a sandbox can see."""

UNLEASED = "unleased"
"""Lease label of what belongs to no lease: tests, ``reprove env`` and the doctor."""

BUILD_UID = 1000
"""User and group id of everything that runs in a sandbox."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TARGET = re.compile(r"/[A-Za-z0-9._/-]+\Z")


class SandboxError(BuilderError):
    """The engine or the host did not do its part; the build itself is not to blame, so the attempt may be tried again."""


class EngineUnavailableError(SandboxError):
    """No engine answers, or not within its deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings of one step. Sizes in bytes, ``time_s`` in seconds of wall clock, ``cpus`` in whole processors."""

    time_s: float
    memory: int
    disk: int
    pids: int = 512
    log: int = 64 * 1024**2
    cpus: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __post_init__(self) -> None:
        for name in ("time_s", "memory", "disk", "pids", "log", "cpus"):
            if getattr(self, name) <= 0:
                raise ValueError(f"limit {name} must be above zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Whose a container or volume is. ``lease`` is the lease's token; only its digest ever becomes a label (see :func:`lease_label`)."""

    rebuild: str = ""
    attempt: str = ""
    lease: str = UNLEASED


def lease_label(lease: str) -> str:
    """The label of a lease: the first 32 hex characters of its SHA-256, since labels are shown to whoever may inspect containers."""
    return lease if lease == UNLEASED else sha256(lease.encode())[:32]


@dataclass(frozen=True, slots=True)
class Mount:
    """A file, folder or socket of the host seen at ``target``. Nothing writable is mounted but the step's own volumes."""

    source: Path
    target: str
    read_only: bool = True

    def __post_init__(self) -> None:
        if not _TARGET.match(self.target) or ".." in self.target:
            raise ValueError(f"mount target {self.target!r} is not a plain absolute path")
        if not self.source.is_absolute():
            raise ValueError(f"mount source {self.source} is not absolute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command in one fresh container.

    ``env`` is added to the cleared environment's base (PATH, HOME, TZ, LC_ALL, TMPDIR). ``work_size`` is the size of ``/build`` and ``/tmp``
    together (default: ``limits.disk``); ``output`` appears as ``/out``. ``on_log`` receives raw bytes of standard output and error, at most
    ``limits.log`` of them: text of the build, never evidence. Setting ``cancel`` kills the step.
    """

    image: ImageRef
    argv: tuple[str, ...]
    limits: Limits
    labels: Labels = field(default_factory=Labels)
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: Literal["none"] = "none"
    work_size: int | None = None
    output: OutputVolume | None = None
    umask: str = "022"
    on_log: Callable[[bytes], None] | None = None
    cancel: Event | None = None

    def __post_init__(self) -> None:
        if not self.argv or "=" in self.argv[0] or self.argv[0].startswith("-"):
            raise ValueError("the command must start with a program name without '='")
        for name, value in self.env.items():
            if not _ENV_NAME.match(name) or "\0" in value:
                raise ValueError(f"environment variable {name!r} cannot be set")
        if not re.fullmatch(r"0?[0-7]{3}", self.umask):
            raise ValueError(f"umask {self.umask!r} is not three octal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step ended, from what the host saw only.

    ``exit_code`` is the engine's, 137 after a kill. ``limit`` names the ceiling that ended or spoilt the step, None when none did.
    A step whose child was OOM-killed may exit 0: ``oom_killed`` and ``limit`` decide, not the exit code.
    """

    exit_code: int
    oom_killed: bool
    timed_out: bool
    cancelled: bool
    log_truncated: bool
    log_bytes: int
    seconds: float
    limit: LimitName | None
    facts: Mapping[str, object]

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself, with 0, within every limit."""
        return self.exit_code == 0 and self.limit is None and not self.cancelled
