"""What a caller is told of its write limit (the IETF's ``RateLimit`` fields); the limit itself is counted in SQL (``records.limits``)."""

from __future__ import annotations

from datetime import datetime

from flask import Response, g
from sqlalchemy import select

from service.api.context import Api
from service.records.principals import Principal
from service.records.schema import write_limit
from service.records.times import to_milliseconds


def note(api: Api, principal: Principal, now: datetime) -> None:
    """Remember, for this request's answer, how much of this minute is left. Costs nothing where there is no limit."""
    if api.settings.requests_per_minute:
        g.rate = (api, principal, now)


def tell(response: Response) -> Response:
    """Add the fields to the answer, a refusal included."""
    noted = g.pop("rate", None)
    if noted is None:
        return response
    api, principal, now = noted
    limit = api.settings.requests_per_minute
    milliseconds = to_milliseconds(now)
    mine = (write_limit.c.principal_id == principal.id) & (write_limit.c.minute == milliseconds // 60_000)
    with api.database.read() as conn:
        used = conn.execute(select(write_limit.c.used).where(mine)).scalar() or 0
    reset = 60 - milliseconds // 1000 % 60
    response.headers["RateLimit-Policy"] = f'"writes";q={limit};w=60'
    response.headers["RateLimit"] = f'"writes";r={max(0, limit - used)};t={reset}'
    if response.status_code == 429:
        response.headers["Retry-After"] = str(reset)
    return response
