"""One log and its witnesses as real processes on a state folder of their own, and helpers that make envelopes."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from reprove import settings as settings_module
from reprove import signers
from reprove.core import notes
from reprove.core.checkpoints import VerifiedCheckpoint, open_checkpoint
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError
from reprove.core.merkle import leaf_hash, verify_inclusion
from reprove.core.notes import VKey
from reprove.settings import Settings
from service.log import creation
from service.log.client import Added, LogClient
from service.log.fsck import Report, check_folder
from tests.ports import free_port

START_SECONDS = 20.0


class Instance:
    """A state folder with keys, a log and (by default) one witness."""

    def __init__(self, home: Path, *, witness: bool = True, **overrides: object) -> None:
        self.home = home
        self.overrides = overrides
        secrets = home / "secrets"
        secrets.mkdir(parents=True)
        (home / "run").mkdir()
        self.attester = signers.generate(secrets / "attester.key")
        self.log_signer = signers.generate(secrets / "log.key", ed25519_key=True)
        signers.generate(secrets / "witness.key", ed25519_key=True)
        (home / "attester.pem").write_text(self.attester.public_key.pem)
        self.values: dict[str, str] = {
            "log_key": f"file:{secrets}/log.key",
            "witness_key": f"file:{secrets}/witness.key",
            "attester_public": str(home / "attester.pem"),
            "witness_port": str(free_port()),
            "witness_quorum": "1" if witness else "0",
            "separate_users": "false",
            "min_free": "1MiB",
        } | {key: str(value) for key, value in overrides.items()}
        self.log_vkey = notes.parse_vkey(creation.create_log(self.settings))
        self.witness_vkeys: list[VKey] = []
        if witness:
            vkey = notes.parse_vkey(creation.create_witness(self.settings))
            self.witness_vkeys.append(vkey)
            self.values["witnesses"] = f"{vkey} http://127.0.0.1:{self.values['witness_port']}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._made = 0
        # Set to False by a test that damages the log on purpose.
        self.invariant = True

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "REPROVE_HOME": str(self.home)} | {f"REPROVE_{key.upper()}": value for key, value in self.values.items()}

    @property
    def settings(self) -> Settings:
        return settings_module.load(self.environment)

    @property
    def client(self) -> LogClient:
        return LogClient(self.home / "run" / "sequencer.sock")

    def start(self, module: str, *, fail_at: str | None = None, wait: bool = True, umask: int = -1) -> subprocess.Popen[bytes]:
        environment = self.environment | ({"REPROVE_FAIL_AT": fail_at} if fail_at else {})
        with (self.home / "run" / f"{module}.err").open("ab") as errors:
            process = subprocess.Popen([sys.executable, "-m", f"service.log.{module}"], env=environment, stderr=errors, cwd=Path.cwd(), umask=umask)
        self.processes.append(process)
        if wait:
            self.wait_ready(module, process)
        return process

    def wait_ready(self, module: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return
            if module == "witness" and self._listens():
                return
            if module == "main" and self._answers():
                return
            time.sleep(0.02)
        raise AssertionError(f"{module} is not ready: {self.errors(module)}")

    def wait_published(self) -> None:
        """Wait for the first checkpoint, that of the empty log."""
        deadline = time.monotonic() + START_SECONDS
        while self.client.head() is None:
            assert time.monotonic() < deadline, self.errors("main")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", int(self.values["witness_port"]))) == 0

    def _answers(self) -> bool:
        try:
            self.client.head()
        except ProblemError:
            return False
        return True

    def errors(self, module: str) -> str:
        path = self.home / "run" / f"{module}.err"
        return path.read_text() if path.exists() else ""

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(15)

    def end_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(15)

    def envelopes(self, count: int) -> list[Envelope]:
        made = []
        for _ in range(count):
            self._made += 1
            made.append(envelope(self.attester, self._made))
        return made

    def opened(self, note: str) -> VerifiedCheckpoint:
        return open_checkpoint(note, self.log_vkey, self.witness_vkeys, len(self.witness_vkeys))

    def add(self, count: int) -> Added:
        """Log ``count`` new envelopes, check the answer and then the whole log."""
        envelopes = self.envelopes(count)
        added = self.client.add(envelopes)
        self.check(envelopes, added)
        self.fsck()
        return added

    def fsck(self) -> Report:
        report = check_folder(self.home / "log", log=self.log_vkey, witnesses=self.witness_vkeys, quorum=len(self.witness_vkeys))
        assert report.problems == ()
        return report

    def files(self) -> set[str]:
        return {path.relative_to(self.home / "log").as_posix() for path in (self.home / "log").rglob("*") if path.is_file()}

    def check(self, envelopes: Sequence[Envelope], added: Added) -> None:
        """Every entry of an answer verifies under its checkpoint, which the witnesses cosigned."""
        checkpoint = self.opened(added.checkpoint).checkpoint
        assert [entry.id for entry in added.entries] == [one.id for one in envelopes]
        for entry in added.entries:
            verify_inclusion(leaf_hash(entry.leaf), entry.index, checkpoint.size, entry.proof, checkpoint.root)
        if added.before is not None:
            assert self.opened(added.before).checkpoint.size <= min(entry.index for entry in added.entries)


def envelope(signer: signers.Signer, number: int, *, padding: int = 0) -> Envelope:
    payload = b'{"_type":"https://in-toto.io/Statement/v1","n":%d,"padding":"%s"}' % (number, b"x" * padding)
    return signers.sign_statement(signer, payload)


def replace_values(settings: Settings, **values: object) -> Settings:
    return dataclasses.replace(settings, **values)  # type: ignore[arg-type]  # a test's shorthand
