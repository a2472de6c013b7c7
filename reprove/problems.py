"""What a service answers that does not do what was asked, apart from the client, so that commands without a service start fast."""

from __future__ import annotations

from typing import Any

from reprove.core.errors import Problem, UpstreamError

Json = dict[str, Any]
"""A JSON object."""


class UnreachableError(UpstreamError):
    """Nobody answers at the service's address, or what answers is not the service."""


class ServiceError(UpstreamError):
    """The service answered a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Problem | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = problem
