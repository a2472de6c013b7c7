"""``reprove verify FILE``: is this file what the evidence says, by keys that the reader has chosen? Offline; exit codes of INTERFACE section 2."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from reprove.cli import render
from reprove.cli.terminal import error_line, out, print_json, safe, talk
from reprove.cli.trust import chosen_trust
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from reprove.core.evidence import MAX_EVIDENCE_BYTES
from reprove.core.outcomes import LEVEL_ORDER, Level, Outcome
from reprove.core.statements.codec import to_json
from reprove.core.statements.comparison import Comparison
from reprove.core.times import format_time
from reprove.core.verification import Claim, Logged, Verified, verify_evidence

EXIT_UNREADABLE = 4
_CHUNK = 1024 * 1024


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--evidence", "evidence_path", type=click.Path(path_type=Path), help="Evidence file (default: FILE.evidence.json).")
@click.option("--trust", "trust_path", type=click.Path(path_type=Path), help="Trust file (default: REPROVE_TRUST, else that of `trust add`).")
@click.option("--level", type=click.Choice([str(one) for one in LEVEL_ORDER]), default=str(Level.TIMES_STAMPED), show_default=True)
@click.option("--any-outcome", is_flag=True, help="A verified negative outcome is a success too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(file: Path, evidence_path: Path | None, trust_path: Path | None, level: str, *, any_outcome: bool, as_json: bool) -> int:
    """Verify FILE offline against its evidence and the keys that you trust."""
    evidence_path = evidence_path or file.with_name(f"{file.name}.evidence.json")
    try:
        digests = _digests(file)
        if not evidence_path.exists():
            detail = f"no evidence: {evidence_path} does not exist; reprove evidence ID -o FILE gets it"
            raise VerificationError(VerificationReason.NO_EVIDENCE, detail)
        with evidence_path.open("rb") as stream:
            evidence = stream.read(MAX_EVIDENCE_BYTES + 1)
        trust = chosen_trust(trust_path)
    except OSError as error:
        error_line(f"{error.filename}: {error.strerror}")
        return EXIT_UNREADABLE
    except ProblemError as error:
        error_line(error.problem.detail, error.problem.slug.value)
        return EXIT_UNREADABLE
    except VerificationError as error:
        return _refused(error, as_json=as_json)
    try:
        verified = verify_evidence(
            evidence, trust, subject_sha256=digests[0], subject_sha512=digests[1], minimum=Level(level), any_outcome=any_outcome
        )
    except VerificationError as error:
        return _refused(error, as_json=as_json)
    if as_json:
        print_json(as_document(verified))
    else:
        _print(verified)
        if file.name != verified.subject_name:
            talk(f"The file is called {safe(file.name)} here; the evidence is about these bytes as {safe(verified.subject_name)}.")
    return 0


def as_document(verified: Verified) -> dict[str, object]:
    """The result for programs; absent parts are absent."""
    claim = verified.claim
    document: dict[str, object] = {
        "kind": "verification",
        "verified": True,
        "subject": {"name": verified.subject_name, "sha256": verified.subject_sha256},
        "outcome": str(claim.value.outcome),
        "operator": claim.operator,
        "claims": [_claim(one) for one in verified.claims],
        "checked": {
            "signatures": verified.checks.signatures,
            "included": [{"log": origin, "index": index} for origin, index in verified.checks.included],
            "witnesses": list(verified.checks.witnesses),
            "quorum": verified.checks.quorum,
            "reports": verified.checks.reports,
            "resolutions": verified.checks.resolutions,
        },
        "notChecked": list(verified.not_checked),
    }
    document |= _equality(claim.value)
    if claim.value.causes:
        document["causes"] = to_json(claim.value.causes)
    if verified.decision is not None:
        one = verified.decision
        document["decision"] = {"id": one.logged.id, "verdict": str(one.verdict), "policy": one.value.policy.name, "operator": one.operator}
    return document


def _claim(claim: Claim) -> dict[str, object]:
    row: dict[str, object] = {
        "id": claim.logged.id,
        "operator": claim.operator,
        "outcome": str(claim.value.outcome),
        "log": claim.logged.origin,
        "index": claim.logged.index,
        "deployment": str(claim.value.deployment),
        "findings": [str(one.code) for one in claim.value.findings],
    }
    row |= _equality(claim.value)
    if claim.value.worker is not None:
        row["worker"] = claim.value.worker.sha256
    if claim.value.recipe is not None:
        row["origin"] = str(claim.value.recipe.origin)
    if claim.logged.not_before is not None:
        row["notBefore"] = format_time(claim.logged.not_before)
    if claim.logged.not_after is not None:
        row["notAfter"] = format_time(claim.logged.not_after)
    return row


def _equality(value: Comparison) -> dict[str, object]:
    """The level and the passes that it rests on; absent parts are absent."""
    found: dict[str, object] = {}
    if value.level is not None:
        found["level"] = str(value.level)
    if value.passes is not None:
        found["passes"] = to_json(value.passes)
    return found


def _digests(file: Path) -> tuple[str, str]:
    both = hashlib.sha256(), hashlib.sha512()
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK):
            for one in both:
                one.update(block)
    return both[0].hexdigest(), both[1].hexdigest()


def _refused(error: VerificationError, *, as_json: bool) -> int:
    if as_json:
        print_json({"kind": "verification", "verified": False, "reason": error.reason.value, "detail": error.detail})
    else:
        error_line(f"{error.detail[:1].upper()}{error.detail[1:]}.", error.reason.value)
        if error.reason is VerificationReason.UNTRUSTED_KEYS:
            talk("To trust them: compare the fingerprint with the operator's, then  reprove trust add URL --fingerprint sha256:…")
        elif error.reason is VerificationReason.OUTCOME:
            talk("The evidence itself holds: --any-outcome shows all that it says.")
    return error.reason.exit_code


def _print(verified: Verified) -> None:
    value = verified.claim.value
    good = value.outcome is Outcome.REPRODUCED
    level = render.level_of(_equality(value))
    out(f"VERIFIED   {value.outcome}{f', {level}' if level else ''}", "bold green" if good else "bold yellow")
    for name, text in _lines(verified):
        out(f"  {name:<8} {safe(text)}" if len(name) <= 8 else f"  {name}  {safe(text)}")


def _lines(verified: Verified) -> list[tuple[str, str]]:
    claim, checks = verified.claim, verified.checks
    rows = [("file", claim.value.original.purl), ("who", _who(claim)), ("when", _when(claim.logged)), ("what", _what(claim))]
    if claim.value.cause is not None:
        rows.append(("cause", f"{claim.value.cause.class_}: {claim.value.cause.detail}"))
    if claim.value.causes:
        named = claim.value.causes[: render.MAX_CAUSES]
        rows.append(("causes", "; ".join(f"{one.certainty} {one.id}{f' (fix: {one.fix})' if one.fix else ''}" for one in named)))
    if claim.value.findings:
        rows.append(("findings", ", ".join(f"{one.code}{f' ({one.path})' if one.path else ''}" for one in claim.value.findings)))
    if len(verified.claims) > 1:
        others = [f"{one.value.outcome} by {one.operator} (index {one.logged.index})" for one in verified.claims if one is not claim]
        rows.append(("also", ", ".join(others)))
    if verified.decision is not None:
        one = verified.decision
        rows.append(("decision", f"{one.verdict} by policy {one.value.policy.name}, {one.operator}, {one.value.now}"))
    logs = ", ".join(
        f"{' and '.join(str(index) for name, index in checks.included if name == origin)} in log {origin} size {size}" for origin, size in checks.logs
    )
    witnesses = f"{len(checks.witnesses)} of {checks.witnesses_known} witness{'es' if checks.witnesses_known != 1 else ''}"
    signatures = f"{checks.signatures} signature{'s' if checks.signatures != 1 else ''}"
    rows.append(("checked", f"file digest, {signatures}, inclusion of {logs}, checkpoint, {witnesses}"))
    rows.append(("not checked", "; ".join(verified.not_checked)))
    return rows


def _who(claim: Claim) -> str:
    parts = [f"operator {claim.operator}"]
    if claim.value.worker is not None:
        parts.append(f"worker {claim.value.worker.sha256[:12]}…")
    alone = claim.value.deployment == "single-host"
    parts.append("on one machine with its signer (deployment single-host)" if alone else f"deployment {claim.value.deployment}")
    return ", ".join(parts)


def _when(logged: Logged) -> str:
    who = f" by witness {', '.join(logged.witnesses)}" if logged.witnesses else ""
    if logged.not_after is None:
        return "unknown: no witness that you trust cosigned"
    if logged.not_before is None:
        return f"logged before {_time(logged.not_after)}{who}"
    return f"logged between {_time(logged.not_before)} and {_time(logged.not_after)}{who}"


def _time(seconds: int) -> str:
    return format_time(seconds).replace("T", " ")


def _what(claim: Claim) -> str:
    value = claim.value
    parts = []
    if value.source is not None:
        parts.append(f"source {value.source.uri.rpartition('/')[2] or value.source.uri} sha256:{value.source.sha256[:12]}…")
    if value.recipe is not None:
        parts.append(f"recipe {value.recipe.origin}")
    if value.environment is not None:
        parts.append(f"environment {value.environment.lock.sha256[:12]}…")
    if value.inputs is not None:
        parts.append(f"{len(value.inputs)} input{'s' if len(value.inputs) != 1 else ''}")
    if value.stamps:
        parts.append(f"times of {len({one.member for one in value.stamps})} generated members taken from the original")
    return ", ".join(parts) or "nothing was built"
