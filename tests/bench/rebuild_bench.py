"""Our own share of a warm rebuild, and artifacts an hour: ``python -m tests.bench.rebuild_bench [--runs 20] [--batch 16]``.

A whole instance with default settings (heartbeat 5 s, lease 15 s) and two workers, a real engine, a simulated index, and one small project whose
backend builds in milliseconds. One rebuild warms everything (environment loaded, inputs stored); then ``--runs`` more, one after the other, each
forced, followed by long poll. Times of one rebuild:

* *total*: from the ``202`` in the client's hands to the comparison's evidence (entry, inclusion proof, cosigned checkpoint) in the client's hands;
* *phases*: what resolver and worker report, by the host's clock; *gaps* between them by the times at which the service recorded them;
* *cycle*: the median of ten container cycles (output volume, create, start, wait, collect, remove) around ``/bin/true`` with the build's own
  environment and limits, half before and half after the runs;
* *build command*: the build phase less the cycle, never below 0: what the build driver took inside its container;
* *overhead*: total less the build command. The container cycle of the build stays in the overhead, as those of inference, fetch and comparison do.

Then ``--batch`` different projects are posted at once and two workers build them: artifacts an hour. Prints one JSON object, seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from reprove.core.statements.common import PredicateType
from tests.instance import REPOSITORY, Instance, make_instance, temporary_home
from tests.sim.index import SimIndex
from tests.sim.packages import Project
from workers import environments, steps
from workers.environments import Environment
from workers.sandbox import Engine, Labels, Limits, connect

CYCLES = 10
ENVIRONMENT = "bookworm-python"
SMALL = {"limit_disk": 256 * 1024**2, "limit_memory": 512 * 1024**2}
DEFAULTS = {"heartbeat_seconds": 5, "lease_seconds": 15, "reconcile_seconds": 5}
GAPS = (("accepted to resolve", "accepted", "resolve+"), ("resolve to claim", "resolve-", "recipe+"), ("report to proof", "report-", "visible"))


def made_environment(cache: Path) -> Environment:
    """The environment, made once and kept between runs."""
    store = environments.EnvironmentStore(cache / "home")
    return environments.make_environment(store, environments.load_spec(REPOSITORY / "deploy" / "environments" / f"{ENVIRONMENT}.yaml"))


def cycles(environment: Environment, count: int) -> list[float]:
    """Seconds of empty container cycles, the way a build step runs."""
    client = connect()
    with tempfile.TemporaryDirectory(prefix="rpv-", dir="/tmp") as folder:
        engine = Engine(client, secrets.token_hex(8), worker="bench", scratch=Path(folder) / "volumes")
        image = environments.ensure_loaded(engine, environment)
        bench = steps.Bench(
            engine=engine, labels=Labels(), outputs=Path(folder) / "out", max_output=1 << 30, cancel=threading.Event(), on_log=lambda _: None
        )
        limits = Limits(time_s=60, memory=SMALL["limit_memory"], disk=SMALL["limit_disk"])
        found = []
        for _ in range(count):
            began = time.perf_counter()
            steps._run(bench, image, ("/bin/true",), (), limits, {}, allow=("result.json",), keep_log=True)
            found.append(time.perf_counter() - began)
    client.close()
    return found


def wait_done(instance: Instance, rebuild: str) -> dict[str, Any]:
    """Follow by long poll, as ``reprove rebuild --wait`` does."""
    query, deadline = "", time.monotonic() + 300
    while time.monotonic() < deadline:
        body = instance.call("GET", f"/v1/rebuilds/{rebuild}{query}").json
        if body["state"] in ("done", "rejected", "cancelled"):
            assert (body.get("outcome"), body.get("level")) == ("reproduced", "bitwise"), body
            return dict(body)
        query = f"?wait=25&after={body['seq']}"
    raise AssertionError(f"{rebuild} did not end\n{instance.logs()}")


def rebuild_once(instance: Instance, purl: str) -> dict[str, Any]:
    """One forced rebuild: total seconds, seconds by phase, gaps."""
    rebuild = instance.post(purl, force=True)
    accepted, began = time.time(), time.perf_counter()
    body = wait_done(instance, rebuild)
    comparison = next(row["id"] for row in body["attestations"] if row["predicateType"] == PredicateType.COMPARISON)
    answer = instance.call("GET", f"/v1/attestations/{comparison}", headers={"Accept": "application/vnd.reprove.evidence+json"})
    assert answer.status == 200, answer.body[:500]
    total, visible = time.perf_counter() - began, time.time()
    phases: dict[str, float] = {}
    moments = {"accepted": accepted, "visible": visible}
    for event in instance.call("GET", f"/v1/rebuilds/{rebuild}/events").json["items"]:
        at = datetime.fromisoformat(event["at"]).timestamp()
        if event["status"] == "started":
            moments.setdefault(f"{event['phase']}+", at)
        else:
            phases[event["phase"]] = phases.get(event["phase"], 0.0) + event["seconds"]
            moments[f"{event['phase']}-"] = at
    gaps = {name: moments[end] - moments[start] for name, start, end in GAPS if start in moments and end in moments}
    return {"total": total, "phases": phases, "gaps": gaps}


@contextmanager
def running(cache: Path, index: SimIndex) -> Iterator[Instance]:
    """A whole instance over the kept environment."""
    with temporary_home() as home:
        instance = make_instance(home, index_url=index.url, fetch_allow=index.allow, workers=2, **SMALL, **DEFAULTS)
        (home / "environments").rmdir()
        (home / "environments").symlink_to(cache / "home" / "environments")
        try:
            instance.start()
            instance.ready(60)
            yield instance
        finally:
            instance.stop()


def hourly(instance: Instance, index: SimIndex, count: int) -> float:
    """Artifacts an hour: ``count`` different projects posted at once."""
    purls = [Project(f"batch{number}").publish(index) for number in range(count)]
    began = time.perf_counter()
    for rebuild in [instance.post(purl) for purl in purls]:
        wait_done(instance, rebuild)
    return count * 3600 / (time.perf_counter() - began)


def measure(cache: Path, *, runs: int = 20, batch: int = 16) -> dict[str, Any]:
    """Everything once."""
    load = os.getloadavg()[0]
    environment = made_environment(cache)
    with SimIndex() as index, running(cache, index) as instance:
        purl = Project("warm").publish(index)
        rebuild_once(instance, purl)
        cycle = cycles(environment, CYCLES // 2)
        rows = [rebuild_once(instance, purl) for _ in range(runs)]
        cycle += cycles(environment, CYCLES - CYCLES // 2)
        rate = hourly(instance, index, batch) if batch else 0.0
    middle = statistics.median(cycle)
    for row in rows:
        row["command"] = max(0.0, row["phases"].get("build", 0.0) - middle)
        row["overhead"] = row["total"] - row["command"]
    overheads = sorted(row["overhead"] for row in rows)
    return {
        "runs": runs,
        "overhead_median_s": _round(statistics.median(overheads)),
        "overhead_best_s": _round(overheads[0]),
        "overhead_worst_s": _round(overheads[-1]),
        "total_median_s": _median(rows, "total"),
        "build_command_median_s": _median(rows, "command"),
        "container_cycle_median_s": _round(middle),
        "phases_median_s": _medians([row["phases"] for row in rows]),
        "gaps_median_s": _medians([row["gaps"] for row in rows]),
        "artifacts_per_hour_2_workers": round(rate),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }


def _median(rows: list[dict[str, Any]], name: str) -> float:
    return _round(statistics.median(row[name] for row in rows))


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    # the last event of an attempt is lost when its report ended the lease first: such a row says nothing of that phase
    return {name: _round(statistics.median(row[name] for row in rows if name in row)) for name in names}


def _round(seconds: float) -> float:
    return round(seconds, 3)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="warm rebuilds, one after the other")
    parser.add_argument("--batch", type=int, default=16, help="projects posted at once for artifacts an hour; 0 leaves it out")
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("REPROVE_TEST_CACHE", Path.home() / ".cache" / "reprove-tests")))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    text = json.dumps(measure(given.cache, runs=given.runs, batch=given.batch), indent=1)
    print(text)
    if given.out:
        given.out.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
