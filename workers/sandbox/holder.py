"""An output volume without root on the host: the engine mounts a tmpfs volume, and an idle container keeps it mounted after the build died."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.sandbox import profile
from workers.sandbox.client import EngineAnswerError
from workers.sandbox.values import BUILD_UID, Labels, Limits, SandboxError, Step
from workers.sandbox.volumes import OutputVolume, inodes_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.sandbox.engine import Engine


@contextmanager
def holder_volume(engine: Engine, *, size: int, labels: Labels) -> Iterator[OutputVolume]:
    """Make the volume and its holder, and take both away at the end. A crash leaves them, labelled, to the reaper."""
    if engine.holder_image is None:
        raise SandboxError("an output volume without root needs a loaded environment first (its holder runs in it)")
    name = f"reprove-{engine.instance}-{secrets.token_hex(6)}"
    options = f"size={size},nr_inodes={inodes_for(size)},nosuid,nodev,noexec,uid={BUILD_UID},gid={BUILD_UID},mode=0755"
    owner = engine.labels(labels)
    holder = ""
    try:
        volume = {"Name": name, "Driver": "local", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": options}, "Labels": owner}
        engine.api.call("POST", "/volumes/create", body=volume)
        held = Step(
            image=engine.holder_image,
            argv=("sleep", "infinity"),
            limits=Limits(time_s=1, memory=64 * 1024**2, disk=1024**2, pids=16, log=1, cpus=1),
            output=OutputVolume("holder", name, size),
        )
        config = profile.container_config(held, work=None, work_size=1024**2, labels=owner)
        holder = str(engine.api.call("POST", "/containers/create", body=config)["Id"])
        engine.api.call("POST", f"/containers/{holder}/start")
        yield OutputVolume("holder", name, size, holder)
    finally:
        if holder:
            _remove(engine, f"/containers/{holder}")
        _remove(engine, f"/volumes/{name}")


def _remove(engine: Engine, path: str) -> None:
    try:
        engine.api.call("DELETE", path, query={"force": "1", "v": "1"} if "containers" in path else {"force": "1"})
    except EngineAnswerError as error:
        if error.status != 404:
            raise
