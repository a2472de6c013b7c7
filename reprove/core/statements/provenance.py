"""SLSA Provenance v1 of the bytes that we rebuilt (subject: the rebuilt file); none when there are no bytes."""

from __future__ import annotations

from typing import Any

from reprove.core.statements.codec import to_json
from reprove.core.statements.common import PredicateType, Statement, Subject
from reprove.core.statements.comparison import AttestationContext

BUILD_TYPE = "urn:reprove:buildtype:pypi-wheel:v0.1"
"""What ``externalParameters`` mean: a wheel from its sdist. Described in docs/formats/provenance.md."""


def build_provenance(context: AttestationContext) -> Statement | None:
    """Make the provenance of the rebuilt bytes from a confirmed report, or None."""
    report, resolution = context.believed, context.resolution
    if report is None or report.rebuilt is None:
        return None
    original = resolution.original
    external: dict[str, Any] = {"purl": str(context.purl), "original": {"name": original.name, "digest": {"sha256": original.sha256}}}
    if report.recipe is not None:
        external["recipe"] = {"origin": str(report.recipe.origin), "digest": {"sha256": report.recipe.digest}}
    if resolution.source is not None:
        external["source"] = {"uri": resolution.source.uri, "digest": {"sha256": resolution.source.sha256}}
    internal: dict[str, Any] = {
        "arch": report.arch,
        "attempt": report.attempt,
        "deployment": str(context.deployment if report.deployment is context.deployment else "single-host"),
        "network": "none",
        "rebuild": report.rebuild,
        "report": context.report_id,
        "resolution": context.resolution_id,
        "sandbox": to_json(report.sandbox),
        "worker": context.worker,
    }
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": {key: value for key, value in internal.items() if value is not None},
            "resolvedDependencies": _dependencies(context),
        },
        "runDetails": {
            "builder": {"id": context.operator},
            "metadata": {"invocationId": f"urn:reprove:attempt:{report.attempt}", "startedOn": report.started, "finishedOn": report.finished},
            "byproducts": _byproducts(context),
        },
    }
    return Statement((Subject(report.rebuilt.name, report.rebuilt.sha256),), PredicateType.PROVENANCE, predicate)


def _dependencies(context: AttestationContext) -> list[dict[str, Any]]:
    """Everything that the build could read: source, environment, inputs; each with its digest."""
    report, source = context.believed, context.resolution.source
    rows: list[dict[str, Any]] = []
    if source is not None:
        rows.append({"name": "source", "uri": source.uri, "digest": {"sha256": source.sha256}})
    if report is not None and report.environment is not None:
        name = report.environment.name or "environment"
        rows.append({"name": "environment", "uri": f"urn:reprove:environment:{name}", "digest": {"sha256": report.environment.lock.sha256}})
    if report is not None:
        rows.extend({"name": each.name, "uri": each.uri, "digest": {"sha256": each.sha256}} for each in report.inputs)
    return rows


def _byproducts(context: AttestationContext) -> list[dict[str, Any]]:
    report = context.believed
    if report is None or report.log is None:
        return []
    return [{"name": "build.log", "digest": {"sha256": report.log.sha256}}]
