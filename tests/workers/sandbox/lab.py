"""Short ways to run something hostile in the real sandbox, with small limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workers
from workers import environments
from workers.sandbox import Engine, ImageRef, Limits, Step, StepResult

MIB = 1024**2
SPECS = Path(workers.__file__).resolve().parents[1] / "deploy" / "environments"


def made_environment(cache: Path, name: str = "bookworm-python") -> environments.Environment:
    """The environment ``name``; making it takes 20 s and the package index, finding it nothing."""
    store = environments.EnvironmentStore(cache / "dev")
    return environments.make_environment(store, environments.load_spec(SPECS / f"{name}.yaml"))


@dataclass
class Lab:
    """Runs scripts as steps; ``text`` is what the last one wrote."""

    engine: Engine
    image: ImageRef
    folder: Path
    log: list[bytes] = field(default_factory=list)

    def step(self, *argv: str, limits: dict[str, Any] | None = None, **changed: Any) -> Step:
        values: dict[str, Any] = {"time_s": 20, "memory": 128 * MIB, "disk": 32 * MIB, "pids": 128, "log": MIB, **(limits or {})}
        return Step(image=self.image, argv=argv, limits=Limits(**values), **{"on_log": self.log.append, **changed})

    def run(self, *argv: str, **changed: Any) -> StepResult:
        self.log.clear()
        return self.engine.run(self.step(*argv, **changed))

    def python(self, script: str, **changed: Any) -> StepResult:
        return self.run("python3", "-c", script, **changed)

    def shell(self, script: str, **changed: Any) -> StepResult:
        return self.run("sh", "-c", script, **changed)

    @property
    def text(self) -> str:
        return b"".join(self.log).decode("utf-8", "replace")
