"""What one attempt has in its hands, made once per process and once per claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprove.settings import Settings
from reprove.signers import Signer
from workers.client import Claim, WorkerClient
from workers.heartbeat import Heartbeat
from workers.inputs.store import InputStore

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from workers.sandbox import Engine


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """``engine`` is there for kind ``rebuild`` only: the resolver has no Docker (DESIGN section 4)."""

    settings: Settings
    client: WorkerClient
    claim: Claim
    heartbeat: Heartbeat
    signer: Signer
    store: InputStore
    engine: Engine | None
    log: FilteringBoundLogger

    @property
    def lease(self) -> str:
        """The lease's token: every write of the attempt carries it."""
        return self.claim.lease
