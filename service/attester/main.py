"""The attester's process: ``python -m service.attester.main``. It refuses to start without its key, its lists and its trust file.

SIGTERM ends it after the step it is in: a step is bounded by the sequencer's own time limit, and any crash between steps is repeated safely.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
from pathlib import Path

import structlog

from reprove import crashpoints, logs, settings
from reprove.core import trust
from reprove.core.errors import OwnError, ProblemError, ReproveError
from reprove.core.statements.parts import Deployment
from reprove.settings import Settings
from reprove.signers import open_signer
from service.attester.attest import Attestation, Identity
from service.attester.deciding import Decisions
from service.attester.enrolment import Enrolment
from service.attester.rebuilding import Rebuilds
from service.attester.stored import Stored
from service.attester.submit import LogTrust, Submitter
from service.gate.opinions import Opinions
from service.gate.policies import PolicyFolder
from service.log.client import LogClient
from service.records.blobstore import BlobStore
from service.records.database import Database, open_database

POLL_SECONDS = 0.05
"""How often SQL is asked for work: an indexed query of a fraction of a millisecond."""
IDLE_SECONDS = 0.1
"""How often after a while without work."""
FAULT_SECONDS = 1.0
DRAIN_SECONDS = 9.0
log = structlog.get_logger()


def open_identity(config: Settings) -> Identity:
    """Open the signing key and check that it is the public key that the sequencer was told. Raises OwnError with one line."""
    if not config.attester_key:
        raise OwnError("setting attester_key is missing: run `reprove init`")
    public = Path(config.attester_public) if config.attester_public else None
    signer = open_signer(config.attester_key, public_pem=public)
    if signer.public_key.is_ed25519:
        raise OwnError("the attester's key must be ECDSA P-256: stock verifiers accept nothing else")
    return Identity(config.operator, Deployment(config.deployment), signer)


def read_trust(config: Settings) -> trust.TrustFile:
    """Read the instance's own trust file: whose logs, witnesses and operators this attester believes. Raises OwnError."""
    path = config.home / "trust.json"
    try:
        return trust.parse_trust(path.read_bytes())
    except OSError as error:
        raise OwnError(f"{path}: {error.strerror}: run `reprove init`") from error
    except ProblemError as error:
        raise OwnError(f"{path}: {error.problem.detail}") from error


def log_trust(believed: trust.TrustFile, origin: str) -> LogTrust:
    """The keys of this instance's own log. Raises OwnError when the trust file has no such log."""
    for row in believed.logs:
        if row.origin == origin or (not origin and len(believed.logs) == 1):
            return LogTrust(row.vkey, believed.witnesses, believed.quorum)
    raise OwnError(f"trust.json has no log of origin {origin!r}")


class Attester:
    """Everything that the process does, one step at a time."""

    def __init__(self, config: Settings, database: Database) -> None:
        identity = open_identity(config)
        believed = read_trust(config)
        known = believed.attester(identity.signer.public_key)
        if known is None or known[0].name != config.operator:
            # What it signed would count in no decision, its own included.
            raise OwnError(f"trust.json does not name the attester's key for operator {config.operator}: add it, or use the key that it names")
        stored = Stored(BlobStore(config.home / "blobs"))
        enrolment = Enrolment(config.home / "enrolled.json")
        enrolment.keys()
        keys = log_trust(believed, config.origin)
        submitter = Submitter(LogClient(config.sockets / "sequencer.sock"), keys, identity.signer.public_key)
        self._rebuilds = Rebuilds(database, Attestation(database, identity, enrolment, stored), submitter)
        folder = config.home / "policies"
        opinions = Opinions(believed, keys)
        self._decisions = Decisions(database, identity, submitter, trust=keys, opinions=opinions, policies=lambda: PolicyFolder(folder))

    def step(self) -> int:
        """Do one round of all work; returns how much was done."""
        return self._rebuilds.round() + self._decisions.round()

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop. A fault of one step is logged and the next one tries again: nothing is lost, everything is in SQL."""
        idle = 0
        while not stop.is_set():
            try:
                done = self.step()
            except ReproveError as error:
                log.error("a step failed", alarm=True, reason=str(error))  # noqa: TRY400  # the reason is one line on purpose
                stop.wait(FAULT_SECONDS)
                continue
            idle = 0 if done else idle + 1
            stop.wait(0 if done else POLL_SECONDS if idle < 200 else IDLE_SECONDS)


def main() -> int:
    """Start, run, drain. Exit code 0 after SIGTERM, 1 with one line when the state is missing or foreign."""
    try:
        crashpoints.check_environment()
        config = settings.load()
        logs.configure("attester", config.log_level)
        database = open_database(config)
        attester = Attester(config, database)
    except ReproveError as error:
        print(f"attester: {error}", file=sys.stderr)  # noqa: T201  # one clear line, before or besides the logs
        return 1
    stop = threading.Event()

    def ask_to_stop(_: int, __: types.FrameType | None) -> None:
        stop.set()
        # A sequencer that hangs may hold a step for longer than a supervisor waits; ending in the middle of one is as safe as a crash.
        limit = threading.Timer(DRAIN_SECONDS, os._exit, (0,))
        limit.daemon = True
        limit.start()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    log.info("ready")
    attester.run(stop)
    database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
