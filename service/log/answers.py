"""What submitters get: entries with inclusion proofs under one published checkpoint, as the JSON of the sequencer's socket."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from service.log.tilewriter import Nodes


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry in the log."""

    id: bytes
    index: int
    leaf: bytes
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Entries, the checkpoint (with cosignatures) that covers them all, and the last one that covers none of them, if there is one."""

    entries: Sequence[Logged]
    nodes: Nodes
    checkpoint: str
    before: str | None

    def as_json(self) -> dict[str, object]:
        """The answer's document. Proofs are made here, in the thread of whoever asked, not in the one that sequences."""
        return {
            "entries": [
                {
                    "id": entry.id.hex(),
                    "index": entry.index,
                    "leaf": _text(entry.leaf),
                    "proof": [_text(one) for one in self.nodes.inclusion(entry.index)],
                    "duplicate": entry.duplicate,
                }
                for entry in self.entries
            ],
            "checkpoint": self.checkpoint,
            "before": self.before,
        }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
