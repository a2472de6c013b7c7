"""A small world for tests: keys, one log in memory, witnesses, an operator; it makes evidence exactly as a service would."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from reprove.core import checkpoints, cosignatures, leaf, merkle, notes
from reprove.core.digests import Sha256, sha256
from reprove.core.dsse import Envelope
from reprove.core.evidence import Evidence, LoggedEnvelope, build_evidence
from reprove.core.notes import COSIGNATURE, ED25519, VKey
from reprove.core.outcomes import Level, Origin, Outcome
from reprove.core.statements import comparison, decision, provenance, report, resolution
from reprove.core.statements.codec import Hex4, Timestamp
from reprove.core.statements.common import Statement
from reprove.core.statements.parts import Blob, Cause, CauseHint, Deployment, EnvironmentRef, IndexRef, Pass, Sized, SourceRef, Stamp
from reprove.core.trust import Operator, TrustedKey, TrustedLog, TrustFile
from reprove.signers import FileSigner, sign_statement

START = 1_800_000_000
FILE = b"the wheel"
NAME = "demo-1.0-py3-none-any.whl"
PURL = "pkg:pypi/demo@1.0"


@functools.cache
def p256(label: str) -> FileSigner:
    """A key that is the same in every run: shrinking and reproducing need it."""
    return FileSigner(ec.derive_private_key(int.from_bytes(sha256(label.encode()).encode()[:30], "big"), ec.SECP256R1()))


@functools.cache
def ed(label: str) -> FileSigner:
    return FileSigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sha256(label.encode()))))


@dataclass
class World:
    """``clock`` is POSIX seconds and moves one second with each checkpoint. ``seed`` gives other keys under the same names."""

    seed: str = "real"
    operator: str = "https://rebuilds.example"
    origin: str = "log.rebuilds.example"
    witnesses: tuple[str, ...] = ("w1.example",)
    quorum: int = 1
    clock: int = START
    leaves: list[bytes] = field(default_factory=list)
    last: str | None = None

    def key(self, role: str) -> FileSigner:
        return p256(f"{self.seed}-{role}")

    @property
    def log_vkey(self) -> VKey:
        return VKey(self.origin, ED25519, ed(f"{self.seed}-log").public_key)

    def witness_vkey(self, name: str) -> VKey:
        return VKey(name, COSIGNATURE, ed(f"{self.seed}-{name}").public_key)

    def trust(self, **window: int | None) -> TrustFile:
        """The trust file of this world; ``until`` and ``compromised_since`` apply to the attester's key."""
        start = START - 86_400
        return TrustFile(
            (TrustedLog(self.log_vkey, f"https://{self.origin}"),),
            tuple(self.witness_vkey(name) for name in self.witnesses),
            self.quorum,
            (
                Operator(
                    self.operator,
                    (TrustedKey(self.key("attester").public_key, **{"valid_from": start, **window}),),  # type: ignore[arg-type]
                    (TrustedKey(self.key("worker").public_key, start),),
                    (TrustedKey(self.key("resolver").public_key, start),),
                ),
            ),
        )

    def reader(self, level: int, index: int) -> bytes:
        tree = merkle.Compact()
        for entry in self.leaves[index << level : (index + 1) << level]:
            tree.append(merkle.leaf_hash(entry))
        return tree.root()

    def note(self, size: int | None = None) -> str:
        size = len(self.leaves) if size is None else size
        text = checkpoints.Checkpoint(self.origin, size, merkle.root_of(self.reader, size)).text
        lines = [notes.sign_note(text, self.origin, ed(f"{self.seed}-log"))]
        lines += [cosignatures.cosign(text, name, ed(f"{self.seed}-{name}"), self.clock) for name in self.witnesses]
        return notes.format_note(text, lines)

    def add(self, *statements: Statement, filler: int = 0) -> tuple[LoggedEnvelope, ...]:
        """Sign and log in one batch, after ``filler`` leaves of others."""
        signer = self.key("attester")
        envelopes = [sign_statement(signer, one.encode()) for one in statements]
        before = self.last
        self.leaves += [b"filler %d" % len(self.leaves) for _ in range(filler)]
        first = len(self.leaves)
        self.leaves += [leaf.encode_leaf(one, signer.public_key) for one in envelopes]
        self.clock += 1
        self.last = self.note()
        return tuple(
            LoggedEnvelope(one, self.leaves[at], at, merkle.inclusion_path(self.reader, at, len(self.leaves)), self.last, before)
            for at, one in enumerate(envelopes, first)
        )

    def rebuild(self, **options: Any) -> tuple[list[LoggedEnvelope], Envelope, Envelope]:
        """One rebuild as the service logs it: entries (provenance first), report, resolution."""
        filler = options.pop("filler", 0)
        context = self.context(**options)
        resolved = sign_statement(self.key("resolver"), resolution.build(context.resolution).encode())
        context = dataclasses.replace(context, resolution_id=resolved.id)
        if context.report is None:
            return list(self.add(comparison.build_comparison(context), filler=filler)), resolved, resolved
        reported = sign_statement(self.key("worker"), report.build(NAME, dataclasses.replace(context.report, resolution=resolved.id)).encode())
        context = dataclasses.replace(context, report_id=reported.id)
        made = provenance.build_provenance(context)
        names = sign_statement(self.key("attester"), made.encode()).id if made else None
        compared = comparison.build_comparison(context, provenance=names)
        entries = self.add(*([made] if made else []), compared, filler=filler)
        return list(entries), reported, resolved

    def evidence(self, *, decided: bool = False, **options: Any) -> Evidence:
        entries, reported, resolved = self.rebuild(**options)
        verdict = self.add(self.decision())[0] if decided else None
        return build_evidence(
            name=NAME, sha256=sha256(FILE), entries=entries, hints=self.trust(), reports=[reported], resolutions=[resolved], decision=verdict
        )

    def decision(self, digest: Sha256 | None = None, verdict: str = "allow") -> Statement:
        row = decision.ArtifactVerdict(sha256=digest or sha256(FILE), verdict=decision.Verdict(verdict))
        value = decision.Decision(
            verdict=decision.Verdict(verdict),
            policy=decision.PolicyRef("default", sha256(b"policy")),
            now=Timestamp("2027-01-15T08:00:00Z"),
            checkpoint=decision.CheckpointRef(self.origin, len(self.leaves), sha256(b"root")),
            artifacts=(row,),
            operator=self.operator,
            deployment=Deployment.SINGLE_HOST,
        )
        return decision.build(value, {row.sha256: NAME})

    def context(
        self,
        *,
        outcome: Outcome = Outcome.REPRODUCED,
        recipe: bytes = b"recipe",
        stamped: bool = False,
        attempted: bool = True,
        lower: Level | None = None,
        passes: tuple[Pass, ...] | None = None,
        causes: tuple[CauseHint, ...] = (),
    ) -> comparison.AttestationContext:
        """What the attester knows; anything but ``reproduced`` is a ``differs`` of other bytes. ``lower`` is a level below ``times-stamped``."""
        good = outcome is Outcome.REPRODUCED
        made = FILE if good and not stamped and lower is None else b"other bytes"
        level = (Level.TIMES_STAMPED if stamped else lower or Level.BITWISE) if good else None
        stamps = (Stamp("demo/x.py", 10, Hex4("00000000"), Hex4("00000001")),) if stamped else None
        page, source = (
            Blob(sha256(b"page")),
            resolution.ResolvedSource(
                kind="sdist", name="demo-1.0.tar.gz", uri="https://files.example/demo-1.0.tar.gz", sha256=sha256(b"source"), size=6
            ),
        )
        when = Timestamp("2027-01-15T08:00:00Z")
        index = IndexRef("pypi", canonical=True, uri="https://index.example/simple/demo/", page=page, fetched=when)
        worker = Blob(self.key("worker").public_key.fingerprint)
        resolved = resolution.Resolution(
            rebuild="rb-1",
            lease=sha256(b"lease"),
            request=Blob(sha256(b"request")),
            purl=PURL,
            original=resolution.ResolvedOriginal(name=NAME, sha256=sha256(FILE), size=len(FILE)),
            source=source if attempted else None,
            outcome=None if attempted else Outcome.NOT_ATTEMPTABLE,
            cause=None if attempted else Cause("no-sdist", "no sdist"),
            index=index,
            resolver=Blob(self.key("resolver").public_key.fingerprint),
        )
        reported = report.Report(
            rebuild="rb-1",
            attempt="at-1",
            lease=sha256(b"lease 2"),
            request=Blob(sha256(b"request")),
            resolution=sha256(b"none"),  # type: ignore[arg-type]
            outcome=outcome,
            level=level,
            stamps=stamps,
            passes=passes,
            causes=causes,
            cause=None if good else Cause("payload", "demo/x.py differs"),
            original=Sized(sha256(FILE), len(FILE)),
            rebuilt=report.RebuiltFile(NAME, sha256(made), len(made)),
            recipe=report.ReportRecipe(sha256(recipe), Origin.INFERRED),
            source=_source(source),
            index=index,
            environment=EnvironmentRef(Blob(sha256(b"lock")), "bookworm-python"),
            arch="amd64",
            sandbox={},
            timings={},
            started=when,
            finished=when,
            worker=worker,
            deployment=Deployment.SINGLE_HOST,
        )
        return comparison.AttestationContext(
            resolution=resolved,
            resolution_id=sha256(b"none"),
            operator=self.operator,
            deployment=Deployment.SINGLE_HOST,  # type: ignore[arg-type]
            report=reported if attempted else None,
            worker=worker.sha256 if attempted else None,
        )


def _source(source: resolution.ResolvedSource) -> SourceRef:
    return SourceRef(source.kind, source.uri, source.sha256)
