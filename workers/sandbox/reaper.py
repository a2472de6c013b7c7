"""Removes what dead leases left behind: containers, engine volumes and host mounts of this instance, and of no other."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workers.sandbox import volumes
from workers.sandbox.client import EngineAnswerError
from workers.sandbox.profile import LABEL
from workers.sandbox.values import UNLEASED, lease_label

if TYPE_CHECKING:
    from workers.sandbox.engine import Engine


@dataclass(slots=True)
class Reaped:
    """What was removed, by name."""

    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.containers or self.volumes or self.mounts)


def reap(engine: Engine, live: frozenset[str], *, grace_s: float, everyone: bool) -> Reaped:
    """Do one round. The engine filters by instance before anything of ours is looked at; containers go before what they hold."""
    alive = {lease_label(lease) for lease in live}
    filters = [f"{LABEL}.instance={engine.instance}"]
    if not everyone:
        filters.append(f"{LABEL}.worker={engine.worker}")
    done = Reaped()
    newest = time.time() - grace_s
    query = {"filters": json.dumps({"label": filters})}
    for row in engine.api.call("GET", "/containers/json", query={"all": "1", **query}):
        if row["Labels"].get(f"{LABEL}.lease") not in alive and row["Created"] <= newest and _remove_container(engine, row["Id"]):
            done.containers.append(row["Id"][:12])
    for row in engine.api.call("GET", "/volumes", query=query).get("Volumes") or ():
        if (row.get("Labels") or {}).get(f"{LABEL}.lease") not in alive and _created(row) <= newest and _remove_volume(engine, row["Name"]):
            done.volumes.append(row["Name"])
    if engine.mounts_here():
        done.mounts.extend(_mounts(engine.scratch, alive, newest, everyone=everyone))
    return done


def _mounts(scratch: Path, alive: set[str], newest: float, *, everyone: bool) -> list[str]:
    """Drop dead mount points: of processes that are gone, and of dead leases where this process (or ``everyone``) may judge."""
    removed = []
    for folder in sorted(scratch.glob("*")):
        lease, _, rest = folder.name.partition(".")
        pid = rest.partition(".")[0]
        if lease in alive or not pid.isdigit():
            continue
        orphan = not _alive(int(pid))
        if orphan or (lease != UNLEASED and (everyone or int(pid) == os.getpid()) and _changed(folder) <= newest):
            volumes.drop(folder)
            removed.append(folder.name)
    return removed


def _alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and was not waited for yet (a zombie) holds nothing any more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def _changed(folder: Path) -> float:
    """When a mount was made, Unix seconds; 0 when it is gone already."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0


def _created(row: dict[str, str]) -> float:
    """When an engine volume was made, Unix seconds; 0 when it does not say."""
    text = row.get("CreatedAt", "")
    try:
        return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0


def _remove_container(engine: Engine, container: str) -> bool:
    return _remove(engine, f"/containers/{container}", {"force": "1", "v": "1"})


def _remove_volume(engine: Engine, name: str) -> bool:
    return _remove(engine, f"/volumes/{name}", {"force": "1"})


def _remove(engine: Engine, path: str, query: dict[str, str]) -> bool:
    try:
        engine.api.call("DELETE", path, query=query)
    except EngineAnswerError as error:
        if error.status not in (404, 409):  # gone, or its owner removes it at this moment
            raise
        return False
    return True
