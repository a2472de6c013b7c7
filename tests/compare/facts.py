"""Hosts, users, folders and times of builds, drawn at random, and where they are put."""

from __future__ import annotations

import random

from tests.compare.builds import NPM, SDIST, Spec

TARS = (SDIST, NPM)
HOSTS = ("buildd-3", "runner-x7f2", "ip-10-0-3-17", "fv-az563-21", "lapwing", "ci-node-4")
USERS = ("alice", "runner", "jenkins", "bob", "circleci", "root")
FOLDERS = (
    "/build/demo-1.0",
    "/tmp/pip-req-build-{0}",
    "/home/{1}/src/demo",
    "/home/runner/work/demo/demo",
    "/builds/group/demo",
    "/root/work/demo",
    "/project",
)


def folders(rng: random.Random) -> tuple[str, str]:
    """Two folders that somebody builds in."""
    made = [each.format("".join(rng.choices("abcdefgh_0123456789", k=8)), rng.choice(USERS)) for each in rng.sample(FOLDERS, 2)]
    return made[0], made[1]


def dates(rng: random.Random) -> tuple[float, float]:
    first = rng.randrange(1_500_000_000, 1_700_000_000)
    return first, first + rng.randrange(90_000, 90_000_000)


def both(old: Spec, new: Spec, path: str, left: bytes, right: bytes) -> None:
    old.files[path], new.files[path] = left, right
