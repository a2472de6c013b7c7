"""``/v1/rebuilds/{id}``: state with long poll, events, log, cancel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from flask import Response
from sqlalchemy import Connection, select

from reprove.core.errors import ProblemError, Slug
from reprove.core.purls import parse_purl
from reprove.core.states import RebuildState
from service.api import queueing, shapes, tracing
from service.api.context import Api
from service.api.operation import Answer, Call, Query, json_response, operation
from service.api.problem import RETRY_AFTER_SECONDS
from service.records import ids, rebuilds, requests, statements, times
from service.records.principals import Principal, Role
from service.records.rebuilds import RebuildRow
from service.records.schema import request

_SIGNED = ("outcome", "level", "passes", "cause", "findings", "differences", "causes", "rebuilt", "recipe", "environment", "inputs")
LOG_PART_BYTES = 4 * 1024**2
"""Most bytes of a log in one answer; the next piece starts where this one ended."""
_CHUNK = 65536

_WAIT = Query("wait", "seconds to wait for a change, 0 to 25", r"(?:[0-9]|1[0-9]|2[0-5])")
_AFTER = Query("after", "a sequence number that was seen", r"[0-9]{1,15}")
_REBUILD = Answer("The rebuild.", schema=shapes.REBUILD, headers={"Retry-After": "No thread was free to wait: the answer is the present state."})


@operation("GET", "/v1/rebuilds/<id>", role=Role.READ, query=(_WAIT, _AFTER), answers={200: _REBUILD})
def get_rebuild(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """Show a rebuild; with wait and after, once it has changed."""
    wait, after = float(call.query.get("wait", 0)), int(call.query.get("after", -1))
    headers: dict[str, str] = {"Cache-Control": "no-store"}
    with call.api.database.read() as conn:
        row = visible(conn, id, call.principal)
        body = document(call.api, conn, row)
    if wait and not row.state.terminal and row.seq <= after:
        # the connection went back before waiting: 16 waiting callers must not hold 16 connections
        with call.api.polls.slot(call.holder) as granted:
            if granted:
                call.api.polls.wait(row.id, after, wait)
            else:
                headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        with call.api.database.read() as conn:
            row = visible(conn, id, call.principal)
            body = document(call.api, conn, row)
    return json_response(body, headers=headers)


@operation(
    "GET",
    "/v1/rebuilds/<id>/events",
    role=Role.READ,
    query=(Query("after", "a number that was seen", r"[0-9]{1,9}"),),
    answers={
        200: Answer("Progress, oldest first; next is the number to ask after, or null when there is no more now.", schema=shapes.page(shapes.EVENT))
    },
)
def get_events(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """List what happened in a rebuild so far: phases with times."""
    limit = 500
    with call.api.database.read() as conn:
        row = visible(conn, id, call.principal)
        items = rebuilds.events(conn, row.id, after=int(call.query.get("after", 0)), limit=limit)
    return json_response({"items": items, "next": items[-1]["n"] if len(items) == limit else None}, headers={"Cache-Control": "no-store"})


@operation(
    "GET",
    "/v1/rebuilds/<id>/log",
    role=Role.READ,
    query=(Query("offset", "a byte offset", r"[0-9]{1,12}"),),
    answers={
        200: Answer(
            "The build log from offset on, at most 4 MiB. It is text of the build, never evidence.",
            media=("text/plain",),
            headers={"Reprove-Log-Complete": "true when the log has ended behind this piece.", "Reprove-Log-Size": "Bytes so far."},
        )
    },
)
def get_log(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """Show the build log, running or final."""
    offset = int(call.query.get("offset", 0))
    with call.api.database.read() as conn:
        row = visible(conn, id, call.principal)
        final = call.api.final_log(conn, row)
    stream = _open(final if final is not None else call.api.settings.home / "logs" / f"{row.id}.log")
    ended = final is not None or row.state.terminal
    if stream is None:
        why = "there is no build log: nothing was built" if ended else "there is no build log yet"
        raise ProblemError(Slug.NOT_FOUND, why)
    size = stream.seek(0, 2)
    start = min(offset, size)
    part = min(size - start, LOG_PART_BYTES)
    answer = Response(_pieces(stream, start, part), content_type="text/plain; charset=utf-8")
    answer.call_on_close(stream.close)
    answer.content_length = part
    answer.headers["Reprove-Log-Size"] = str(size)
    answer.headers["Reprove-Log-Complete"] = "true" if ended and start + part == size else "false"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@operation(
    "POST",
    "/v1/rebuilds/<id>/cancel",
    role=Role.SUBMIT,
    answers={200: Answer("The rebuild after it; state says whether it goes on for others.", schema=shapes.REBUILD)},
)
def post_cancel(call: Call, *, id: str) -> Response:  # noqa: A002  # the path's name
    """Detach the caller's requests; the rebuild stops when nobody waits."""
    with call.api.database.write() as conn:
        row = visible(conn, id, call.principal)
        requests.cancel(conn, call.caller, row.id, times.now())
        after = rebuilds.get(conn, row.id)
        body = document(call.api, conn, after or row)
    return json_response(body, headers={"Cache-Control": "no-store"})


def visible(conn: Connection, identifier: str, principal: Principal | None) -> RebuildRow:
    """The rebuild, or ``not-found``: also for a private one of somebody else, whose existence is nobody's business."""
    row = rebuilds.get(conn, identifier) if ids.is_id(identifier, "rb") else None
    if row is not None:
        tracing.about(rebuild=row.id)
    if row is None or (row.visibility != "public" and not _asked_by(conn, row, principal)):
        raise ProblemError(Slug.NOT_FOUND, "there is no such rebuild")
    return row


def document(api: Api, conn: Connection, row: RebuildRow) -> dict[str, Any]:
    """The rebuild JSON. What it says of the outcome is out of the signed comparison, and absent without one that is in the log (G3)."""
    body = rebuilds.as_json(conn, row)
    if row.state is RebuildState.QUEUED and "waiting" not in body:
        where = queueing.waiting(conn, row.id)
        return body | ({"waiting": where} if where is not None else {})
    if row.state is not RebuildState.DONE:
        return body
    proven = api.prover.prove(conn, statements.of_rebuild(conn, row.id))
    body["attestations"] = [{"id": one.row.id, "predicateType": one.predicate_type, "logIndex": one.logged.index} for one in proven]
    for name in _SIGNED:
        body.pop(name, None)
    comparison = next((one.predicate for one in proven if one.predicate_type == shapes.COMPARISON), None)
    if comparison is None:
        body["waiting"] = {"reason": "proof", "detail": "the records name an outcome, but no comparison that is signed and in the log"}
        return body
    return body | _outcome(comparison)


def _outcome(comparison: dict[str, Any]) -> dict[str, Any]:
    """The members of the rebuild JSON that a comparison settles."""
    original = comparison["original"]
    settled = ("outcome", "level", "passes", "cause", "recipe", "stamps", "unstamped", "source")
    found: dict[str, Any] = {name: comparison[name] for name in settled if name in comparison}
    found |= {name: comparison.get(name, []) for name in ("findings", "causes")}
    found["original"] = {
        "sha256": original["sha256"],
        "size": original["size"],
        "purl": original["purl"],
        "file": parse_purl(original["purl"]).file_name,
    }
    if "rebuilt" in comparison:
        found["rebuilt"] = comparison["rebuilt"]
    if "environment" in comparison:
        environment = comparison["environment"]
        found["environment"] = {"digest": environment["lock"]["sha256"]} | ({"name": environment["name"]} if "name" in environment else {})
    if "inputs" in comparison:
        found["inputs"] = [{"sha256": one["sha256"], "uri": one["uri"], "name": one["name"]} for one in comparison["inputs"]]
    found["differences"] = comparison.get("differences", {}).get("shown", [])
    return found


def _asked_by(conn: Connection, row: RebuildRow, principal: Principal | None) -> bool:
    if principal is None:
        return False
    mine = select(request.c.id).where(request.c.rebuild_id == row.id, request.c.principal_id == principal.id).limit(1)
    return conn.execute(mine).scalar() is not None


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _pieces(stream: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    stream.seek(start)
    while length > 0:
        data = stream.read(min(_CHUNK, length))
        if not data:
            return
        length -= len(data)
        yield data
