"""Accepted requests per second over HTTP while a worker heartbeats and the log appends: ``python -m tests.bench.accept_bench [--seconds 10]``.

Real processes (api, worker api, scheduler, redis, sequencer, witness) in a temporary state folder; clients in two processes of their own, so that
their interpreter lock is not what is measured. Prints one JSON object; goal: at least 300/s with 8 clients, p99 at most 100 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from reprove import signers
from reprove.core.keys import from_pem
from service.log.client import LogClient
from service.records.database import open_database
from tests.instance import Instance, make_instance, temporary_home

PROCESSES = ("redis", "sequencer", "witness", "api", "workerapi", "scheduler")


def client(port: int, token: str, prefix: str, go: Event, seconds: float, latencies: list[float], failures: list[str]) -> None:
    """Post distinct requests, one after the other, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    go.wait()
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        body = json.dumps({"purl": f"pkg:pypi/demo-{prefix}@1.{number}"})
        start = time.perf_counter()
        connection.request("POST", "/v1/requests", body, headers | {"Idempotency-Key": f"{prefix}-{number}"})
        answer = connection.getresponse()
        data = answer.read()
        latencies.append(time.perf_counter() - start)
        if answer.status != 202:
            failures.append(f"{answer.status} {data[:200]!r}")
        number += 1
    connection.close()


def clients(port: int, token: str, names: list[str], go: Event, seconds: float, results: Any) -> None:
    """One process's share of the clients."""
    latencies: list[float] = []
    failures: list[str] = []
    threads = [threading.Thread(target=client, args=(port, token, name, go, seconds, latencies, failures)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((latencies, failures))


def heartbeats(instance: Instance, stop: Event, beats: list[float]) -> None:
    """A worker that holds a lease and beats five times a second."""
    rebuild = instance.post("pkg:pypi/heartbeat@1.0")
    key = from_pem((instance.home / "secrets" / "resolver.pub").read_text()).fingerprint
    headers = {"Authorization": f"Bearer {instance.token('resolver')}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", instance.settings.worker_api_port, timeout=30)
    attempt = instance.call("GET", f"/v1/rebuilds/{rebuild}").json["attempts"][0]["id"]
    connection.request("POST", "/w/v1/claims", json.dumps({"attempt": attempt, "worker": key}), headers)
    lease = json.loads(connection.getresponse().read())["lease"]
    event = json.dumps({"events": [{"phase": "resolve", "status": "started"}]})
    while not stop.is_set():
        start = time.perf_counter()
        connection.request("POST", f"/w/v1/leases/{lease}/heartbeat", event, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        beats.append(time.perf_counter() - start)
        stop.wait(0.2)
    connection.close()


def appends(instance: Instance, stop: Event, added: list[int]) -> None:
    """The log takes twenty envelopes a second."""
    signer = signers.open_signer(instance.settings.attester_key)
    log = LogClient(instance.settings.sockets / "sequencer.sock")
    number = 0
    while not stop.is_set():
        batch = [signers.sign_statement(signer, json.dumps({"n": number + each}).encode()) for each in range(4)]
        added.append(len(log.add(batch).entries))
        number += 4
        stop.wait(0.2)


def measure(seconds: float, count: int) -> dict[str, Any]:
    """Run everything once."""
    with temporary_home() as home:
        instance = make_instance(home, index_url="http://127.0.0.1:9/simple/", fetch_allow=("http://127.0.0.1:9",), lease_seconds=60)
        try:
            instance.start(*PROCESSES)
            _wait(instance)
            return _measure(instance, seconds, count)
        finally:
            instance.stop()


def _measure(instance: Instance, seconds: float, count: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    go, stop, results = context.Event(), context.Event(), context.Queue()
    beats: list[float] = []
    added: list[int] = []
    background = [threading.Thread(target=heartbeats, args=(instance, stop, beats)), threading.Thread(target=appends, args=(instance, stop, added))]
    names = [f"c{number}" for number in range(count)]
    share = [
        context.Process(target=clients, args=(instance.settings.port, instance.token(), part, go, seconds, results))
        for part in (names[::2], names[1::2])
    ]
    for each in (*background, *share):
        each.start()
    time.sleep(2)
    began = len(added), len(beats)
    go.set()
    found = [results.get(timeout=seconds + 60) for _ in share]
    latencies = sorted(latency for part, _ in found for latency in part)
    failures = [failure for _, part in found for failure in part]
    stop.set()
    for each in (*background, *share):
        each.join()
    database = open_database(instance.settings)
    with database.read() as conn:
        durable = conn.exec_driver_sql("SELECT count(*) FROM request WHERE body LIKE '%demo-c%'").scalar()
    database.close()
    assert durable == len(latencies) - len(failures), (durable, len(latencies), failures[:3])
    return {
        "clients": count,
        "seconds": seconds,
        "accepted_per_second": round(len(latencies) / seconds, 1),
        "p50_ms": _percentile(latencies, 0.5),
        "p99_ms": _percentile(latencies, 0.99),
        "failures": failures[:5],
        "heartbeats": len(beats) - began[1],
        "heartbeat_p99_ms": _percentile(sorted(beats), 0.99),
        "log_entries": sum(added[began[0] :]),
        "load": round(os.getloadavg()[0], 1),
    }


def _percentile(ordered: list[float], part: float) -> float:
    return round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1) if ordered else 0.0


def _wait(instance: Instance) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if instance.call("GET", "/healthz", token=None).status == 200 and (instance.settings.sockets / "sequencer.sock").exists():
                time.sleep(0.5)
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(instance.logs())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments.seconds, arguments.clients), indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
