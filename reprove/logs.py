"""Structured logs: one JSON object a line on standard error, with the ids of what is being worked on and secrets masked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"token|secret|password|authorization|lease$", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(rpv_[A-Za-z0-9]{4})[A-Za-z0-9_-]{8,}|(Bearer )\S+", re.IGNORECASE)


def mask(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values of secret-looking keys and tokens inside text; a lease is shown by its first 6 characters."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = f"{value[:6]}…" if _SECRET_KEYS.search(key) else _SECRET_TEXT.sub(lambda match: f"{match[1] or match[2]}…", value)
    return event


def configure(process: str, level: str = "info") -> None:
    """Send everything that this process logs, libraries included, through one JSON renderer."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
