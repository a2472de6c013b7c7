"""What the host's control groups say about a running container. Best effort: where they cannot be read, nothing is claimed."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class ForkCounter:
    """How often the pids limit refused a fork (``pids.events``, cgroup v1 and v2). The file dies with the container, so it is sampled."""

    def __init__(self, container: str) -> None:
        candidates = (
            f"pids/docker/{container}",
            f"pids/system.slice/docker-{container}.scope",
            f"system.slice/docker-{container}.scope",
            f"docker/{container}",
        )
        self._path = next((ROOT / name / "pids.events" for name in candidates if (ROOT / name / "pids.events").exists()), None)
        self.refused = 0

    def sample(self) -> None:
        """Read the counter again; keeps the last value when the group is gone."""
        if self._path is None:
            return
        try:
            words = self._path.read_text().split()
        except OSError:
            return
        if words[:1] == ["max"]:
            self.refused = int(words[1])


def version() -> int:
    """2 where the unified hierarchy holds the controllers, else 1 (hybrid hierarchies are 1)."""
    return 2 if (ROOT / "cgroup.controllers").exists() else 1
