"""``/metrics``: counters of this process, and gauges computed from SQL when they are asked for, so that they are right after any restart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from reprove.core.states import AttemptState, RebuildState
from service.api.context import Api
from service.api.operation import Answer, Call, operation
from service.records import rebuilds
from service.records.principals import Role
from service.records.schema import attempt, decision, entry, outbox

KEY = "reprove-metrics"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One registry per application."""

    def __init__(self, api: Api) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Records(api))
        self._answers = Counter("reprove_http_answers_total", "Answers by operation and status.", ["operation", "status"], registry=self.registry)
        self._seconds = Histogram(
            "reprove_http_seconds", "Time to answer by operation, long polls included.", ["operation"], registry=self.registry, buckets=_BUCKETS
        )

    def install(self, app: Flask) -> None:
        """Count every answer."""
        app.before_request(self._started)
        app.after_request(self._answered)

    def _started(self) -> None:
        g.started = time.perf_counter()

    def _answered(self, response: Response) -> Response:
        # the endpoint, never the path: a label per path would let any caller fill the memory
        name = request.endpoint or "none"
        self._answers.labels(name, str(response.status_code)).inc()
        self._seconds.labels(name).observe(time.perf_counter() - getattr(g, "started", time.perf_counter()))
        return response


class _Records(Collector):
    """Gauges out of SQL."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Compute every gauge now."""
        with self._api.database.read() as conn:
            yield _labelled("reprove_rebuilds", "Rebuilds by state.", "state", rebuilds.count_by_state(conn), [state.value for state in RebuildState])
            yield _labelled(
                "reprove_attempts", "Attempts by state.", "state", _counts(conn, attempt.c.state), [state.value for state in AttemptState]
            )
            yield _labelled("reprove_outbox", "Attempts whose bell waits or was rung, by queue.", "queue", _counts(conn, outbox.c.queue), [])
            yield _labelled(
                "reprove_decisions", "Questions by state.", "state", _counts(conn, decision.c.state), ["asked", "signing", "done", "failed"]
            )
            yield GaugeMetricFamily(
                "reprove_log_entries_recorded",
                "Log entries that the records have.",
                conn.execute(select(func.count()).select_from(entry)).scalar_one(),
            )
            yield GaugeMetricFamily("reprove_log_complete_to", "Tree size without a gap in the records.", self._api.completeness.size(conn))
        status = os.statvfs(self._api.settings.home)
        yield GaugeMetricFamily("reprove_free_bytes", "Free bytes where the state folder lies.", status.f_bavail * status.f_frsize)
        yield GaugeMetricFamily("reprove_free_bytes_floor", "Below this, requests are answered 507.", self._api.settings.min_free)
        yield GaugeMetricFamily("reprove_long_polls", "Long polls that hold a thread.", self._api.polls.held)


@operation("GET", "/metrics", role=Role.READ, answers={200: Answer("Metrics in Prometheus text format.", media=("text/plain",))})
def get_metrics(call: Call) -> Response:  # noqa: ARG001  # the registry belongs to the application
    """Read this service's metrics."""
    return Response(generate_latest(current_app.extensions[KEY].registry), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _counts(conn: Connection, column: object) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in conn.execute(select(column, func.count()).group_by(column))}  # type: ignore[call-overload]  # a column


def _labelled(name: str, about: str, label: str, values: dict[str, int], always: list[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for key in sorted({*always, *values}):
        family.add_metric([key], values.get(key, 0))
    return family
