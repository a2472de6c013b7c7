"""An attester with real rows, blobs and keys, and a log in memory. Each part of a story can be changed before it is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from reprove.core import dsse
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.dsse import Envelope
from reprove.core.outcomes import Level, Origin, Outcome
from reprove.core.statements import report as reports
from reprove.core.statements import resolution as resolutions
from reprove.core.statements.codec import Timestamp
from reprove.core.statements.parts import Blob, Deployment, EnvironmentRef, IndexRef, Sized, SourceRef
from reprove.core.statements.report import RebuiltFile, Report, ReportRecipe
from reprove.core.statements.resolution import Resolution, ResolvedOriginal, ResolvedSource
from reprove.core.states import AttemptState, RebuildState
from reprove.core.trust import Operator, TrustedKey, TrustedLog, TrustFile
from reprove.settings import Settings
from reprove.signers import FileSigner, sign_statement
from service.attester.attest import Attestation, Identity
from service.attester.deciding import Decisions
from service.attester.enrolment import Enrolment
from service.attester.rebuilding import Rebuilds
from service.attester.stored import Stored
from service.attester.submit import LogTrust, Submitter
from service.gate.opinions import Opinions
from service.gate.policies import PolicyFolder
from service.records import decisions, ids, principals, rebuilds, statements, times
from service.records import schema as tables
from service.records.blobstore import BlobStore, open_store
from service.records.database import Database, open_database
from service.records.decisions import DecisionRow
from service.records.prepare import prepare_database
from service.records.principals import Principal
from service.records.statements import StatementRow
from tests.sim.log import MemoryLog

WHEEL = "demo-1.0-py3-none-any.whl"
PURL = "pkg:pypi/demo@1.0"
OPERATOR = "https://operator.invalid"
LOOK = Timestamp("2026-11-24T10:00:00Z")


def new_key() -> FileSigner:
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


@dataclass
class Story:
    """One rebuild as resolver and worker tell it; change anything, then :meth:`World.tell` it."""

    resolution: Resolution
    report: Report | None
    request: dict[str, Any]
    resolver: FileSigner
    worker: FileSigner
    rebuild_id: str
    resolve_attempt: dict[str, Any] = field(default_factory=dict)
    attempt: dict[str, Any] = field(default_factory=dict)
    rebuild: dict[str, Any] = field(default_factory=dict)
    report_row: dict[str, Any] = field(default_factory=dict)
    original_name: str = WHEEL
    members: dict[str, Any] = field(default_factory=dict)
    """Members of the report as it is signed that no honest worker would write; None removes one."""


class World:
    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "instance").write_text("0123456789abcdef\n")
        (home / "policies").mkdir()
        self.settings = Settings(home=home)
        prepare_database(self.settings)
        self.database: Database = open_database(self.settings)
        self.blobs: BlobStore = open_store(home)
        self.attester, self.worker, self.resolver = new_key(), new_key(), new_key()
        self.enrolled: list[dict[str, str]] = []
        self.enroll("worker-1", "work", self.worker)
        self.enroll("resolver", "resolve", self.resolver)
        self.log = MemoryLog(self.attester.public_key)
        self.identity = Identity(OPERATOR, Deployment.SINGLE_HOST, self.attester)
        self.principal: Principal | None = None
        self.restart()

    def restart(self) -> None:
        """A new process over the same state."""
        self.trust = LogTrust(self.log.vkey, (self.log.witness_vkey,), 1)
        self.submitter = Submitter(self.log, self.trust, self.attester.public_key)
        self.attestation = Attestation(self.database, self.identity, Enrolment(self.home / "enrolled.json"), Stored(self.blobs))
        self.rebuilds = Rebuilds(self.database, self.attestation, self.submitter)
        self.decisions = Decisions(
            self.database,
            self.identity,
            self.submitter,
            trust=self.trust,
            opinions=Opinions(self.trust_file(), self.trust),
            policies=lambda: PolicyFolder(self.home / "policies"),
        )

    def trust_file(self) -> TrustFile:
        operator = Operator(OPERATOR, (TrustedKey(self.attester.public_key, 0),))
        return TrustFile((TrustedLog(self.log.vkey, "https://log.reprove.invalid"),), (self.log.witness_vkey,), 1, (operator,))

    def policy(self, name: str, text: str) -> None:
        (self.home / "policies" / f"{name}.yaml").write_text(text)

    def ask(self, policy: str, *artifacts: dict[str, str], at: datetime | None = None, checkpoint: str | None = "", **members: Any) -> str:
        """Store a question as the API does; returns its id."""
        now = at or times.now()
        note = (self.log.note(len(self.log.leaves)) if self.log.leaves else None) if checkpoint == "" else checkpoint
        with self.database.write() as conn:
            if self.principal is None:
                self.principal = Principal(principals.ensure(conn, issuer="test", subject="ci", kind="person", now=now), "test", "ci", "person")
            return decisions.ask(conn, self.principal, policy=policy, question={"artifacts": list(artifacts), **members}, checkpoint=note, now=now)

    def decide(self, policy: str, *artifacts: dict[str, str], **options: Any) -> DecisionRow:
        identifier = self.ask(policy, *artifacts, **options)
        self.decisions.round()
        return self.decision(identifier)

    def decision(self, identifier: str) -> DecisionRow:
        with self.database.read() as conn:
            row = decisions.get(conn, identifier)
        assert row is not None
        return row

    def payload(self, identifier: str) -> bytes:
        """The signed payload of a decision."""
        with self.database.read() as conn:
            (row,) = statements.of_decision(conn, identifier)
        envelope = dsse.decode(row.envelope)
        assert envelope.signed_by([self.attester.public_key])
        return envelope.payload

    def enroll(self, name: str, role: str, key: FileSigner, *, since: str = "2020-01-01T00:00:00Z", until: str | None = None) -> None:
        row = {"name": name, "role": role, "spki": key.public_key.base64, "from": since}
        self.enrolled = [each for each in self.enrolled if each["name"] != name] + [row | ({"until": until} if until else {})]
        (self.home / "enrolled.json").write_bytes(canonical({"kind": "enrolled", "version": 1, "keys": self.enrolled}))

    def blob(self, data: bytes) -> Sized:
        return Sized(self.blobs.put_bytes(data), len(data))

    def story(
        self,
        *,
        original: bytes = b"PK the wheel",
        rebuilt: bytes | None = None,
        outcome: Outcome = Outcome.REPRODUCED,
        version: str = "1.0",
        recipe: str = "",
        **changes: Any,
    ) -> Story:
        """A bitwise reproduction, unless told otherwise. ``changes`` are the report's; ``recipe`` makes another recipe digest."""
        rebuild_id = ids.rebuild_id(times.now())
        purl, wheel = f"pkg:pypi/demo@{version}", f"demo-{version}-py3-none-any.whl"
        request = {"purl": purl}
        digest = sha256(canonical(request))
        first, source, page = self.blob(original), self.blob(b"the sdist"), self.blob(b"{}")
        second = self.blob(original if rebuilt is None else rebuilt)
        lock = self.blob(canonical({"packages": [{"name": "base-files", "sha256": self.blob(b"a package").sha256}]}))
        plan = self.blob(canonical({"reprove-recipe": 1, "origin": "inferred", "lock_sha256": lock.sha256, "tz": recipe}))
        index = IndexRef("pypi", canonical=True, uri="https://index.invalid/simple/", page=Blob(page.sha256), fetched=LOOK)
        resolution = Resolution(
            rebuild=rebuild_id,
            lease=sha256(rebuild_id.encode()),
            request=Blob(digest),
            purl=purl,
            original=ResolvedOriginal(name=wheel, sha256=first.sha256, size=first.size, uploaded=Timestamp("2026-01-02T00:00:00Z")),
            source=ResolvedSource(
                kind="sdist", name="demo-1.0.tar.gz", uri="https://files.invalid/demo-1.0.tar.gz", sha256=source.sha256, size=source.size
            ),
            index=index,
            resolver=Blob(self.resolver.public_key.fingerprint),
        )
        values: dict[str, Any] = {
            "rebuild": rebuild_id,
            "attempt": ids.attempt_id(times.now()),
            "lease": sha256(rebuild_id.encode() + b"2"),
            "request": Blob(digest),
            "resolution": sign_statement(self.resolver, resolutions.build(resolution).encode()).id,
            "outcome": outcome,
            "level": Level.BITWISE if outcome is Outcome.REPRODUCED and rebuilt is None else None,
            "original": first,
            "rebuilt": RebuiltFile(wheel, second.sha256, second.size),
            "recipe": ReportRecipe(plan.sha256, Origin.INFERRED, ("R1",)),
            "source": SourceRef("sdist", "https://files.invalid/demo-1.0.tar.gz", source.sha256),
            "index": index,
            "environment": EnvironmentRef(Blob(lock.sha256), "bookworm-python"),
            "arch": "amd64",
            "sandbox": {"userns": False},
            "timings": {"build": 12},
            "started": LOOK,
            "finished": Timestamp("2026-11-24T10:00:09Z"),
            "worker": Blob(self.worker.public_key.fingerprint),
            "deployment": Deployment.SINGLE_HOST,
        }
        return Story(resolution, Report(**{**values, **changes}), request, self.resolver, self.worker, rebuild_id, original_name=wheel)

    def tell(self, story: Story) -> str:
        """Store the story's rows and envelopes as the worker api would, without its checks; returns the rebuild's id."""
        now = times.now()
        resolved = sign_statement(story.resolver, resolutions.build(story.resolution).encode())
        report = story.report
        signed: Envelope | None = None
        if report is not None:
            statement = reports.build(story.original_name, report)
            members = {name: value for name, value in {**statement.predicate, **story.members}.items() if value is not None}
            signed = sign_statement(story.worker, replace(statement, predicate=members).encode())
        text = canonical(story.request).decode()
        row: dict[str, Any] = {
            "id": story.rebuild_id,
            "request": text,
            "request_sha256": sha256(text.encode()),
            "purl": story.request["purl"],
            "state": RebuildState.ATTESTING.value,
            "settled_by": "report" if signed else "resolution",
            "resolution_id": resolved.id,
            "report_id": signed.id if signed else None,
            "visibility": "public",
            "arch": "amd64",
            "priority": 0,
            "seq": 1,
            "created": now,
            "updated": now,
        }
        with self.database.write() as conn:
            conn.execute(tables.rebuild.insert().values(**{**row, **story.rebuild}))
            lease = story.resolution.lease
            self._ended(conn, story, "resolve", ids.attempt_id(now), lease, signed=(story.resolver, resolved), rows=({}, story.resolve_attempt))
            if signed is not None and report is not None:
                rows = (story.report_row, story.attempt)
                self._ended(conn, story, "rebuild", report.attempt, report.lease, signed=(story.worker, signed), rows=rows)
        return story.rebuild_id

    def _ended(
        self,
        conn: Any,
        story: Story,
        kind: str,
        attempt: str,
        lease: str,
        *,
        signed: tuple[FileSigner, Envelope],
        rows: tuple[dict[str, Any], dict[str, Any]],
    ) -> None:
        (key, envelope), (row, changes), now = signed, rows, times.now()
        values = {
            "id": attempt,
            "rebuild_id": story.rebuild_id,
            "kind": kind,
            "n": 1,
            "state": AttemptState.REPORTED.value,
            "lease_sha256": lease,
            "worker_sha256": key.public_key.fingerprint,
            "bytes_written": 0,
            "created": now,
            "claimed": now,
            "expires": now + timedelta(seconds=15),
            "ended": now,
        }
        conn.execute(tables.attempt.insert().values(**{**values, **changes}))
        stored = {
            "id": envelope.id,
            "kind": "resolution" if kind == "resolve" else "report",
            "rebuild_id": story.rebuild_id,
            "attempt_id": attempt,
            "envelope": envelope.encode(),
            "worker_sha256": key.public_key.fingerprint,
            "lease_sha256": lease,
            "created": now,
        }
        conn.execute(tables.report.insert().values(**{**stored, **row}))

    def attest(self, story: Story) -> rebuilds.RebuildRow:
        """Tell the story, run one round, and return the rebuild's row."""
        rebuild_id = self.tell(story)
        self.rebuilds.round()
        return self.row(rebuild_id)

    def row(self, rebuild_id: str) -> rebuilds.RebuildRow:
        with self.database.read() as conn:
            row = rebuilds.get(conn, rebuild_id)
        assert row is not None
        return row

    def statements(self, rebuild_id: str) -> list[StatementRow]:
        with self.database.read() as conn:
            return statements.of_rebuild(conn, rebuild_id)


def changed(report: Report | None, **changes: Any) -> Report:
    assert report is not None
    return replace(report, **changes)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
