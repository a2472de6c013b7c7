"""Named places where a process can be made to die, one at each durable step (INTERFACE section 1).

``REPROVE_FAIL_AT=<name>[:n]`` ends the process with status 137 the n-th time (default 1) that it passes the point.
The table is the list of durable steps: a point that no test hits fails the suite, and an unknown name refuses to start.
"""

from __future__ import annotations

import os
import threading

CRASH_POINTS: dict[str, str] = {
    "accept.committed": "api: request, rebuild, outbox and idempotency rows are durable, the 202 is not sent",
    "dispatch.enqueued": "scheduler: RQ has the job, the outbox row is not marked",
    "dispatch.marked": "scheduler: the outbox row is marked",
    "claim.committed": "worker api: the lease is durable, the worker does not have it",
    "resolve.signed": "resolver: the resolution is signed, not sent",
    "resolution.stored": "worker api: the resolution and its attempt's end are durable, not answered",
    "blob.linked": "worker api: a blob is visible under its digest, not answered",
    "rebuild.claimed": "worker: it holds the lease, no container exists",
    "rebuild.built": "worker: the build container is dead, its output collected",
    "report.signed": "worker: the report is signed, not sent",
    "report.stored": "worker api: the report and its attempt's end are durable, not answered",
    "attest.signed": "attester: statements are signed in memory",
    "attest.persisted": "attester: envelopes are durable, not submitted",
    "submit.answered": "attester: the sequencer answered with proofs, nothing is recorded",
    "record.committed": "attester: entry rows and the outcome are durable",
    "decision.persisted": "attester: the decision's envelope is durable, not submitted",
    "decision.recorded": "attester: the decision's entry is durable",
    "log.staged": "sequencer: batch and signed checkpoint are in the transaction, not committed",
    "log.committed": "sequencer: batch and signed checkpoint are durable (the commit point)",
    "log.tiles": "sequencer: tiles and bundles are written and synced",
    "log.witnessed": "sequencer: cosignatures are here, the checkpoint is not published",
    "log.published": "sequencer: the checkpoint is published, staging is not dropped, nobody is answered",
    "witness.persisted": "witness: the new size is durable, the cosignature is not sent",
}

_passes: dict[str, int] = {}
_lock = threading.Lock()


def crash_point(name: str) -> None:
    """Die here if the environment says so; free otherwise."""
    wanted = os.environ.get("REPROVE_FAIL_AT")
    if wanted is None:
        return
    target, _, count = wanted.partition(":")
    if target != name:
        return
    with _lock:
        _passes[name] = _passes.get(name, 0) + 1
        if _passes[name] == int(count or "1"):
            os.write(2, f"dying at crash point {name}\n".encode())
            os._exit(137)


def check_environment() -> None:
    """Refuse a misspelt ``REPROVE_FAIL_AT`` at start: a crash test that never crashes proves nothing."""
    target, _, count = os.environ.get("REPROVE_FAIL_AT", "").partition(":")
    if target and (target not in CRASH_POINTS or not (count or "1").isdigit()):
        raise SystemExit(f"REPROVE_FAIL_AT: unknown crash point {target!r}; `reprove debug crash-points` lists them")
