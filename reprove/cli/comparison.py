"""A comparison as a person reads it: the verdict, at most five causes, a table of members, and detail only when asked."""

from __future__ import annotations

from reprove.cli.terminal import out, safe, style_of
from reprove.problems import Json

MAX_MEMBERS = 20
_NAMES = 4
"""Fields that one line of the member table names."""
_GRAVE = frozenset({"content", "member", "kind", "executable", "target"})
"""Fields of which each member gets a line of its own."""


def show(document: Json, level: str, *, equal: bool, explain: bool) -> None:
    """Print the result of ``reprove compare``."""
    _verdict(document, level, equal=equal)
    for row in document["findings"][:MAX_MEMBERS]:
        out(f"  {safe(row['code']):<18} {safe(row['path'])}  {safe(row['detail'])}")
    if len(document["findings"]) > MAX_MEMBERS:
        out(f"  … and {len(document['findings']) - MAX_MEMBERS} more findings (--json)")
    if document["causes"]:
        from reprove.cli import render  # loads what a pipe without causes needs none of

        for line in render.causes(document):
            out(line)
    if explain:
        _details(document)
    else:
        _members(document)


def _verdict(document: Json, level: str, *, equal: bool) -> None:
    reached, cause = document["level"], document.get("cause")
    word = "EQUAL" if equal else "AMBIGUOUS" if document["outcome"] == "ambiguous-archive" else "DIFFERS"
    passes = ", ".join(f"{safe(one['id'])} {one['version']}" for one in document.get("passes", ()))
    style = style_of("reproduced" if equal else "differs")
    out(f"{word}{f', {reached}' if reached else ''}{f' by {passes}' if passes else ''}", style)
    out(f"  original   sha256:{document['original']['sha256']}")
    out(f"  rebuilt    sha256:{document['rebuilt']['sha256']}")
    if reached and not equal:
        out(f"  equal only at {reached}; {level} was asked for")
    if cause:
        out(f"  because    {safe(cause['class'])}: {safe(cause['detail'], 400)}")


def _members(document: Json) -> None:
    """Members by what differs in them: one line for all of which the same fields differ, those of which content differs first."""
    fields: dict[str, list[str]] = {}
    for row in document["differences"]:
        fields.setdefault(row["path"], []).append(_label(row))
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, names in fields.items():
        groups.setdefault(tuple(dict.fromkeys(names)), []).append(path)
    lines = 0
    for labels, paths in sorted(groups.items(), key=lambda group: not _GRAVE.intersection(group[0])):
        what = ", ".join(safe(name) for name in labels[:_NAMES]) + (f" and {len(labels) - _NAMES} more" if len(labels) > _NAMES else "")
        shown = paths if _GRAVE.intersection(labels) else paths[:1]
        for path in shown[: MAX_MEMBERS - lines]:
            others = f"   and {len(paths) - 1:,} more members" if shown is not paths and len(paths) > 1 else ""
            out(f"  {what:<34} {safe(path) or 'the archive'}{others}")
            lines += 1
    listed = len(document["differences"])
    if lines >= MAX_MEMBERS or document["count"] > listed:
        out(f"  {document['count']:,} differences in all (--explain, --json)")


def _label(row: Json) -> str:
    """The field, or what it means where the field's name alone would alarm: an entry for a folder is no file."""
    sides = {row.get("old"), row.get("new")}
    return "folder entry" if row["field"] == "member" and sides == {"folder", None} else str(row["field"])


def _details(document: Json) -> None:
    from reprove.cli import render

    render.differences(document["differences"], most=len(document["differences"]))
    left = document["count"] - len(document["differences"])
    if left > 0:
        out(f"  … and {left:,} more differences")
