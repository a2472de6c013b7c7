"""A rebuild, an attestation and a decision as a person reads them: the verdict first, then reasons, then the next step as a command."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from reprove.cli.terminal import out, safe, short, style_of
from reprove.problems import Json

MAX_ROWS = 20
MAX_CAUSES = 5
MAX_PASSES = 8
_KINDS = {
    "https://slsa.dev/provenance/v1": "provenance",
    "https://slsa.dev/verification_summary/v1": "summary",
    "urn:reprove:predicate:comparison:v0.1": "comparison",
    "urn:reprove:predicate:decision:v0.1": "decision",
}


def rebuild(document: Json) -> None:
    """Print a rebuild: what it came to, digests, why, where the proof is."""
    state = str(document.get("state"))
    if state == "rejected":
        cause = _object(document, "cause")
        out(f"Rejected: {safe(cause.get('detail', 'no reason given'))}    {safe(cause.get('class', ''))}", "bold yellow")
        return
    if state != "done":
        _unfinished(document, state)
        return
    level = level_of(document)
    _headline(safe(document.get("outcome", "no outcome")), f", {level}" if level else "", document)
    reasons_of_comparison(document)
    _proof(document)


def level_of(document: Json) -> str:
    """The level with what it rests on: ``normalized by wheel-generator 1``; empty without a level."""
    level = document.get("level")
    return f"{safe(level)}{_passes(document)}" if level else ""


def _passes(document: Json) -> str:
    rows = _rows(document, "passes")
    named = ", ".join(f"{safe(row.get('id', ''), 80)} {safe(row.get('version', ''), 16)}" for row in rows[:MAX_PASSES])
    more = f" and {len(rows) - MAX_PASSES} more" if len(rows) > MAX_PASSES else ""
    return f" by {named}{more}" if named else ""


def reasons_of_comparison(document: Json) -> None:
    """Print why a comparison came out as it did: cause, findings, the causes of the catalogue, then the differences."""
    cause = _object(document, "cause")
    if cause:
        out(f"  cause      {safe(cause.get('class', ''))}: {safe(cause.get('detail', ''))}")
    if document.get("unstamped"):
        out(f"  not stamped {safe(document['unstamped'], 400)}")
    for row in _rows(document, "findings"):
        out(f"  {safe(row.get('code', '')):<24} {safe(row.get('path', ''))}  {safe(row.get('detail', ''))}".rstrip())
    for line in causes(document):
        out(line)
    listed = document.get("differences")
    rows = _rows(listed, "shown") if isinstance(listed, dict) else _rows(document, "differences")
    if rows and document.get("level"):
        out(f"  differs in what level {safe(document['level'])} leaves out:")
    differences(rows)


def causes(document: Json) -> list[str]:
    """At most five causes as cards: what and how sure, how much of it, what shows it, what would remove it."""
    rows = _rows(document, "causes")
    lines = []
    for row in rows[:MAX_CAUSES]:
        count = row.get("count")
        claimed = f" {safe(count, 20)} difference{'' if count == 1 else 's'}" if count is not None else ""
        detail = f"   {safe(row['detail'], 400)}" if row.get("detail") else ""
        lines.append(f"  {safe(row.get('id', ''), 80):<26} {safe(row.get('certainty', ''), 20):<12}{claimed}{detail}".rstrip())
        if row.get("fix"):
            lines.append(f"  {'':<26} fix: {safe(row['fix'], 400)}")
    if len(rows) > MAX_CAUSES:
        lines.append(f"  … and {len(rows) - MAX_CAUSES} more causes (--json)")
    return lines


def differences(rows: list[Json], *, most: int = MAX_ROWS) -> None:
    """Print differences, at most ``most``."""
    for row in rows[:most]:
        old, new, offset = row.get("old"), row.get("new"), row.get("offset")
        change = f"{_value(old)} → {_value(new)}" if (old, new) != (None, None) else ""
        where = f"   at byte {offset}" if offset is not None else ""
        out(f"  {safe(row.get('field', '')):<14} {safe(row.get('path', ''))}   {change}{where}".rstrip())
    if len(rows) > most:
        out(f"  … and {len(rows) - most} more (--json)")


def attestation(item: Json) -> None:
    """Print one line of a search."""
    subject = _object(item, "subject")
    kind = str(item.get("predicateType", ""))
    word = item.get("outcome") or _KINDS.get(kind, kind)
    line = Text()
    line.append(f"{safe(item.get('logIndex', '')):>8}  ")
    line.append(f"{safe(word):<18}", style=style_of(item.get("outcome")) if item.get("outcome") else "")
    line.append(f" {safe(item.get('level', '')):<14} {safe(item.get('purl') or subject.get('name', ''))}  {safe(item.get('id', ''))[:16]}")
    line.append(f"  {safe(item['time'])}" if item.get("time") else "")
    passes = _passes(item)
    line.append(f" {passes}" if passes else "")
    _print(line)


def decision(document: Json, *, names: dict[str, str] | None = None) -> None:
    """Print a decision: one word, one line per artifact, reasons with the nearest remedy."""
    verdict = str(document.get("verdict", "pending"))
    policy = _object(document, "policy")
    rows = _rows(document, "artifacts")
    allowed = sum(row.get("verdict") == "allow" for row in rows)
    line = Text()
    line.append(safe(verdict).upper(), style=style_of(verdict))
    line.append(f"   {safe(policy.get('name', ''))}, {allowed} of {len(rows)} may ship")
    index = _object(document, "attestation").get("logIndex")
    line.append(f"    {safe(document.get('id', ''))}{f', log index {index}' if index is not None else ''}")
    _print(line)
    shown = {str(key): value for key, value in (names or {}).items()}
    for row in sorted(rows, key=lambda one: one.get("verdict") == "allow"):
        digest = str(row.get("sha256") or "")
        name = safe(shown.get(digest) or row.get("purl") or row.get("name") or (f"sha256:{digest}" if digest else ""))
        rules = ", ".join(safe(reason.get("rule", "")) for reason in _rows(row, "reasons"))
        line = Text("  ")
        line.append(f"{safe(row.get('verdict', '')):<8}", style=style_of(row.get("verdict")))
        line.append(f" {name}   {rules or level_of(row)}".rstrip())
        _print(line)
        reasons(row)


def reasons(row: Json) -> None:
    """Print why one artifact of a decision got its verdict."""
    for reason in _rows(row, "reasons"):
        _reason(reason)


def _reason(reason: Json) -> None:
    wanted, got = reason.get("expected"), reason.get("actual")
    if wanted is not None or got is not None:
        out(f"           {safe(reason.get('rule', ''))}: expected {_value(wanted)}, is {_value(got)}")
    if reason.get("remedy"):
        out(f"           remedy: {safe(reason['remedy'])}")


def _headline(outcome: str, level: str, document: Json) -> None:
    original, rebuilt = _object(document, "original"), _object(document, "rebuilt")
    line = Text()
    line.append(f"{outcome.upper()}{level}", style=style_of(outcome))
    if rebuilt and original.get("sha256") == rebuilt.get("sha256"):
        line.append(f"   original = rebuilt = sha256:{safe(original.get('sha256', ''))}")
    else:
        line.append(f"   original {short(original.get('sha256'))}")
        line.append(f"   rebuilt {short(rebuilt.get('sha256'))}" if rebuilt else "")
        recipe, source = _object(document, "recipe"), str(_object(document, "source").get("uri", ""))
        line.append(f"   {safe(recipe.get('origin'))} recipe" if recipe.get("origin") else "")
        line.append(f", source {safe(source.rsplit('/', 1)[-1], 120)}" if source else "")
    _print(line)
    out(f"  {safe(original.get('purl') or original.get('file') or '')}")


def _unfinished(document: Json, state: str) -> None:
    from reprove.cli.progress import waiting_text

    phase, waiting = document.get("phase"), waiting_text(document)
    line = Text(state.capitalize(), style="bold yellow")
    line.append(f"{f', {safe(phase)}' if phase else ''}{f' ({waiting})' if waiting and waiting != state else ''}", style="")
    _print(line)
    identifier = safe(document.get("id", ""))
    if state != "cancelled":
        out(f"  reprove show {identifier}   reprove logs {identifier} -f   reprove cancel {identifier}")


def _proof(document: Json) -> None:
    rows = _rows(document, "attestations")
    indexes = ", ".join(safe(row.get("logIndex")) for row in rows if row.get("logIndex") is not None)
    identifier = safe(document.get("id", ""))
    lead = f"  log index {indexes}.   " if indexes else "  "
    out(f"{lead}reprove show {identifier}   reprove evidence {identifier} -o evidence.json")


def _value(value: object) -> str:
    if value is None:
        return "absent"
    if isinstance(value, (list, tuple)):
        return ", ".join(safe(part, 200) for part in value) or "nothing"
    return safe(value, 200)


def _object(document: Json, key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _rows(document: Json, key: str) -> list[Json]:
    value = document.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _print(line: Text) -> None:
    import sys

    from reprove.cli.terminal import console

    console(sys.stdout).print(line)
