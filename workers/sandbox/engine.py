"""The container engine as the workers use it: one fresh hardened container per step, killed from outside, removed whatever happens.

All timers are the host's. Every engine call has a deadline, so that a hung engine is an error and never a hung worker.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from workers.sandbox import mounts, profile
from workers.sandbox.cgroups import ForkCounter
from workers.sandbox.client import EngineAnswerError, EngineClient, EngineTimeoutError
from workers.sandbox.facts import EngineFacts, read_facts
from workers.sandbox.holder import holder_volume
from workers.sandbox.logstream import LogReader
from workers.sandbox.reaper import Reaped, reap
from workers.sandbox.values import ImageRef, Labels, LimitName, SandboxError, Step, StepResult
from workers.sandbox.volumes import OutputVolume, build_owner, host_tmpfs, spent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

KILL_SECONDS = 20
"""Deadline from the kill to the engine saying that the container is dead."""
TICK_SECONDS = 0.25
"""How often a running step's counters are read and its cancellation is looked at."""


@dataclass(slots=True)
class _Watch:
    """What was seen while a step ran."""

    timed_out: bool = False
    cancelled: bool = False
    disk_full: bool = False
    forks_refused: int = 0
    folders: list[Path] = field(default_factory=list)


class Engine:
    """One instance's view of an engine. Safe for several threads; each step owns its container and its volumes.

    ``worker`` names the process in labels, so that a restarted worker can reap what its predecessor left and nothing else.
    ``scratch`` is where host volumes are mounted (root only); a short path of the instance's own.
    """

    def __init__(self, client: EngineClient, instance: str, *, worker: str = "", scratch: Path | None = None) -> None:
        self.api = client
        self.instance = instance
        self.worker = worker
        self.scratch = scratch or Path(f"/run/reprove-{instance}/volumes")
        self.holder_image: ImageRef | None = None
        """An image with a shell, for holder containers; set by whoever loads an environment."""
        self._facts: EngineFacts | None = None

    def facts(self) -> EngineFacts:
        """What the engine and its host have and lack; asked once."""
        if self._facts is None:
            self._facts = read_facts(self.api)
        return self._facts

    @contextmanager
    def output_volume(self, size: int, *, labels: Labels | None = None) -> Iterator[OutputVolume]:
        """Give a volume of ``size`` bytes for one step's ``/out``; it survives the container and is gone after the ``with`` block."""
        owner = labels or Labels()
        with ExitStack() as stack:
            if self.mounts_here():
                uid = build_owner(self.facts().remap_base)
                root = stack.enter_context(
                    host_tmpfs(self.scratch, size=size, owner=uid, labels=owner, executable=False, names=("out",)),
                )
                yield OutputVolume("tmpfs", str(root / "out"), size)
            else:
                yield stack.enter_context(holder_volume(self, size=size, labels=owner))

    def mounts_here(self) -> bool:
        """Whether this process may mount; the engine, which is on this host, then sees the mount."""
        return mounts.can_mount()

    def run(self, step: Step) -> StepResult:
        """Run one step to its end, or to the limit that it meets, in a container that is removed before this returns.

        Raises SandboxError or EngineUnavailableError when the engine fails; how the build itself ends is the result.
        A crash anywhere in here leaves a container and a mount that carry labels, for :meth:`reap`.
        """
        work_size = step.limits.disk if step.work_size is None else step.work_size
        with ExitStack() as stack:
            watch = _Watch()
            work: tuple[str, str] | None = None
            if self.mounts_here():
                uid = build_owner(self.facts().remap_base)
                root = stack.enter_context(
                    host_tmpfs(self.scratch, size=work_size, owner=uid, labels=step.labels, executable=True, names=("build", "tmp"))
                )
                work = (str(root / "build"), str(root / "tmp"))
                watch.folders.append(root)
            if step.output is not None and step.output.kind == "tmpfs":
                watch.folders.append(step.output.path)
            labels = self.labels(step.labels)
            config = profile.container_config(step, work=work, work_size=work_size, labels=labels)
            created = self.api.call("POST", "/containers/create", body=config)
            container = str(created["Id"])
            stack.callback(self._remove, container)
            return self._run(step, container, watch, [str(line) for line in created.get("Warnings") or ()])

    def labels(self, labels: Labels) -> dict[str, str]:
        """All labels of something that belongs to ``labels``."""
        return profile.labels_of(self.instance, self.worker, labels)

    def reap(self, live_leases: Collection[str], *, grace_s: float = 30, everyone: bool = False) -> Reaped:
        """Remove this instance's containers, volumes and mounts whose lease is not in ``live_leases`` (lease tokens).

        Only what this worker made, unless ``everyone``; nothing younger than ``grace_s`` seconds, since its lease may be newer than the list.
        """
        return reap(self, frozenset(live_leases), grace_s=grace_s, everyone=everyone)

    def _run(self, step: Step, container: str, watch: _Watch, warnings: list[str]) -> StepResult:
        changed = Event()
        reader = LogReader(self.api.attach(container), step.limits.log, step.on_log, changed)
        try:
            self.api.call("POST", f"/containers/{container}/start")
            started = time.monotonic()
            self._watch(step, container, watch, reader, changed)
            state = self._dead(container)
            seconds = time.monotonic() - started
        finally:
            # on an error the container may still run: it has to die before its log can end
            try:
                if not reader.ended:
                    self._remove(container)
            finally:
                reader.close()
        if reader.error is not None:
            raise SandboxError(f"keeping the log failed: {reader.error}") from reader.error
        oom = bool(state.get("OOMKilled"))
        return StepResult(
            exit_code=int(state["ExitCode"]),
            oom_killed=oom,
            timed_out=watch.timed_out,
            cancelled=watch.cancelled,
            log_truncated=reader.over,
            log_bytes=reader.received,
            seconds=seconds,
            limit=_limit(watch, reader, oom=oom, failed=state["ExitCode"] != 0),
            facts=self._step_facts(step, warnings),
        )

    def _watch(self, step: Step, container: str, watch: _Watch, reader: LogReader, changed: Event) -> None:
        """Return when the container is dead or had to be killed."""
        deadline = time.monotonic() + step.limits.time_s
        forks = ForkCounter(container)
        while not reader.ended:
            forks.sample()
            watch.forks_refused = forks.refused
            watch.disk_full = watch.disk_full or any(spent(folder) for folder in watch.folders)
            left = deadline - time.monotonic()
            watch.timed_out = left <= 0
            watch.cancelled = step.cancel is not None and step.cancel.is_set()
            if watch.timed_out or watch.cancelled or reader.over or reader.error is not None:
                self._kill(container)
                return
            changed.wait(min(TICK_SECONDS, max(left, 0.001)))
        forks.sample()
        watch.forks_refused = forks.refused
        watch.disk_full = watch.disk_full or any(spent(folder) for folder in watch.folders)

    def _kill(self, container: str) -> None:
        """SIGKILL every process of the container, now. ``stop`` would first ask nicely, for as long as the build likes."""
        self._ignoring((404, 409), "POST", f"/containers/{container}/kill", signal="SIGKILL")  # gone, or dead already

    def _dead(self, container: str) -> dict[str, Any]:
        """The container's final State; it is dead when this returns, so nothing rewrites its outputs any more."""
        wait = f"/containers/{container}/wait"
        try:
            self.api.call("POST", wait, timeout=1)
        except EngineTimeoutError:
            # its output ended and it lives: only something odd does that, so it is killed like any other overrun
            self._kill(container)
            self.api.call("POST", wait, timeout=KILL_SECONDS)
        answer = self.api.call("GET", f"/containers/{container}/json")
        state: dict[str, Any] = (answer or {}).get("State") or {}
        if "ExitCode" not in state:
            raise SandboxError(f"the engine does not say how container {container[:12]} ended")
        if state.get("Running"):
            raise SandboxError(f"container {container[:12]} did not die within {KILL_SECONDS} s of its kill")
        return state

    def _remove(self, container: str) -> None:
        self._ignoring((404, 409), "DELETE", f"/containers/{container}", force="1", v="1")  # gone, or its removal is under way

    def _ignoring(self, statuses: tuple[int, ...], method: str, path: str, **query: str) -> None:
        try:
            self.api.call(method, path, query=query)
        except EngineAnswerError as error:
            if error.status not in statuses:
                raise

    def _step_facts(self, step: Step, warnings: list[str]) -> dict[str, object]:
        facts: dict[str, object] = {**self.facts().as_json(), **profile.settings_of(step)}
        if warnings:
            facts["warnings"] = warnings
        return facts


def _limit(watch: _Watch, reader: LogReader, *, oom: bool, failed: bool) -> LimitName | None:
    """Which ceiling decided. An OOM kill counts at any exit code; a full disk or a refused fork only where the step failed."""
    if oom:
        return "memory"
    if reader.over:
        return "log"
    if failed and watch.forks_refused:
        return "pids"
    if watch.timed_out:
        return "time"
    if failed and watch.disk_full:
        return "disk"
    return None
