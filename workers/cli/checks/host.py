"""The engine, what it can enforce, environments, and a container that tries it out."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator

from reprove.core.errors import ReproveError
from reprove.settings import Settings
from workers import environments
from workers.cli.checks import Row, fail, ok, warn
from workers.sandbox import Engine, EngineUnavailableError, Limits, SandboxError, Step, connect
from workers.sandbox.facts import EngineFacts

GIB = 1024**3
UNUSED_DAYS = 30
CORE_ENVIRONMENT = "bookworm-python"
"""Inference and comparison run in it, so nothing ends without it."""
PROBE = """
import json, os, socket
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def refused(call):
    try: call()
    except OSError: return True
    return False
print(json.dumps({
    "capabilities": int(status["CapBnd"], 16) == 0,
    "no new privileges": status["NoNewPrivs"] == "1",
    "seccomp": status["Seccomp"] == "2",
    "user 1000": os.getuid() == 1000,
    "no network": socket.if_nameindex() == [(1, "lo")],
    "read-only root": refused(lambda: open("/usr/x", "w")),
    "bounded disk": os.statvfs("/build").f_blocks * os.statvfs("/build").f_frsize <= 1 << 24,
}))
"""


def check_engine(settings: Settings) -> Iterator[Row]:
    """Look at the engine and run one step in it."""
    try:
        client = connect()
    except EngineUnavailableError as error:
        yield fail("engine", str(error), "start a container engine (deploy/quickstart does), or set DOCKER_HOST to its unix:// socket")
        return
    try:
        engine = Engine(client, _instance(settings), worker="doctor")
        facts = engine.facts()
        yield ok("engine", f"{facts.engine}, API {facts.api}, {facts.runtime}, {facts.storage}, cgroup v{facts.cgroup}, kernel {facts.kernel}")
        yield from _enforcement(facts, engine)
        yield from _probe(engine, settings)
    except SandboxError as error:
        yield fail("engine", str(error), "see the engine's own log; restarting it loses no request")
    finally:
        client.close()


def check_environments(settings: Settings) -> Iterator[Row]:
    """Look at which environments are made."""
    store = environments.EnvironmentStore(settings.home)
    made = [name for name in store.names() if _made(settings, name)]
    if CORE_ENVIRONMENT not in made:
        yield fail("environments", f"{CORE_ENVIRONMENT} is not made: no rebuild can start", f"reprove env make {CORE_ENVIRONMENT}")
    if made:
        total = sum(store.archive(found.lock_sha256).stat().st_size for name in made if (found := store.find(name)))
        yield ok("environments", f"{', '.join(made)} ({total / GIB:.1f} GiB)")


def check_disk(settings: Settings) -> Iterator[Row]:
    """Compare free space with the floor under which new requests are refused."""
    home = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(home).free
    if free >= settings.min_free:
        yield ok("disk", f"{free / GIB:.1f} GiB free at {home}, floor {settings.min_free / GIB:.1f} GiB")
        return
    remedy = "free space, or give REPROVE_HOME a larger disk" + _unused(settings)
    yield fail("disk", f"{free / GIB:.1f} GiB free, floor {settings.min_free / GIB:.1f} GiB: new requests get 507", remedy)


def check_memory(settings: Settings) -> Iterator[Row]:
    """Compare the machine's memory with what the workers may use at once."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # a build's temporary files and its output may each grow to the disk limit, and lie in memory
    wanted = settings.workers * (settings.limit_memory + 2 * settings.limit_disk)
    text = f"{total / GIB:.1f} GiB; {settings.workers} worker{'s' * (settings.workers > 1)} may use {wanted / GIB:.1f} GiB, temporary files included"
    if wanted > total:
        yield warn("memory", text, "lower REPROVE_LIMIT_MEMORY or REPROVE_LIMIT_DISK, or run fewer workers")
    else:
        yield ok("memory", text)


def _enforcement(facts: EngineFacts, engine: Engine) -> Iterator[Row]:
    if facts.seccomp:
        yield ok("seccomp", f"own allow-list sha256:{facts.seccomp_sha256[:12]}…")
    else:
        yield fail("seccomp", "the engine cannot filter system calls", "use a kernel with CONFIG_SECCOMP_FILTER and an engine built with it")
    for name, present in (("memory limit", facts.memory_limit), ("pids limit", facts.pids_limit)):
        if not present:
            yield fail(name, "not enforced: one build could take the whole machine", "enable the memory and pids controllers (cgroup v2 has both)")
    if not facts.swap_limit:
        yield warn("swap limit", "not enforced: a build may swap beyond its memory", "boot with swapaccount=1, or switch swap off")
    if not (facts.userns or facts.rootless):
        remedy = 'set "userns-remap": "default" in the engine\'s daemon.json'
        yield warn("user namespaces", "none: builds run as uid 1000 of the host", remedy)
    if not (facts.apparmor or facts.selinux):
        yield warn("AppArmor", "neither it nor SELinux in this kernel: seccomp, capabilities and namespaces stand alone")
    if facts.cgroup != 2:
        yield warn("cgroup", "version 1: limits hold, but rootless engines cannot use them", "boot with systemd.unified_cgroup_hierarchy=1")
    if not engine.mounts_here():
        yield warn("volumes", "no right to mount: outputs go through engine volumes, which is slower", "run the rebuild worker as root")


def _probe(engine: Engine, settings: Settings) -> Iterator[Row]:
    """Run one hardened step and compare what it sees with what it must see."""
    try:
        found = environments.find(settings.home, CORE_ENVIRONMENT)
        if found is None:
            return
        image = environments.ensure_loaded(engine, found)
        said: list[bytes] = []
        limits = Limits(time_s=30, memory=128 * 1024**2, disk=16 * 1024**2, pids=32, log=65536, cpus=1)
        started = time.monotonic()
        result = engine.run(Step(image=image, argv=("python3", "-c", PROBE), limits=limits, on_log=said.append))
        took = time.monotonic() - started
        seen = json.loads(b"".join(said)) if result.ok else {}
    except (ReproveError, ValueError) as error:
        yield fail("sandbox", f"a trial step failed: {error}", "reprove env remove, then reprove env make, if the environment is to blame")
        return
    missing = [name for name, held in seen.items() if held is not True]
    if not seen or missing:
        why = ", ".join(missing) if missing else f"it ended with exit code {result.exit_code}"
        yield fail("sandbox", f"a trial step is not confined as it must be: {why}", "do not run rebuilds on this engine")
    else:
        yield ok("sandbox", f"a trial step was confined ({', '.join(seen)}), {took:.1f} s")


def _instance(settings: Settings) -> str:
    try:
        return (settings.home / "instance").read_text().strip()
    except OSError:
        return "doctor"


def _made(settings: Settings, name: str) -> bool:
    try:
        return environments.find(settings.home, name) is not None
    except ReproveError:
        return False


def _unused(settings: Settings) -> str:
    """Say what environments could be given back."""
    store = environments.EnvironmentStore(settings.home)
    old = time.time() - UNUSED_DAYS * 86400
    freed = 0
    count = 0
    for name in store.names():
        found = store.find(name) if _made(settings, name) else None
        if found is not None and store.used(found) < old:
            count += 1
            freed += found.archive.stat().st_size
    if not count:
        return ""
    return f"; reprove env list --unused, reprove env remove NAME ({count} unused for {UNUSED_DAYS} days, {freed / GIB:.1f} GiB)"
