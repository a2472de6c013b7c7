"""What a sequencer does before it may sign: compare ``log.db``, the folder and the witnesses, finish what a crash left, or refuse to start.

| found | means | does |
|---|---|---|
| a staged batch, ``checkpoint`` at or before its end | a crash after the commit point | creates its files again, then publishes it |
| ``checkpoint`` ahead of ``log.db``, or another root | ``log.db`` was restored, or is another log's | refuses (rollback) |
| a witness ahead of ``log.db``, or another root | everything here was restored, or a second log signs | refuses (rollback) |
| ``checkpoint`` missing or behind, tiles whole | the folder was restored; it is not trusted anyway | publishes the newest again |
| a tile missing or changed | the folder is damaged | refuses; only a copy of the tiles mends it |
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reprove.core import merkle, tiles
from reprove.core.checkpoints import open_checkpoint
from reprove.core.errors import VerificationError
from reprove.core.notes import VKey
from service.log import tilewriter
from service.log.durable import DurableFolder
from service.log.errors import FatalError, RollbackError
from service.log.store import Head, LogStore, Published
from service.log.tilewriter import Plan
from service.log.witness_client import Panel, refuse_rollback

CHECKPOINT = "checkpoint"
_SPOT_CHECKS = 8


@dataclass(frozen=True, slots=True)
class Recovered:
    """The tree as ``log.db`` has it, its files whole; ``published`` is None when its checkpoint has yet to be published."""

    head: Head
    plan: Plan
    published: Published | None


def recover(store: LogStore, folder: DurableFolder, vkey: VKey, panel: Panel) -> Recovered:
    """Bring the folder in step with ``log.db`` and compare with every witness that answers. RollbackError, FatalError, DiskFullError."""
    head, staged = store.head(), store.staged()
    shown = folder.read(CHECKPOINT)
    start = staged.start if staged else head.size
    root = store.root_of(start)
    if shown is not None:
        _refuse_ahead(shown, head, vkey)
    edge = tilewriter.load_edge(folder.read, start, root)
    _spot_check(folder, start)
    # The same code as on the good path: the staged entries give the same files, and those that exist already must be identical.
    plan = tilewriter.extend(edge, staged.leaves if staged else (), folder.read)
    if (plan.size, plan.root) != (head.size, head.root):
        raise FatalError("the staged entries do not give the root that log.db signed")
    folder.create(plan.files)
    published = store.published(head.size) if staged is None else None
    if shown is not None:
        seen = open_checkpoint(shown, vkey).checkpoint
        refuse_rollback(seen, plan.nodes, "the folder shows a checkpoint of")
        if seen.size != head.size:
            published = None
    else:
        published = None
    panel.observe(plan.nodes)
    return Recovered(head, plan, published)


def _refuse_ahead(shown: bytes, head: Head, vkey: VKey) -> None:
    try:
        seen = open_checkpoint(shown, vkey).checkpoint
    except VerificationError as error:
        raise FatalError(f"the folder's checkpoint is not of this log: {error.detail}") from error
    if seen.size > head.size:
        raise RollbackError(f"rollback: the folder is published at size {seen.size}, log.db ends at {head.size}; restore the newer log.db")


def _spot_check(folder: DurableFolder, size: int) -> None:
    """Hash a few old bundles against their tiles: a cheap look for damage that the right edge cannot show."""
    full = size // tiles.TILE_WIDTH
    for n in {random.randrange(full) for _ in range(_SPOT_CHECKS)} if full else ():  # noqa: S311  # a sample, not a secret
        bundle, tile = folder.read(tiles.entries_path(n)), folder.read(tiles.tile_path(0, n))
        if bundle is None or tile is None or b"".join(map(merkle.leaf_hash, tiles.decode_bundle(bundle))) != tile:
            raise FatalError(f"bundle {n} is missing or does not fit its tile; run `reprove log fsck` on the folder")
