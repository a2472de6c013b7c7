"""Decisions over many digests, and attestations by digest among many: ``python -m tests.bench.decision_bench [--fill 10000] [--seconds 10]``.

Real processes (sequencer, witness, api, attester) over a fresh state folder that is filled with real comparisons: each is built by
``reprove.core.statements``, signed with the instance's attester key, logged by the sequencer in batches of 256 and recorded with its verified
proof, as the attester does it. Then, at fixed rates and timed from when each call was due:

* ``GET /v1/attestations?digest=…`` for random digests (the API proves each the first time that it shows it);
* ``POST /v1/decisions`` over ``--artifacts`` digests from the post to the signed and logged answer: first over digests that the attester has not
  verified since its start (cold), then over others that it has (warm). The verdict must be ``allow`` with a log index, or the measurement fails.

Prints one JSON object; times in milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

from reprove.core.canonical import canonical
from reprove.core.digests import AttestationId, Sha256, sha256
from reprove.core.dsse import Envelope
from reprove.core.outcomes import Level, Origin, Outcome
from reprove.core.statements.codec import Timestamp
from reprove.core.statements.common import PredicateType
from reprove.core.statements.comparison import AttestationContext, build_comparison
from reprove.core.statements.parts import Blob, Deployment, EnvironmentRef, IndexRef, Input, Sized, SourceRef
from reprove.core.statements.report import RebuiltFile, Report, ReportRecipe
from reprove.core.statements.resolution import Resolution, ResolvedOriginal, ResolvedSource
from reprove.core.states import RebuildState
from reprove.signers import sign_statement
from service.attester.attest import _columns, _inputs
from service.attester.main import log_trust, open_identity, read_trust
from service.attester.submit import Submitter, record_entry
from service.log.client import LogClient
from service.records import ids, schema, statements, times
from service.records.database import open_database
from tests.bench.openloop import open_loop, percentile
from tests.instance import Instance, make_instance, temporary_home

PROCESSES = ("sequencer", "witness", "api", "attester")
BATCH = 256
LOOK = Timestamp("2026-11-24T10:00:00Z")
INPUTS = tuple(
    Input(
        name=f"tool{n}-1.{n}-py3-none-any.whl", uri=f"https://files.invalid/tool{n}-1.{n}-py3-none-any.whl", sha256=sha256(b"%d" % n), size=9000 + n
    )
    for n in range(4)
)


def context(number: int, operator: str) -> AttestationContext:
    """One reproduced wheel of its own project, with four inputs, as an ordinary rebuild leaves it."""
    wheel, digest = f"project_{number}-1.0-py3-none-any.whl", sha256(b"wheel %d" % number)
    request, rebuild = Blob(sha256(b"request %d" % number)), f"rb-{number}"
    source = SourceRef("sdist", f"https://files.invalid/project_{number}-1.0.tar.gz", sha256(b"source %d" % number))
    index = IndexRef(
        "pypi", canonical=True, uri=f"https://index.invalid/simple/project-{number}/", page=Blob(sha256(b"page %d" % number)), fetched=LOOK
    )
    resolution = Resolution(
        rebuild=rebuild,
        lease=sha256(b"lease"),
        request=request,
        purl=f"pkg:pypi/project-{number}@1.0",
        original=ResolvedOriginal(name=wheel, sha256=digest, size=41_000, uploaded=Timestamp("2026-01-02T00:00:00Z")),
        source=ResolvedSource(kind="sdist", name=f"project_{number}-1.0.tar.gz", uri=source.uri, sha256=source.sha256, size=50_000),
        index=index,
        resolver=Blob(sha256(b"resolver")),
    )
    report = Report(
        rebuild=rebuild,
        attempt=f"at-{number}",
        lease=sha256(b"lease"),
        request=request,
        resolution=AttestationId(sha256(b"resolution %d" % number)),
        outcome=Outcome.REPRODUCED,
        level=Level.BITWISE,
        original=Sized(digest, 41_000),
        rebuilt=RebuiltFile(wheel, digest, 41_000),
        recipe=ReportRecipe(sha256(b"recipe %d" % number), Origin.INFERRED, ("R1", "R15")),
        source=source,
        index=index,
        inputs=INPUTS,
        environment=EnvironmentRef(Blob(sha256(b"lock")), "bookworm-python"),
        arch="amd64",
        sandbox={},
        timings={},
        started=LOOK,
        finished=LOOK,
        worker=Blob(sha256(b"worker")),
        deployment=Deployment.SINGLE_HOST,
    )
    return AttestationContext(
        resolution=resolution,
        resolution_id=report.resolution,
        operator=operator,
        deployment=Deployment.SINGLE_HOST,
        report=report,
        report_id=AttestationId(sha256(b"report %d" % number)),
        worker=report.worker.sha256,
    )


def fill(instance: Instance, count: int) -> list[Sha256]:
    """Log and record ``count`` comparisons; returns the digests of their artifacts."""
    settings = instance.settings
    identity = open_identity(settings)
    log = LogClient(settings.sockets / "sequencer.sock")
    submitter = Submitter(log, log_trust(read_trust(settings), settings.origin), identity.signer.public_key)
    database = open_database(settings)
    digests: list[Sha256] = []
    for start in range(0, count, BATCH):
        contexts = [context(number, identity.operator) for number in range(start, min(count, start + BATCH))]
        envelopes = [sign_statement(identity.signer, build_comparison(each).encode()) for each in contexts]
        entries = submitter.submit(envelopes)
        now = times.now()
        with database.write() as conn:
            for each, envelope, entry in zip(contexts, envelopes, entries, strict=True):
                rebuild = _rebuild(each)
                conn.execute(schema.rebuild.insert().values(**rebuild, created=now, updated=now, finished=now))
                _insert(conn, rebuild["id"], envelope, identity.operator, now)
                record_entry(conn, entry, now)
                digests.append(each.resolution.original.sha256)
    database.close()
    return digests


def _insert(conn: Any, rebuild: str, envelope: Envelope, operator: str, now: Any) -> None:
    statements.insert(
        conn,
        envelope.id,
        envelope.encode(),
        PredicateType.COMPARISON.value,
        rebuild_id=rebuild,
        inputs=_inputs(envelope),
        created=now,
        **_columns(envelope, operator),
    )


def _rebuild(told: AttestationContext) -> dict[str, Any]:
    request = canonical({"purl": told.resolution.purl}).decode()
    return {
        "id": ids.rebuild_id(times.now()),
        "request": request,
        "request_sha256": sha256(request.encode()),
        "purl": told.resolution.purl,
        "state": RebuildState.DONE.value,
        "settled_by": "report",
        "outcome": "reproduced",
        "level": "bitwise",
        "original_sha256": told.resolution.original.sha256,
        "original_file": told.resolution.original.name,
        "original_purl": str(told.purl),
        "visibility": "public",
        "arch": "amd64",
        "priority": 0,
        "seq": 1,
    }


class Client:
    """One connection per thread, as a client with keep-alive has it."""

    def __init__(self, instance: Instance) -> None:
        self._port = instance.settings.port
        self._headers = {"Authorization": f"Bearer {instance.token()}", "Content-Type": "application/json"}
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            self._connections.append(connection)
        connection.request(method, path, body, self._headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._connections:
            connection.close()


def lookups(client: Client, digests: list[Sha256], rate: float, seconds: float) -> list[float]:
    """Attestations by digest."""
    chosen = [random.choice(digests) for _ in range(max(1, int(rate * seconds)))]

    def look(number: int) -> None:
        status, body = client.call("GET", f"/v1/attestations?digest=sha256:{chosen[number]}")
        assert status == 200, body
        assert [row["subject"]["sha256"] for row in body["items"]] == [chosen[number]], body

    return open_loop(rate, len(chosen), look)


def decide(client: Client, questions: list[list[Sha256]], rate: float) -> list[float]:
    """Decisions from post to signed and logged answer."""
    bodies = [json.dumps({"policy": "default", "artifacts": [{"sha256": each} for each in question]}).encode() for question in questions]

    def ask(number: int) -> None:
        status, body = client.call("POST", "/v1/decisions", bodies[number])
        while status == 202:  # no proof within the API's 10 s: the caller asks again, and the time goes on
            time.sleep(0.05)
            status, body = client.call("GET", f"/v1/decisions/{body['id']}")
        assert status in (200, 201), body
        assert body["verdict"] == "allow", json.dumps(body)[:2000]
        assert body["attestation"]["logIndex"] >= 0

    return open_loop(rate, len(bodies), ask)


def measure(
    *, total: int = 10_000, seconds: float = 10, rate: float = 50, artifacts: int = 1000, decisions: int = 8, decision_rate: float = 0.5
) -> dict[str, Any]:
    """Fill a fresh instance and run everything once."""
    load = os.getloadavg()[0]
    with temporary_home() as home:
        instance = make_instance(home, index_url="http://127.0.0.1:9/simple/", fetch_allow=("http://127.0.0.1:9",))
        try:
            instance.start(*PROCESSES)
            _wait(instance)
            began = time.perf_counter()
            digests = fill(instance, total)
            filled = time.perf_counter() - began
            client = Client(instance)
            looked = lookups(client, digests, rate, seconds)
            random.shuffle(digests)
            cold = decide(client, _questions(digests, decisions, artifacts), decision_rate)
            seen = digests[: decisions * artifacts]
            random.shuffle(seen)
            warm = decide(client, _questions(seen, decisions, artifacts), decision_rate)
            client.close()
        finally:
            instance.stop()
    return {
        "attestations": total,
        "filled_per_second": round(total / filled, 1),
        "lookup_rate": rate,
        "lookups": len(looked),
        "lookup_p50_ms": percentile(looked, 50),
        "lookup_p99_ms": percentile(looked, 99),
        "decision_artifacts": artifacts,
        "decision_rate": decision_rate,
        "decisions": len(cold),
        "decision_cold_p50_ms": percentile(cold, 50),
        "decision_cold_p99_ms": percentile(cold, 99),
        "decision_warm_p50_ms": percentile(warm, 50),
        "decision_warm_p99_ms": percentile(warm, 99),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }


def _questions(digests: list[Sha256], count: int, size: int) -> list[list[Sha256]]:
    """``count`` sets of ``size``; they overlap only when there are not enough digests."""
    return [[digests[(start * size + each) % len(digests)] for each in range(size)] for start in range(count)]


def _wait(instance: Instance) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            healthy = instance.call("GET", "/healthz", token=None).status == 200
        except OSError:
            healthy = False
        if healthy and (instance.settings.sockets / "sequencer.sock").exists() and '"ready"' in instance.log("attester"):
            return
        time.sleep(0.1)
    raise AssertionError(instance.logs())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fill", type=int, default=10_000, help="attestations in the log")
    parser.add_argument("--seconds", type=float, default=10, help="of look-ups")
    parser.add_argument("--rate", type=float, default=50, help="look-ups a second")
    parser.add_argument("--artifacts", type=int, default=1000, help="digests of one decision")
    parser.add_argument("--decisions", type=int, default=8, help="decisions, cold and again warm")
    parser.add_argument("--decision-rate", type=float, default=0.5, help="decisions a second")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    figures = measure(
        total=given.fill,
        seconds=given.seconds,
        rate=given.rate,
        artifacts=given.artifacts,
        decisions=given.decisions,
        decision_rate=given.decision_rate,
    )
    text = json.dumps(figures, indent=1)
    print(text)
    if given.out:
        given.out.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
