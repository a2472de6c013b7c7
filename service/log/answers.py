"""What submitters get: entries with inclusion proofs under one published checkpoint, as the JSON of the sequencer's socket."""

from __future__ import annotations

import json
from binascii import b2a_base64
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

    def encode(self) -> bytes:
        """Return the answer's JSON. Proofs are made here, in the thread of whoever asked, not in the one that sequences.

        Written out rather than serialised: hex and base64 need no escapes, and neighbours share most hashes of their proofs.
        """
        texts: dict[bytes, str] = {}
        rows = []
        for entry in self.entries:
            proof = []
            for one in self.nodes.inclusion(entry.index):
                text = texts.get(one)
                if text is None:
                    text = texts[one] = f'"{_text(one)}"'
                proof.append(text)
            rows.append(
                f'{{"id":"{entry.id.hex()}","index":{entry.index},"leaf":"{_text(entry.leaf)}",'
                f'"proof":[{",".join(proof)}],"duplicate":{"true" if entry.duplicate else "false"}}}'
            )
        return f'{{"entries":[{",".join(rows)}],"checkpoint":{json.dumps(self.checkpoint)},"before":{json.dumps(self.before)}}}'.encode()


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()
