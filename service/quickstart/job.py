"""The main job as a user does it: post, follow, fetch the evidence, verify it offline, ask the gate, show the result."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from reprove.cli import render
from reprove.cli.progress import follow
from reprove.cli.terminal import safe
from reprove.client import Client
from reprove.core.digests import Sha256
from reprove.core.errors import VerificationError
from reprove.core.outcomes import Outcome
from reprove.core.trust import parse_trust
from reprove.core.verification import verify_evidence
from reprove.problems import Json, ServiceError
from reprove.settings import Settings
from service.quickstart.screen import Screen
from service.quickstart.start import facts
from service.setup.folders import write_public

EXIT_ALLOWED = 0
EXIT_OTHER = 1
EXIT_INFRASTRUCTURE = 4
_MAX_DIFFERENCES = 10
_COMPARISON = "urn:reprove:predicate:comparison:v0.1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last lines say and ``quickstart.json`` holds."""

    rebuild: Json
    evidence: Path | None
    verified: bool
    why_not: str
    decision: Json

    @property
    def exit_code(self) -> int:
        """0 only for reproduced, verified and allowed."""
        if self.rebuild.get("outcome") == Outcome.INCONCLUSIVE:
            return EXIT_INFRASTRUCTURE
        good = self.rebuild.get("outcome") == Outcome.REPRODUCED and self.verified and self.decision.get("verdict") == "allow"
        return EXIT_ALLOWED if good else EXIT_OTHER


def run(settings: Settings, purl: str, screen: Screen, *, as_json: bool) -> int:
    """Rebuild ``purl`` and show the proof; returns the exit code."""
    known = facts(settings)
    client = Client(str(known["url"]), (settings.home / "secrets" / "client.token").read_text().strip())
    screen.line()
    screen.line(f"Rebuilding {purl}")
    identifier = client.request_rebuild(purl, force=True)
    rebuild = follow(client, identifier) if not as_json else _silently(client, identifier)
    verdict = _prove(client, settings, rebuild)
    result = _result(known, verdict)
    write_public(settings.home / "quickstart.json", json.dumps(result, indent=1).encode() + b"\n")
    if as_json:
        print(json.dumps(result))  # noqa: T201  # data
    _show(verdict, settings, screen)
    return verdict.exit_code


def _silently(client: Client, identifier: str) -> Json:
    *_, last = client.follow(identifier)
    return last


def _prove(client: Client, settings: Settings, rebuild: Json) -> Verdict:
    comparison = next((row for row in rebuild.get("attestations", []) if row.get("predicateType") == _COMPARISON), None)
    if rebuild.get("state") != "done" or comparison is None:
        return Verdict(rebuild, None, verified=False, why_not="there is no outcome to verify", decision={})
    original = rebuild["original"]
    decision = _decide(client, str(original["sha256"]))
    data = client.attestation(str(comparison["id"]))
    path = settings.home / "evidence" / f"{re.sub(r'[^A-Za-z0-9._+-]', '_', str(original.get('file', original['sha256'])))}.json"
    write_public(path, data)
    try:
        trust = parse_trust((settings.home / "trust.json").read_bytes())
        verify_evidence(data, trust, subject_sha256=Sha256(str(original["sha256"])), any_outcome=True)
    except VerificationError as error:
        return Verdict(rebuild, path, verified=False, why_not=error.detail, decision=decision)
    return Verdict(rebuild, path, verified=True, why_not="", decision=decision)


def _decide(client: Client, sha256: str) -> Json:
    try:
        decision = client.decide("default", [{"sha256": sha256}])
        while decision.get("state") == "signing":
            decision = dict(client.decision(str(decision["id"])).json())
    except ServiceError as error:
        return {"verdict": "none", "error": str(error)}
    return decision


def _result(known: dict[str, object], verdict: Verdict) -> dict[str, object]:
    rebuild = verdict.rebuild
    index = max((int(row["logIndex"]) for row in rebuild.get("attestations", []) if "logIndex" in row), default=None)
    return {
        **known,
        "rebuild": rebuild.get("id"),
        "outcome": rebuild.get("outcome", rebuild.get("state")),
        "level": rebuild.get("level"),
        "passes": rebuild.get("passes", []),
        "causes": rebuild.get("causes", []),
        "original": rebuild.get("original", {}).get("sha256"),
        "rebuilt": rebuild.get("rebuilt", {}).get("sha256"),
        "evidence": str(verdict.evidence) if verdict.evidence else None,
        "log_index": index,
        "verified": verdict.verified,
        "decision": verdict.decision.get("verdict", "none"),
    }


def _show(verdict: Verdict, settings: Settings, screen: Screen) -> None:
    rebuild = verdict.rebuild
    outcome = str(rebuild.get("outcome", rebuild.get("state", "unknown")))
    reached = render.level_of(rebuild)
    level = f", {reached}" if reached else ""
    original, rebuilt = (safe(rebuild.get(side, {}).get("sha256") or "", 64) for side in ("original", "rebuilt"))
    digests = f"original = rebuilt = sha256:{original}" if original and original == rebuilt else _digests(original, rebuilt)
    screen.line()
    screen.line(f"{screen.strong(safe(outcome).upper() + level, good=outcome == Outcome.REPRODUCED)}        {digests}")
    _why(rebuild, screen)
    for number, row in enumerate(rebuild.get("inputs", [])):
        file, digest = safe(str(row.get("uri", "")).rsplit("/", 1)[-1]), safe(row.get("sha256", ""), 64)
        screen.line(f"  {'fetched' if number == 0 else '':<10} {file}   sha256:{digest[:16]}…")
    indexes = [str(row["logIndex"]) for row in rebuild.get("attestations", []) if "logIndex" in row]
    if indexes:
        screen.line(f"  {'log':<10} {settings.origin}   index {' and '.join(indexes)}, cosigned by a witness on this machine: not independent")
    if verdict.evidence:
        proof = "verified with trust.json" if verdict.verified else f"NOT VERIFIED: {safe(verdict.why_not, 400)}"
        screen.line(f"  {'evidence':<10} {verdict.evidence}   {proof}")
    if verdict.decision:
        said = screen.strong(str(verdict.decision.get("verdict", "none")).upper(), good=verdict.decision.get("verdict") == "allow")
        screen.line(f"  {'gate':<10} policy default: {said}")
        for artifact in verdict.decision.get("artifacts", []):
            for reason in artifact.get("reasons", []):
                screen.line(
                    f"  {'':<10} {safe(reason.get('rule', ''))}: {safe(reason.get('actual', ''), 120)}   {safe(reason.get('remedy') or '', 200)}"
                )
    use = 'eval "$(deploy/quickstart --env)" to use it; deploy/quickstart --stop to end it'
    screen.line(f"  {'service':<10} http://{settings.host}:{settings.port}        {use}")


def _why(rebuild: Json, screen: Screen) -> None:
    """Cause, causes of the catalogue, differences, findings."""
    cause = rebuild.get("cause")
    if cause:
        screen.line(f"  {'cause':<10} {safe(cause.get('class', ''))}: {safe(cause.get('detail', ''), 400)}")
    if rebuild.get("unstamped"):
        screen.line(f"  not stamped {safe(rebuild['unstamped'], 400)}")
    for line in render.causes(rebuild):
        screen.line(line)
    if rebuild.get("level") and rebuild.get("differences"):
        screen.line(f"  differs in what level {safe(rebuild['level'])} leaves out:")
    for row in rebuild.get("differences", [])[:_MAX_DIFFERENCES]:
        screen.line(
            f"  {safe(row.get('field', '')):<16} {safe(row.get('path', ''))}   {safe(row.get('old', ''), 40)} -> {safe(row.get('new', ''), 40)}"
        )
    for row in rebuild.get("findings", []):
        screen.line(f"  {'finding':<10} {safe(row.get('code', ''))} {safe(row.get('path', ''))}")


def _digests(original: object, rebuilt: object) -> str:
    parts = [f"original sha256:{original}" if original else "", f"rebuilt sha256:{rebuilt}" if rebuilt else ""]
    return "   ".join(part for part in parts if part)
