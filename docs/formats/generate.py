# ruff: noqa: INP001, T201  # a script beside the files that it makes
"""Make the JSON Schemas and the test vectors of this folder from the code: ``python docs/formats/generate.py [--check]``.

``--check`` writes nothing and fails when a file is not what the code makes; a test runs it. Vectors are signed with the published test key
below, so that another implementation can check canonical form, ids and signatures. The key is for tests and signs nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from reprove.core.digests import Sha256, sha256
from reprove.core.outcomes import CAUSE_CLASSES, Certainty, Finding, Level, Origin, Outcome
from reprove.core.statements import comparison, decision, provenance, report, resolution
from reprove.core.statements.codec import Hex4, Label, Timestamp, schema
from reprove.core.statements.common import SHAPES, STATEMENT_TYPE, PredicateType, Statement
from reprove.core.statements.comparison import AttestationContext
from reprove.core.statements.decision import ArtifactVerdict, BoundPolicy, CheckpointRef, Decision, PolicyRef, Reason, Verdict
from reprove.core.statements.parts import (
    COUNTED_FROM_ONE,
    MASKED,
    MAX_CAUSES,
    Blob,
    Cause,
    CauseHint,
    Deployment,
    Difference,
    Differences,
    EnvironmentRef,
    FindingRow,
    IndexRef,
    Input,
    Pass,
    Sized,
    SourceRef,
    Stamp,
)
from reprove.core.statements.report import CandidateRow, LogBlob, RebuiltFile, Report, ReportRecipe
from reprove.core.statements.resolution import ListedFile, Resolution, ResolvedOriginal, ResolvedSource
from reprove.signers import FileSigner, sign_statement

FOLDER = Path(__file__).parent
BY_HAND = frozenset({"compare.schema.json"})
"""Schemas of what is no statement."""
TEST_KEY = FileSigner(ec.derive_private_key(0x5265_7072_6F76_6520_7465_7374_206B_6579, ec.SECP256R1()))
WHEEL = "demo-1.0-py3-none-any.whl"
OPERATOR = "https://operator.invalid"
KEY = Blob(TEST_KEY.public_key.fingerprint)


def digest(text: str) -> Sha256:
    """A digest that stands for something."""
    return sha256(text.encode())


INDEX = IndexRef(
    "pypi", canonical=True, uri="https://index.invalid/simple/demo/", page=Blob(digest("page")), fetched=Timestamp("2026-11-24T10:00:00Z")
)
RESOLUTION = Resolution(
    rebuild="rb-01jd7000000000000000",
    lease=digest("lease 1"),
    request=Blob(digest("request")),
    purl="pkg:pypi/demo@1.0",
    original=ResolvedOriginal(name=WHEEL, sha256=digest("original"), size=1234, uploaded=Timestamp("2026-01-02T03:04:05Z")),
    source=ResolvedSource(
        kind="sdist",
        name="demo-1.0.tar.gz",
        uri="https://files.invalid/demo-1.0.tar.gz",
        sha256=digest("source"),
        size=2345,
        uploaded=Timestamp("2026-01-02T03:04:00Z"),
    ),
    index=INDEX,
    listing=(ListedFile(WHEEL, digest("original")), ListedFile("demo-1.0.tar.gz", digest("source"))),
    resolver=KEY,
)
RESOLUTION_ID = sign_statement(TEST_KEY, resolution.build(RESOLUTION).encode()).id
BITWISE = Report(
    rebuild=RESOLUTION.rebuild,
    attempt="at-01jd7000000000000001",
    lease=digest("lease 2"),
    request=RESOLUTION.request,
    resolution=RESOLUTION_ID,
    outcome=Outcome.REPRODUCED,
    level=Level.BITWISE,
    original=Sized(digest("original"), 1234),
    rebuilt=RebuiltFile(WHEEL, digest("original"), 1234),
    recipe=ReportRecipe(digest("recipe"), Origin.INFERRED, ("R1: WHEEL says Generator: flit 3.9.0",)),
    source=SourceRef("sdist", "https://files.invalid/demo-1.0.tar.gz", digest("source")),
    index=INDEX,
    inputs=(Input("flit_core-3.9.0-py3-none-any.whl", "https://files.invalid/flit_core-3.9.0-py3-none-any.whl", digest("flit"), 63141),),
    environment=EnvironmentRef(Blob(digest("lock")), "bookworm-python"),
    arch="amd64",
    sandbox={"userns": False, "network": "none", "runtime": "runc", "pids": 512},  # type: ignore[arg-type]  # Facts is a NewType
    log=LogBlob(digest("log"), 4096),
    candidates=(CandidateRow(1, Outcome.REPRODUCED, Blob(digest("recipe"))),),
    timings={"recipe": 210, "fetch": 800, "build": 1100, "compare": 300},
    started=Timestamp("2026-11-24T10:00:01Z"),
    finished=Timestamp("2026-11-24T10:00:04Z"),
    worker=KEY,
    deployment=Deployment.SINGLE_HOST,
)
STAMPED = replace(
    BITWISE,
    level=Level.TIMES_STAMPED,
    rebuilt=RebuiltFile(WHEEL, digest("rebuilt"), 1234),
    stamps=(
        Stamp("demo-1.0.dist-info/RECORD", 910, Hex4("00002100"), Hex4("8218225c")),
        Stamp("demo-1.0.dist-info/RECORD", 1180, Hex4("00002100"), Hex4("8218225c")),
    ),
)
CANONICAL = replace(
    BITWISE,
    level=Level.CANONICAL,
    rebuilt=RebuiltFile(WHEEL, digest("recompressed"), 1240),
    unstamped="demo/net.py: its compressed bytes differ",
    differences=Differences(1, (Difference("demo/net.py", "deflate", "zlib level 6", "another encoder", 34),), Blob(digest("noise"))),
    causes=(CauseHint(Label("deflate"), Certainty.PROVED, "compress with the zlib that made the original", "demo/net.py: 812 against 840 bytes", 1),),
)
NORMALIZED = replace(
    BITWISE,
    level=Level.NORMALIZED,
    rebuilt=RebuiltFile(WHEEL, digest("another generator"), 1236),
    passes=(Pass(Label("wheel-generator"), "1"), Pass(Label("wheel-record"), "1")),
    differences=Differences(
        2,
        (
            Difference("demo-1.0.dist-info/WHEEL", "content", "Generator: flit 3.9.0", "Generator: flit 3.10.1", 20),
            Difference("demo-1.0.dist-info/RECORD", "content", digest("old record"), digest("new record"), 77),
        ),
        Blob(digest("two differences")),
    ),
    causes=(CauseHint(Label("build-backend"), Certainty.LIKELY, "pin flit_core==3.9.0", "WHEEL: Generator flit 3.9.0, rebuilt 3.10.1", 2),),
    candidates=(
        CandidateRow(1, Outcome.DIFFERS, Blob(digest("recipe 1")), Cause("payload", "demo/net.py: content")),
        CandidateRow(
            2,
            Outcome.REPRODUCED,
            Blob(digest("recipe")),
            level=Level.NORMALIZED,
            passes=(Pass(Label("wheel-generator"), "1"), Pass(Label("wheel-record"), "1")),
        ),
    ),
)
DIFFERS = replace(
    BITWISE,
    outcome=Outcome.DIFFERS,
    level=None,
    cause=Cause("payload", "demo/net.py: line 41 of 260, 312 to 298 bytes"),
    rebuilt=RebuiltFile(WHEEL, digest("rebuilt"), 1220),
    findings=(FindingRow(Finding.UNSOURCED_MEMBERS, "demo-1.0.data/purelib/zz_hook.pth", "in the original, in neither source nor rebuilt"),),
    causes=(CauseHint(Label("payload"), Certainty.UNEXPLAINED),),
    differences=Differences(
        2,
        (
            Difference("demo/net.py", "content", digest("old member"), digest("new member"), 41),
            Difference("demo-1.0.data/purelib/zz_hook.pth", "member", "present"),
        ),
        Blob(digest("differences")),
    ),
)
FAILED = replace(
    BITWISE,
    outcome=Outcome.BUILD_FAILED,
    level=None,
    rebuilt=None,
    cause=Cause("backend-failed", "exit status 1: error: no such module"),
    candidates=(),
)
UNAVAILABLE = replace(
    RESOLUTION,
    source=None,
    outcome=Outcome.INPUT_UNAVAILABLE,
    cause=Cause("gone", "410 for the listed file"),
    original=replace(RESOLUTION.original, verified=False),
)


def context(value: Report | None, resolved: Resolution = RESOLUTION, failure: str | None = None) -> AttestationContext:
    """What the attester knows after checking a report."""
    signed = sign_statement(TEST_KEY, report.build(WHEEL, value).encode()).id if value else None
    return AttestationContext(
        resolution=resolved,
        resolution_id=sign_statement(TEST_KEY, resolution.build(resolved).encode()).id,
        operator=OPERATOR,
        deployment=Deployment.SINGLE_HOST,
        report=value,
        report_id=signed,
        worker=KEY.sha256 if value else None,
        failure=failure,
    )


def comparisons() -> dict[str, AttestationContext]:
    """One comparison for each way in which a rebuild ends."""
    return {
        "reproduced-bitwise": context(BITWISE),
        "reproduced-times-stamped": context(STAMPED),
        "reproduced-canonical": context(CANONICAL),
        "reproduced-normalized": context(NORMALIZED),
        "differs": context(DIFFERS),
        "build-failed": context(FAILED),
        "input-unavailable": context(None, UNAVAILABLE),
        "inconclusive": context(None, failure="three workers were lost"),
    }


def decisions() -> dict[str, Decision]:
    """An allow, one of a lower level, a deny and one over more than 256 artifacts."""
    artifact = ArtifactVerdict(
        sha256=digest("original"),
        verdict=Verdict.ALLOW,
        purl=f"pkg:pypi/demo@1.0?file_name={WHEEL}",
        attestations=(RESOLUTION_ID,),
        level=Level.BITWISE,
    )
    base = Decision(
        verdict=Verdict.ALLOW,
        policy=PolicyRef("default", digest("policy")),
        bound=(BoundPolicy("pkg:pypi/", "default", digest("policy")),),
        now=Timestamp("2026-11-24T12:00:00Z"),
        checkpoint=CheckpointRef("log.reprove.invalid", 129, digest("root")),
        artifacts=(artifact,),
        operator=OPERATOR,
        deployment=Deployment.SINGLE_HOST,
    )
    reason = Reason("no-attestation", "a rebuild", "none: this instance has never seen it", "reprove rebuild PURL --wait")
    denied = tuple(ArtifactVerdict(sha256=digest(f"artifact {number}"), verdict=Verdict.DENY, reasons=(reason,)) for number in range(300))
    weaker = replace(artifact, level=Level.NORMALIZED, passes=(Pass(Label("wheel-generator"), "1"),))
    return {
        "allow": base,
        "allow-normalized": replace(base, artifacts=(weaker,)),
        "deny": replace(base, verdict=Verdict.DENY, artifacts=denied[:1], release="demo 1.0"),
        "deny-300": replace(base, verdict=Verdict.DENY, artifacts=None, rows=decision.rows_of(denied)),
    }


def statements() -> dict[str, Statement]:
    """Every vector by name."""
    found = {
        "resolution": resolution.build(RESOLUTION),
        "resolution-input-unavailable": resolution.build(UNAVAILABLE),
        "report-bitwise": report.build(WHEEL, BITWISE),
        "report-times-stamped": report.build(WHEEL, STAMPED),
        "report-canonical": report.build(WHEEL, CANONICAL),
        "report-normalized": report.build(WHEEL, NORMALIZED),
        "report-differs": report.build(WHEEL, DIFFERS),
        "report-build-failed": report.build(WHEEL, FAILED),
    }
    for name, each in comparisons().items():
        made = provenance.build_provenance(each)
        if made is not None:
            found[f"provenance-{name}"] = made
        identity = sign_statement(TEST_KEY, made.encode()).id if made else None
        found[f"comparison-{name}"] = comparison.build_comparison(each, provenance=identity)
    found |= {f"decision-{name}": decision.build(value, {digest("original"): WHEEL}) for name, value in decisions().items()}
    return found


def outcome_rules() -> list[dict[str, Any]]:
    """Which level, cause and passes go with which outcome, for the schemas of reports and comparisons."""
    rules = []
    for outcome in Outcome:
        condition = {"properties": {"outcome": {"const": str(outcome)}}, "required": ["outcome"]}
        if outcome is Outcome.REPRODUCED:
            then: dict[str, Any] = {"required": ["level"], "not": {"required": ["cause"]}}
        else:
            then = {
                "required": ["cause"],
                "properties": {"cause": {"properties": {"class": {"enum": sorted(CAUSE_CLASSES[outcome])}}}},
                "not": {"anyOf": [{"required": ["level"]}, {"required": ["stamps"]}, {"required": ["unstamped"]}, {"required": ["passes"]}]},
            }
        rules.append({"if": condition, "then": then})
    masked = {"properties": {"level": {"enum": sorted(MASKED)}}, "required": ["level"]}
    named = {
        "required": ["passes"],
        "properties": {"passes": {"minItems": 1, "items": {"properties": {"version": {"pattern": f"^{COUNTED_FROM_ONE}$"}}}}},
    }
    rules.append({"if": masked, "then": named, "else": {"not": {"required": ["passes"]}}})
    equal = {"properties": {"level": {"enum": [str(Level.BITWISE), str(Level.TIMES_STAMPED)]}}, "required": ["level"]}
    rules.append({"if": equal, "then": {"not": {"required": ["unstamped"]}}})
    rules.append({"properties": {"causes": {"maxItems": MAX_CAUSES}}})
    return rules


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each statement of ours."""
    found = {}
    for kind, shape in SHAPES.items():
        predicate = schema(shape)
        if kind in (PredicateType.REPORT, PredicateType.COMPARISON):
            predicate["allOf"] = outcome_rules()
        name = kind.split(":")[3]
        found[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"Reprove {name}, v0.1",
            "type": "object",
            "required": ["_type", "predicate", "predicateType", "subject"],
            "additionalProperties": False,
            "properties": {
                "_type": {"const": STATEMENT_TYPE},
                "predicateType": {"const": str(kind)},
                "subject": {"type": "array", "minItems": 1, "maxItems": 256, "items": SUBJECT},
                "predicate": predicate,
            },
        }
    return found


SUBJECT = {
    "type": "object",
    "required": ["digest", "name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 1024},
        "digest": {
            "type": "object",
            "required": ["sha256"],
            "additionalProperties": False,
            "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "sha512": {"type": "string", "pattern": "^[0-9a-f]{128}$"}},
        },
    },
}


def files() -> dict[Path, bytes]:
    """Every generated file with its content."""
    found: dict[Path, bytes] = {FOLDER / "vectors" / "test-key.pem": TEST_KEY.public_key.pem.encode()}
    for name, value in schemas().items():
        found[FOLDER / f"{name}.schema.json"] = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    manifest = {}
    for name, statement in sorted(statements().items()):
        envelope = sign_statement(TEST_KEY, statement.encode())
        found[FOLDER / "vectors" / f"{name}.statement.json"] = statement.encode()
        found[FOLDER / "vectors" / f"{name}.dsse.json"] = envelope.encode()
        manifest[name] = {"id": envelope.id, "predicateType": str(statement.predicate_type), "payload": {"sha256": sha256(statement.encode())}}
    found[FOLDER / "vectors" / "manifest.json"] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return found


def main(arguments: list[str]) -> int:
    """Write or compare; returns the exit code."""
    made = files()
    there = {path for path in [*FOLDER.glob("*.schema.json"), *(FOLDER / "vectors").glob("*")] if path.is_file() and path.name not in BY_HAND}
    if "--check" in arguments:
        wrong = sorted(path.name for path, data in made.items() if not path.exists() or path.read_bytes() != data)
        wrong += sorted(f"{path.name} (made by nobody)" for path in there - set(made))
        print("\n".join(wrong) or "all files are what the code makes")
        return 1 if wrong else 0
    for path, data in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(made)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
