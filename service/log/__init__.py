"""The transparency log's write side: sequencer, its database and files, the witness, and the checker (DESIGN sections 4, 7, 9)."""

from service.log.creation import create_log, create_witness

__all__ = ["create_log", "create_witness"]
